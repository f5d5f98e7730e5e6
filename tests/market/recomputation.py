"""Bars of trades as SQL makes them of the trades, from the definition."""

_BARS = """
WITH counted AS (
    SELECT t.*, coalesce(
        (
            SELECT s.closes_us - 60000000 FROM sessions s JOIN symbols y ON y.market = s.market
            WHERE y.symbol = t.symbol AND t.time_us >= s.closes_us
            AND t.time_us < s.closes_us + CASE WHEN t.closing THEN 900000000 ELSE 1000000 END
            ORDER BY s.closes_us DESC LIMIT 1
        ),
        time_us - time_us % 60000000
    ) AS start_us
    FROM trades_in_full t WHERE NOT cancelled AND size <> '0'
),
placed AS (
    SELECT *, {place} AS place,
        row_number() OVER (PARTITION BY symbol, start_us ORDER BY time_us, venue, trade_key) AS from_first,
        row_number() OVER (PARTITION BY symbol, start_us ORDER BY time_us DESC, venue DESC, trade_key DESC) AS from_last
    FROM counted
),
bars AS (
    SELECT symbol, start_us, max(price) FILTER (WHERE from_first = 1) AS open, {max}(price) AS high,
        {min}(price) AS low, max(price) FILTER (WHERE from_last = 1) AS close, {sum} AS volume,
        {notional} AS notional, count(*) AS trades,
        max(place) FILTER (WHERE from_first = 1) AS open_key, max(place) FILTER (WHERE from_last = 1) AS close_key
    FROM placed GROUP BY symbol, start_us
),
seconds AS (
    SELECT symbol, start_us, second, price FROM (
        SELECT *, row_number() OVER (
            PARTITION BY symbol, start_us, second ORDER BY time_us DESC, venue DESC, trade_key DESC
        ) AS number
        FROM (SELECT *, {least}((time_us - start_us) / 1000000, 59) AS second FROM counted) AS timed
    ) AS numbered WHERE number = 1
),
returns AS (
    SELECT s.symbol, s.start_us, s.second, s.price, coalesce(
        lag(s.price) OVER (PARTITION BY s.symbol, s.start_us ORDER BY s.second), before.close
    ) AS previous
    FROM seconds s LEFT JOIN bars before ON before.symbol = s.symbol AND before.start_us = s.start_us - 60000000
),
variances AS (
    SELECT symbol, start_us, coalesce(sum({log_return} * {log_return})
        FILTER (WHERE previous IS NOT NULL), 0.0) AS rv, min(second) AS first
    FROM returns GROUP BY symbol, start_us
)
SELECT b.symbol, b.start_us, b.open, b.high, b.low, b.close, b.volume, b.notional, b.trades, b.open_key, b.close_key,
    CASE WHEN before.close IS NULL THEN 60 - v.first ELSE 60 END AS covered_s, v.rv
FROM bars b JOIN variances v USING (symbol, start_us)
LEFT JOIN bars before ON before.symbol = b.symbol AND before.start_us = b.start_us - 60000000
ORDER BY b.symbol, b.start_us
"""

SQLITE = _BARS.format(
    place="json_array(time_us, venue, trade_key)",
    max="exact_max",
    min="exact_min",
    sum="exact_sum(size)",
    notional="exact_sum(exact_product(price, size))",
    log_return="log_return(price, previous)",
    least="min",
)
"""With functions that the place gives it."""
POSTGRES = _BARS.format(
    place="format('[%s,%s,%s]', time_us, to_json(venue), to_json(trade_key))",
    max="max",
    min="min",
    sum="trim_scale(sum(size))",
    notional="trim_scale(sum(price * size))",
    log_return="ln(price::float8 / previous::float8)",
    least="least",
)
