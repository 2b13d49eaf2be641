-- +goose Up
-- Instants are milliseconds UTC, booleans 0 or 1. Columns called sealed, data_key, wrapped or mac hold no plain secret.

-- What the database itself has to know: by which rule login keys were folded.
CREATE TABLE meta (
    name               text COLLATE "C" NOT NULL PRIMARY KEY,
    value              text COLLATE "C" NOT NULL
);

-- The server's own data keys, wrapped by the key-encryption key.
CREATE TABLE server_keys (
    name               text COLLATE "C" NOT NULL PRIMARY KEY,
    wrapped            bytea            NOT NULL
);

CREATE TABLE settings (
    name               text COLLATE "C" NOT NULL PRIMARY KEY,
    sealed             bytea            NOT NULL
);

CREATE TABLE access_keys (
    id                 text COLLATE "C" NOT NULL PRIMARY KEY,
    name               text COLLATE "C" NOT NULL,
    sealed             bytea,
    mac                bytea,
    actions            text COLLATE "C" NOT NULL,
    pools              text COLLATE "C" NOT NULL,
    created_at         bigint           NOT NULL,
    expires_at         bigint
);
CREATE UNIQUE INDEX access_keys_mac ON access_keys (mac) WHERE mac IS NOT NULL;

CREATE TABLE pools (
    id                 text COLLATE "C" NOT NULL PRIMARY KEY,
    region             text COLLATE "C" NOT NULL,
    account            text COLLATE "C" NOT NULL,
    version            bigint           NOT NULL,
    created_at         bigint           NOT NULL,
    modified_at        bigint           NOT NULL,
    replica            bigint           NOT NULL,
    settings           text COLLATE "C" NOT NULL,
    data_key           bytea            NOT NULL
);
CREATE INDEX pools_region ON pools (region, id);

-- Ids of deleted pools, and subs of deleted users: never given out again.
CREATE TABLE gone_pools (
    id                 text COLLATE "C" NOT NULL PRIMARY KEY
);

CREATE TABLE gone_users (
    pool_id            text COLLATE "C" NOT NULL,
    sub                text COLLATE "C" NOT NULL,
    PRIMARY KEY (pool_id, sub)
);

CREATE TABLE clients (
    pool_id            text COLLATE "C" NOT NULL,
    id                 text COLLATE "C" NOT NULL,
    version            bigint           NOT NULL,
    created_at         bigint           NOT NULL,
    modified_at        bigint           NOT NULL,
    settings           text COLLATE "C" NOT NULL,
    sealed             bytea,
    PRIMARY KEY (pool_id, id)
);
CREATE UNIQUE INDEX clients_id ON clients (id);

-- The columns behind sign_in_attribute are copies from attributes, cut to 1024 bytes: users are listed by them.
CREATE TABLE users (
    pool_id            text COLLATE "C" NOT NULL,
    sub                text COLLATE "C" NOT NULL,
    username           text COLLATE "C" NOT NULL,
    username_fold      text COLLATE "C" NOT NULL,
    version            bigint           NOT NULL,
    created_at         bigint           NOT NULL,
    modified_at        bigint           NOT NULL,
    status             text COLLATE "C" NOT NULL,
    enabled            bigint           NOT NULL,
    attributes         text COLLATE "C" NOT NULL,
    pending            text COLLATE "C",
    temporary_since    bigint,
    sign_in_attribute  text COLLATE "C" NOT NULL,
    email              text COLLATE "C",
    phone_number       text COLLATE "C",
    name               text COLLATE "C",
    given_name         text COLLATE "C",
    family_name        text COLLATE "C",
    preferred_username text COLLATE "C",
    PRIMARY KEY (pool_id, sub)
) WITH (fillfactor = 80);
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
    pool_id            text COLLATE "C" NOT NULL,
    space              text COLLATE "C" NOT NULL,
    login_key          text COLLATE "C" NOT NULL,
    sub                text COLLATE "C" NOT NULL,
    PRIMARY KEY (pool_id, space, login_key)
);

CREATE TABLE passwords (
    pool_id            text COLLATE "C" NOT NULL,
    sub                text COLLATE "C" NOT NULL,
    set_at             bigint           NOT NULL,
    is_temporary       bigint           NOT NULL,
    sealed             bytea            NOT NULL,
    PRIMARY KEY (pool_id, sub)
);

CREATE TABLE codes (
    pool_id            text COLLATE "C" NOT NULL,
    sub                text COLLATE "C" NOT NULL,
    purpose            text COLLATE "C" NOT NULL,
    target             text COLLATE "C" NOT NULL,
    mac                bytea            NOT NULL,
    created_at         bigint           NOT NULL,
    expires_at         bigint           NOT NULL,
    PRIMARY KEY (pool_id, sub, purpose)
);

CREATE TABLE outbox (
    id                 text COLLATE "C" NOT NULL PRIMARY KEY,
    request_id         text COLLATE "C" NOT NULL,
    pool_id            text COLLATE "C" NOT NULL,
    sub                text COLLATE "C" NOT NULL,
    username           text COLLATE "C" NOT NULL,
    source             text COLLATE "C" NOT NULL,
    medium             text COLLATE "C" NOT NULL,
    recipient          text COLLATE "C" NOT NULL,
    attribute          text COLLATE "C" NOT NULL,
    client_id          text COLLATE "C" NOT NULL,
    state              text COLLATE "C" NOT NULL,
    created_at         bigint           NOT NULL,
    expires_at         bigint           NOT NULL,
    next_try           bigint           NOT NULL,
    tries              bigint           NOT NULL,
    last_error         text COLLATE "C" NOT NULL,
    sealed             bytea            NOT NULL
);
CREATE INDEX outbox_due ON outbox (next_try, id) WHERE state IN ('compose', 'ready');
CREATE INDEX outbox_done ON outbox (created_at, id) WHERE state IN ('sent', 'dead');
CREATE INDEX outbox_user ON outbox (pool_id, sub);

CREATE TABLE inbox (
    id                 text COLLATE "C" NOT NULL PRIMARY KEY,
    pool_id            text COLLATE "C" NOT NULL,
    username           text COLLATE "C" NOT NULL,
    source             text COLLATE "C" NOT NULL,
    medium             text COLLATE "C" NOT NULL,
    recipient          text COLLATE "C" NOT NULL,
    arrived            bigint           NOT NULL,
    sealed             bytea            NOT NULL
);
CREATE INDEX inbox_arrived ON inbox (arrived, id);
CREATE INDEX inbox_recipient ON inbox (recipient, arrived, id);
CREATE INDEX inbox_pool ON inbox (pool_id, arrived, id);

-- One line for each committed change, in the transaction of the change.
CREATE TABLE journal (
    request_id         text COLLATE "C" NOT NULL PRIMARY KEY,
    at                 bigint           NOT NULL,
    caller             text COLLATE "C" NOT NULL,
    source             text COLLATE "C" NOT NULL,
    operation          text COLLATE "C" NOT NULL,
    pool_id            text COLLATE "C" NOT NULL,
    sub                text COLLATE "C" NOT NULL,
    names              text COLLATE "C" NOT NULL
);
CREATE INDEX journal_at ON journal (at, request_id);
