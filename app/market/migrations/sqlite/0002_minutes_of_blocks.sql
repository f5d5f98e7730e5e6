-- How many minutes a block has: one that has all of them needs no other source's.
-- The column has no default, so a job of an older version that still runs fails, in place of keeping numbers that are wrong.

CREATE TABLE blocks_with_minutes (
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
    minutes INTEGER NOT NULL,
    PRIMARY KEY (symbol, source, interval, start_us)
) STRICT, WITHOUT ROWID;

INSERT INTO blocks_with_minutes SELECT *, 0 FROM blocks;
DROP TABLE blocks;
ALTER TABLE blocks_with_minutes RENAME TO blocks;
