-- +goose Up
-- Authenticator apps. last_step is the step of the last code that was accepted; the keys and the app's name are sealed.
CREATE TABLE software_tokens (
    pool_id   TEXT NOT NULL,
    sub       TEXT NOT NULL,
    last_step INTEGER NOT NULL,
    sealed    BLOB NOT NULL,
    PRIMARY KEY (pool_id, sub)
) STRICT;

-- Which second factors a user has turned on, and which one is preferred: JSON, NULL for most.
ALTER TABLE users ADD COLUMN mfa TEXT;
