-- +goose Up
-- Steps of sign-ins: those that were passed, each of which counts once, and what does not fit into a session. They are kept until
-- their sessions have expired.
CREATE TABLE steps (
    pool_id    TEXT    NOT NULL,
    id         TEXT    NOT NULL,
    passed     INTEGER NOT NULL,
    expires_at INTEGER NOT NULL,
    sealed     BLOB,
    PRIMARY KEY (pool_id, id)
) STRICT, WITHOUT ROWID;
CREATE INDEX steps_expires ON steps (expires_at);
