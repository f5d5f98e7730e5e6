-- How many minutes a block has: one that has all of them needs no other source's.

ALTER TABLE blocks ADD COLUMN minutes INTEGER NOT NULL DEFAULT 0;

UPDATE blocks SET minutes = (
    SELECT count(*) FROM candles
    WHERE candles.symbol = blocks.symbol AND candles.interval = '1m' AND candles.source = blocks.source
    AND candles.start_us >= blocks.start_us AND candles.start_us < blocks.start_us + 900000000
)
WHERE interval = '15m';

UPDATE blocks SET minutes = (
    SELECT sum(quarters.minutes) FROM blocks AS quarters
    WHERE quarters.symbol = blocks.symbol AND quarters.source = blocks.source AND quarters.interval = '15m'
    AND quarters.start_us >= blocks.start_us AND quarters.start_us < blocks.start_us + 3600000000
)
WHERE interval = '1h';

UPDATE blocks SET minutes = (
    SELECT sum(hours.minutes) FROM blocks AS hours
    WHERE hours.symbol = blocks.symbol AND hours.source = blocks.source AND hours.interval = '1h'
    AND hours.start_us >= blocks.start_us AND hours.start_us < blocks.start_us + 86400000000
)
WHERE interval = '1d';
