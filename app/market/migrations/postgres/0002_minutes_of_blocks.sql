-- How many minutes a block has: one that has all of them needs no other source's.
-- The column has no default, so a job of an older version that still runs fails, in place of keeping numbers that are wrong.
-- They are counted by the next migration: this one keeps readers out, and so must be short.

ALTER TABLE blocks ADD COLUMN minutes integer NOT NULL DEFAULT 0;
ALTER TABLE blocks ALTER COLUMN minutes DROP DEFAULT;
