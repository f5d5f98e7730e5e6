CREATE TABLE topics (
    topic TEXT NOT NULL PRIMARY KEY,
    topic_id TEXT NOT NULL, -- another one when it is made anew
    retention_ms INTEGER -- null: for ever
) STRICT, WITHOUT ROWID;

-- low: offset of the oldest message; high: of the next one.
CREATE TABLE partitions (
    number INTEGER NOT NULL PRIMARY KEY, -- stands in every batch
    topic_id TEXT NOT NULL,
    partition INTEGER NOT NULL,
    low INTEGER NOT NULL,
    high INTEGER NOT NULL,
    UNIQUE (topic_id, partition)
) STRICT;

-- Messages that were appended together, from offset next - count to before next, as msgpack: [[key, value, [[name, value], ...]], ...]
CREATE TABLE batches (
    number INTEGER NOT NULL,
    next INTEGER NOT NULL,
    count INTEGER NOT NULL,
    at_ms INTEGER NOT NULL,
    messages BLOB NOT NULL,
    PRIMARY KEY (number, next)
) STRICT;
