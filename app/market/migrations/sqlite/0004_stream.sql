-- Of a source whose ids count by one: when the last id was (epoch microseconds), and runs of ids before it that did not come, as
-- JSON: [[first id, last id, from_us, to_us], …].
ALTER TABLE heard ADD COLUMN last_us INTEGER NOT NULL DEFAULT 0;
ALTER TABLE heard ADD COLUMN missing TEXT NOT NULL DEFAULT '[]';

-- Messages that were put among the dead letters, by where they stood. state: '', 'replayed', 'dropped'.
CREATE TABLE dead_letters (
    topic_id TEXT NOT NULL,
    partition INTEGER NOT NULL,
    message_offset INTEGER NOT NULL,
    state TEXT NOT NULL,
    changed_us INTEGER NOT NULL,
    PRIMARY KEY (topic_id, partition, message_offset)
) STRICT, WITHOUT ROWID;
