// Ask Decide what to do with a symbol: node decide.mjs AAPL   (Node 18 or newer, and browsers: fetch is all it needs)
const url = process.env.DECIDE_URL ?? "http://localhost:8000";
const key = process.env.DECIDE_API_KEY;

const answer = await fetch(`${url}/decide`, {
  method: "POST",
  headers: { "Content-Type": "application/json", ...(key && { Authorization: `Bearer ${key}` }) },
  body: JSON.stringify({ symbol: process.argv[2] ?? "AAPL", deadline_ms: 200 }),
  signal: AbortSignal.timeout(5000),
});

const body = await answer.json();
if (!answer.ok) {
  console.error(`${body.title}: ${body.detail}`);
  process.exit(1);
}
const { symbol, action, target_weight: weight, confidence, fallback } = body;
console.log(`${symbol}: ${action}, ${(weight * 100).toFixed(1)}% of the portfolio, confidence ${confidence.toFixed(2)}`);
if (fallback.used) {
  console.log(`with less than it should rest on: ${fallback.level} (${fallback.reason})`);
}
