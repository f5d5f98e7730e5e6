"""Ask Decide what to do with a symbol: python decide.py AAPL."""

import os
import sys

import httpx

symbol = sys.argv[1] if len(sys.argv) > 1 else "AAPL"
key = os.environ.get("DECIDE_API_KEY")

with httpx.Client(
    base_url=os.environ.get("DECIDE_URL", "http://localhost:8000"),
    headers={"Authorization": f"Bearer {key}"} if key else {},
    timeout=5.0,
) as client:
    answer = client.post("/decide", json={"symbol": symbol, "deadline_ms": 200})

body = answer.json()
if answer.is_error:
    sys.exit(f"{body['title']}: {body['detail']}")
print(f"{body['symbol']}: {body['action']}, {body['target_weight']:+.1%} of the portfolio, confidence {body['confidence']:.2f}")
if body["fallback"]["used"]:
    print(f"with less than it should rest on: {body['fallback']['level']} ({body['fallback']['reason']})")
