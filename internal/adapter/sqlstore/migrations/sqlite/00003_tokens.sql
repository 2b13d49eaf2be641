-- +goose Up
-- What completed sign-ins leave behind. A refresh token names its family, and a revoked family revokes every token of it.
CREATE TABLE families (
    pool_id    TEXT    NOT NULL,
    sub        TEXT    NOT NULL,
    id         TEXT    NOT NULL,
    client_id  TEXT    NOT NULL,
    event_id   TEXT    NOT NULL,
    origin     TEXT    NOT NULL,
    scopes     TEXT    NOT NULL,
    device_key TEXT    NOT NULL,
    auth_at    INTEGER NOT NULL,
    created_at INTEGER NOT NULL,
    expires_at INTEGER NOT NULL,
    revoked_at INTEGER,
    generation INTEGER NOT NULL,
    rotated_at INTEGER,
    PRIMARY KEY (pool_id, sub, id)
) STRICT;
CREATE INDEX families_expires ON families (expires_at);

-- The keys that sign the tokens of a pool or seal its refresh tokens. Of each use one is current.
CREATE TABLE signing_keys (
    pool_id    TEXT    NOT NULL,
    id         TEXT    NOT NULL,
    purpose    TEXT    NOT NULL,
    state      TEXT    NOT NULL,
    created_at INTEGER NOT NULL,
    changed_at INTEGER NOT NULL,
    sealed     BLOB    NOT NULL,
    PRIMARY KEY (pool_id, id)
) STRICT;
CREATE UNIQUE INDEX signing_keys_id ON signing_keys (id);
CREATE UNIQUE INDEX signing_keys_current ON signing_keys (pool_id, purpose) WHERE state = 'current';

-- SMS as second factor, turned on by the operations for that which came before the preferences.
ALTER TABLE users ADD COLUMN sms_option INTEGER NOT NULL DEFAULT 0;
