-- Prices and sizes are decimals as text, digit for digit; times are epoch microseconds.

CREATE TABLE symbols (
    symbol TEXT NOT NULL PRIMARY KEY,
    name TEXT NOT NULL,
    market TEXT NOT NULL, -- whose sessions count; empty: it never closes
    currency TEXT NOT NULL,
    price_scale INTEGER,
    source TEXT NOT NULL,
    first_seen_us INTEGER NOT NULL
) STRICT, WITHOUT ROWID;

CREATE TABLE sessions (
    market TEXT NOT NULL,
    day TEXT NOT NULL,
    opens_us INTEGER NOT NULL,
    closes_us INTEGER NOT NULL,
    pause_from_us INTEGER,
    pause_to_us INTEGER,
    PRIMARY KEY (market, day)
) STRICT, WITHOUT ROWID;
CREATE INDEX sessions_by_close ON sessions (market, closes_us);

-- A symbol at a venue, by a number: it stands in every trade, twice.
CREATE TABLE series (
    series INTEGER NOT NULL PRIMARY KEY,
    venue TEXT NOT NULL,
    symbol TEXT NOT NULL,
    UNIQUE (symbol, venue)
) STRICT;

CREATE TABLE trades (
    series INTEGER NOT NULL,
    trade_key TEXT NOT NULL,
    time_us INTEGER NOT NULL,
    trade_id TEXT, -- null where it is the key without its leading zeros
    price TEXT NOT NULL,
    size TEXT NOT NULL,
    side TEXT NOT NULL,
    source TEXT NOT NULL,
    closing INTEGER NOT NULL,
    cancelled INTEGER NOT NULL,
    PRIMARY KEY (series, trade_key)
) STRICT, WITHOUT ROWID;
CREATE INDEX trades_by_time ON trades (series, time_us, trade_key);

CREATE VIEW trades_in_full AS
SELECT
    venue, symbol, trade_key, time_us, coalesce(trade_id, ltrim(trade_key, '0')) AS trade_id, price, size, side, source, closing,
    cancelled
FROM trades JOIN series USING (series);

-- Also of trades that are not there yet.
CREATE TABLE cancellations (
    series INTEGER NOT NULL,
    trade_key TEXT NOT NULL,
    at_us INTEGER NOT NULL,
    PRIMARY KEY (series, trade_key)
) STRICT, WITHOUT ROWID;

CREATE TABLE candles (
    symbol TEXT NOT NULL,
    interval TEXT NOT NULL,
    source TEXT NOT NULL, -- 'trades': made of them
    start_us INTEGER NOT NULL,
    open TEXT NOT NULL,
    high TEXT NOT NULL,
    low TEXT NOT NULL,
    close TEXT NOT NULL,
    volume TEXT NOT NULL,
    notional TEXT, -- sum of price times size
    trades INTEGER,
    open_key TEXT, -- [time_us, venue, trade_key] of the trade that opened it
    close_key TEXT,
    rv REAL,
    covered_s INTEGER,
    is_partial INTEGER NOT NULL, -- its source says that it was not over
    revision INTEGER NOT NULL,
    updated_at_us INTEGER NOT NULL,
    PRIMARY KEY (symbol, interval, source, start_us)
) STRICT, WITHOUT ROWID;

-- Quarters, hours and days of UTC that are over, each as the sum of its source's minutes: longer bars are read from them where they fit.
CREATE TABLE blocks (
    symbol TEXT NOT NULL,
    source TEXT NOT NULL,
    interval TEXT NOT NULL, -- '15m', '1h', '1d'
    start_us INTEGER NOT NULL,
    open TEXT NOT NULL,
    high TEXT NOT NULL,
    low TEXT NOT NULL,
    close TEXT NOT NULL,
    volume TEXT NOT NULL,
    notional TEXT,
    trades INTEGER,
    rv REAL,
    covered_s INTEGER,
    is_partial INTEGER NOT NULL,
    revision INTEGER NOT NULL,
    PRIMARY KEY (symbol, source, interval, start_us)
) STRICT, WITHOUT ROWID;

-- Exports of one source that overlap, also by way of others, are one row, with what decides which of them counts.
CREATE TABLE exports (
    symbol TEXT NOT NULL,
    interval TEXT NOT NULL,
    source TEXT NOT NULL,
    first_us INTEGER NOT NULL,
    last_us INTEGER NOT NULL,
    is_over INTEGER NOT NULL,
    bars INTEGER NOT NULL,
    digest TEXT NOT NULL,
    PRIMARY KEY (symbol, interval, source, first_us)
) STRICT, WITHOUT ROWID;

CREATE TABLE gaps (
    symbol TEXT NOT NULL,
    venue TEXT NOT NULL,
    from_us INTEGER NOT NULL,
    to_us INTEGER NOT NULL,
    missing INTEGER, -- how many trades, where that is known
    found_by TEXT NOT NULL,
    filled_us INTEGER,
    PRIMARY KEY (symbol, venue, from_us)
) STRICT, WITHOUT ROWID;
CREATE INDEX gaps_by_end ON gaps (symbol, to_us);

CREATE TABLE heard (
    venue TEXT NOT NULL,
    symbol TEXT NOT NULL,
    at_us INTEGER NOT NULL,
    last_id TEXT NOT NULL,
    PRIMARY KEY (venue, symbol)
) STRICT, WITHOUT ROWID;

CREATE TABLE offsets (
    log TEXT NOT NULL,
    topic TEXT NOT NULL,
    topic_id TEXT NOT NULL,
    partition INTEGER NOT NULL,
    next INTEGER NOT NULL,
    PRIMARY KEY (log, topic, topic_id, partition)
) STRICT, WITHOUT ROWID;

-- retained_from_us: older trades were removed, and none is taken. calendar: how often sessions or markets changed.
CREATE TABLE marks (
    name TEXT NOT NULL PRIMARY KEY,
    value INTEGER NOT NULL
) STRICT, WITHOUT ROWID;
