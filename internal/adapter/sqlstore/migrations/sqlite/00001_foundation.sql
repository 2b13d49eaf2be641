-- +goose Up
-- Instants are milliseconds UTC, booleans 0 or 1. Columns called sealed, data_key, wrapped or mac hold no plain secret.

-- What the database itself has to know: by which rule login keys were folded.
CREATE TABLE meta (
    name  TEXT NOT NULL PRIMARY KEY,
    value TEXT NOT NULL
) STRICT, WITHOUT ROWID;

-- The server's own data keys, wrapped by the key-encryption key.
CREATE TABLE server_keys (
    name    TEXT NOT NULL PRIMARY KEY,
    wrapped BLOB NOT NULL
) STRICT, WITHOUT ROWID;

CREATE TABLE settings (
    name   TEXT NOT NULL PRIMARY KEY,
    sealed BLOB NOT NULL
) STRICT;

CREATE TABLE access_keys (
    id         TEXT    NOT NULL PRIMARY KEY,
    name       TEXT    NOT NULL,
    sealed     BLOB,
    mac        BLOB,
    actions    TEXT    NOT NULL,
    pools      TEXT    NOT NULL,
    created_at INTEGER NOT NULL,
    expires_at INTEGER
) STRICT;
CREATE UNIQUE INDEX access_keys_mac ON access_keys (mac) WHERE mac IS NOT NULL;

CREATE TABLE pools (
    id          TEXT    NOT NULL PRIMARY KEY,
    region      TEXT    NOT NULL,
    account     TEXT    NOT NULL,
    version     INTEGER NOT NULL,
    created_at  INTEGER NOT NULL,
    modified_at INTEGER NOT NULL,
    replica     INTEGER NOT NULL,
    settings    TEXT    NOT NULL,
    data_key    BLOB    NOT NULL
) STRICT;
CREATE INDEX pools_region ON pools (region, id);

-- Ids of deleted pools, and subs of deleted users: never given out again.
CREATE TABLE gone_pools (
    id TEXT NOT NULL PRIMARY KEY
) STRICT, WITHOUT ROWID;

CREATE TABLE gone_users (
    pool_id TEXT NOT NULL,
    sub     TEXT NOT NULL,
    PRIMARY KEY (pool_id, sub)
) STRICT, WITHOUT ROWID;

CREATE TABLE clients (
    pool_id     TEXT    NOT NULL,
    id          TEXT    NOT NULL,
    version     INTEGER NOT NULL,
    created_at  INTEGER NOT NULL,
    modified_at INTEGER NOT NULL,
    settings    TEXT    NOT NULL,
    sealed      BLOB,
    PRIMARY KEY (pool_id, id)
) STRICT;
CREATE UNIQUE INDEX clients_id ON clients (id);

-- The columns behind sign_in_attribute are copies from attributes, cut to 1024 bytes: users are listed by them.
CREATE TABLE users (
    pool_id            TEXT    NOT NULL,
    sub                TEXT    NOT NULL,
    username           TEXT    NOT NULL,
    username_fold      TEXT    NOT NULL,
    version            INTEGER NOT NULL,
    created_at         INTEGER NOT NULL,
    modified_at        INTEGER NOT NULL,
    status             TEXT    NOT NULL,
    enabled            INTEGER NOT NULL,
    attributes         TEXT    NOT NULL,
    pending            TEXT,
    temporary_since    INTEGER,
    sign_in_attribute  TEXT    NOT NULL,
    email              TEXT,
    phone_number       TEXT,
    name               TEXT,
    given_name         TEXT,
    family_name        TEXT,
    preferred_username TEXT,
    PRIMARY KEY (pool_id, sub)
) STRICT;
CREATE INDEX users_username ON users (pool_id, username, sub);
CREATE INDEX users_username_fold ON users (pool_id, username_fold, sub);
CREATE INDEX users_status ON users (pool_id, status, sub);
CREATE INDEX users_enabled ON users (pool_id, enabled, sub);
CREATE INDEX users_email ON users (pool_id, email, sub) WHERE email IS NOT NULL;
CREATE INDEX users_phone_number ON users (pool_id, phone_number, sub) WHERE phone_number IS NOT NULL;
CREATE INDEX users_name ON users (pool_id, name, sub) WHERE name IS NOT NULL;
CREATE INDEX users_given_name ON users (pool_id, given_name, sub) WHERE given_name IS NOT NULL;
CREATE INDEX users_family_name ON users (pool_id, family_name, sub) WHERE family_name IS NOT NULL;
CREATE INDEX users_preferred_username ON users (pool_id, preferred_username, sub) WHERE preferred_username IS NOT NULL;

-- The names by which users are found. The primary key is what keeps them unique.
CREATE TABLE logins (
    pool_id   TEXT NOT NULL,
    space     TEXT NOT NULL,
    login_key TEXT NOT NULL,
    sub       TEXT NOT NULL,
    PRIMARY KEY (pool_id, space, login_key)
) STRICT, WITHOUT ROWID;

CREATE TABLE passwords (
    pool_id      TEXT    NOT NULL,
    sub          TEXT    NOT NULL,
    set_at       INTEGER NOT NULL,
    is_temporary INTEGER NOT NULL,
    sealed       BLOB    NOT NULL,
    PRIMARY KEY (pool_id, sub)
) STRICT;

CREATE TABLE codes (
    pool_id    TEXT    NOT NULL,
    sub        TEXT    NOT NULL,
    purpose    TEXT    NOT NULL,
    target     TEXT    NOT NULL,
    mac        BLOB    NOT NULL,
    created_at INTEGER NOT NULL,
    expires_at INTEGER NOT NULL,
    PRIMARY KEY (pool_id, sub, purpose)
) STRICT;

CREATE TABLE outbox (
    id         TEXT    NOT NULL PRIMARY KEY,
    request_id TEXT    NOT NULL,
    pool_id    TEXT    NOT NULL,
    sub        TEXT    NOT NULL,
    username   TEXT    NOT NULL,
    source     TEXT    NOT NULL,
    medium     TEXT    NOT NULL,
    recipient  TEXT    NOT NULL,
    attribute  TEXT    NOT NULL,
    client_id  TEXT    NOT NULL,
    state      TEXT    NOT NULL,
    created_at INTEGER NOT NULL,
    expires_at INTEGER NOT NULL,
    next_try   INTEGER NOT NULL,
    tries      INTEGER NOT NULL,
    last_error TEXT    NOT NULL,
    sealed     BLOB    NOT NULL
) STRICT;
CREATE INDEX outbox_due ON outbox (next_try, id) WHERE state IN ('compose', 'ready');
CREATE INDEX outbox_done ON outbox (created_at, id) WHERE state IN ('sent', 'dead');
CREATE INDEX outbox_user ON outbox (pool_id, sub);

CREATE TABLE inbox (
    id        TEXT    NOT NULL PRIMARY KEY,
    pool_id   TEXT    NOT NULL,
    username  TEXT    NOT NULL,
    source    TEXT    NOT NULL,
    medium    TEXT    NOT NULL,
    recipient TEXT    NOT NULL,
    arrived   INTEGER NOT NULL,
    sealed    BLOB    NOT NULL
) STRICT;
CREATE INDEX inbox_arrived ON inbox (arrived, id);
CREATE INDEX inbox_recipient ON inbox (recipient, arrived, id);
CREATE INDEX inbox_pool ON inbox (pool_id, arrived, id);

-- One line for each committed change, in the transaction of the change. Request ids sort by time, so lines are appended.
CREATE TABLE journal (
    request_id TEXT    NOT NULL PRIMARY KEY,
    at         INTEGER NOT NULL,
    caller     TEXT    NOT NULL,
    source     TEXT    NOT NULL,
    operation  TEXT    NOT NULL,
    pool_id    TEXT    NOT NULL,
    sub        TEXT    NOT NULL,
    names      TEXT    NOT NULL
) STRICT, WITHOUT ROWID;
CREATE INDEX journal_at ON journal (at, request_id);
