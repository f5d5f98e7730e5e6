-- Prices and sizes keep the digits that they came with; times are epoch microseconds. Texts stand in the order of their bytes.

CREATE TABLE symbols (
    symbol text COLLATE "C" NOT NULL PRIMARY KEY,
    name text NOT NULL,
    market text COLLATE "C" NOT NULL, -- whose sessions count; empty: it never closes
    currency text NOT NULL,
    price_scale integer,
    source text COLLATE "C" NOT NULL,
    first_seen_us bigint NOT NULL
);

CREATE TABLE sessions (
    market text COLLATE "C" NOT NULL,
    day date NOT NULL,
    opens_us bigint NOT NULL,
    closes_us bigint NOT NULL,
    pause_from_us bigint,
    pause_to_us bigint,
    PRIMARY KEY (market, day)
);
CREATE INDEX sessions_by_close ON sessions (market, closes_us);

-- A symbol at a venue, by a number: it stands in every trade, and in its indexes.
CREATE TABLE series (
    series integer GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    venue text COLLATE "C" NOT NULL,
    symbol text COLLATE "C" NOT NULL,
    UNIQUE (symbol, venue)
);

CREATE TABLE trades (
    time_us bigint NOT NULL,
    series integer NOT NULL,
    closing boolean NOT NULL,
    cancelled boolean NOT NULL,
    trade_key text COLLATE "C" NOT NULL,
    trade_id text COLLATE "C", -- null where it is the key without its leading zeros
    price numeric NOT NULL,
    size numeric NOT NULL,
    side text COLLATE "C" NOT NULL,
    source text COLLATE "C" NOT NULL,
    PRIMARY KEY (series, trade_key)
);
CREATE INDEX trades_by_time ON trades (series, time_us, trade_key);

CREATE VIEW trades_in_full AS
SELECT
    venue, symbol, trade_key, time_us, coalesce(trade_id, ltrim(trade_key, '0')) AS trade_id, price, size, side, source, closing,
    cancelled
FROM trades JOIN series USING (series);

-- Also of trades that are not there yet.
CREATE TABLE cancellations (
    series integer NOT NULL,
    trade_key text COLLATE "C" NOT NULL,
    at_us bigint NOT NULL,
    PRIMARY KEY (series, trade_key)
);

-- Minutes change while they are the newest: with room on their page they do so in place.
CREATE TABLE candles (
    symbol text COLLATE "C" NOT NULL,
    interval text COLLATE "C" NOT NULL,
    source text COLLATE "C" NOT NULL, -- 'trades': made of them
    start_us bigint NOT NULL,
    open numeric NOT NULL,
    high numeric NOT NULL,
    low numeric NOT NULL,
    close numeric NOT NULL,
    volume numeric NOT NULL,
    notional numeric, -- sum of price times size
    trades bigint,
    open_key text COLLATE "C", -- [time_us, venue, trade_key] of the trade that opened it
    close_key text COLLATE "C",
    rv double precision,
    covered_s integer,
    is_partial boolean NOT NULL, -- its source says that it was not over
    revision bigint NOT NULL,
    updated_at_us bigint NOT NULL,
    PRIMARY KEY (symbol, interval, source, start_us)
) WITH (fillfactor = 90);

-- Quarters, hours and days of UTC that are over, each as the sum of its source's minutes: longer bars are read from them where they fit.
CREATE TABLE blocks (
    symbol text COLLATE "C" NOT NULL,
    source text COLLATE "C" NOT NULL,
    interval text COLLATE "C" NOT NULL, -- '15m', '1h', '1d'
    start_us bigint NOT NULL,
    open numeric NOT NULL,
    high numeric NOT NULL,
    low numeric NOT NULL,
    close numeric NOT NULL,
    volume numeric NOT NULL,
    notional numeric,
    trades bigint,
    rv double precision,
    covered_s integer,
    is_partial boolean NOT NULL,
    revision bigint NOT NULL,
    PRIMARY KEY (symbol, source, interval, start_us)
);

-- Exports of one source that overlap, also by way of others, are one row, with what decides which of them counts.
CREATE TABLE exports (
    symbol text COLLATE "C" NOT NULL,
    interval text COLLATE "C" NOT NULL,
    source text COLLATE "C" NOT NULL,
    first_us bigint NOT NULL,
    last_us bigint NOT NULL,
    is_over boolean NOT NULL,
    bars bigint NOT NULL,
    digest text NOT NULL,
    PRIMARY KEY (symbol, interval, source, first_us)
);

CREATE TABLE gaps (
    symbol text COLLATE "C" NOT NULL,
    venue text COLLATE "C" NOT NULL,
    from_us bigint NOT NULL,
    to_us bigint NOT NULL,
    missing bigint, -- how many trades, where that is known
    found_by text COLLATE "C" NOT NULL,
    filled_us bigint,
    PRIMARY KEY (symbol, venue, from_us)
);
CREATE INDEX gaps_by_end ON gaps (symbol, to_us);

CREATE TABLE heard (
    venue text COLLATE "C" NOT NULL,
    symbol text COLLATE "C" NOT NULL,
    at_us bigint NOT NULL,
    last_id text NOT NULL,
    PRIMARY KEY (venue, symbol)
);

CREATE TABLE offsets (
    log text COLLATE "C" NOT NULL,
    topic text COLLATE "C" NOT NULL,
    topic_id text COLLATE "C" NOT NULL,
    partition integer NOT NULL,
    next bigint NOT NULL,
    PRIMARY KEY (log, topic, topic_id, partition)
);

-- retained_from_us: older trades were removed, and none is taken. calendar: how often sessions or markets changed. writes: how
-- many transactions wrote; who writes counts first, so one writes at a time, and knows whether it is the one that wrote last.
CREATE TABLE marks (
    name text COLLATE "C" NOT NULL PRIMARY KEY,
    value bigint NOT NULL
);
INSERT INTO marks VALUES ('writes', 0);
