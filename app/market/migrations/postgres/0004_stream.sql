-- Of a source whose ids count by one: when the last id was (epoch microseconds), and runs of ids before it that did not come, as
-- JSON: [[first id, last id, from_us, to_us], …].
ALTER TABLE heard ADD COLUMN last_us bigint NOT NULL DEFAULT 0;
ALTER TABLE heard ADD COLUMN missing text COLLATE "C" NOT NULL DEFAULT '[]';

-- Messages that were put among the dead letters, by where they stood. state: '', 'replayed', 'dropped'.
CREATE TABLE dead_letters (
    topic_id text COLLATE "C" NOT NULL,
    partition bigint NOT NULL,
    message_offset bigint NOT NULL,
    state text COLLATE "C" NOT NULL,
    changed_us bigint NOT NULL,
    PRIMARY KEY (topic_id, partition, message_offset)
);
