-- +goose Up
-- Which of a pool's keys signs follows from the instants from which they do. Keys of a use are numbered, so that of two nodes that
-- make the same one at once only the first succeeds.
DROP INDEX signing_keys_current;
ALTER TABLE signing_keys DROP COLUMN state;
ALTER TABLE signing_keys RENAME COLUMN changed_at TO signs_from;
ALTER TABLE signing_keys ADD COLUMN ordinal INTEGER NOT NULL DEFAULT 1;
CREATE UNIQUE INDEX signing_keys_ordinal ON signing_keys (pool_id, purpose, ordinal);
