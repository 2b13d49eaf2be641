-- +goose Up
-- What completed sign-ins leave behind. A refresh token names its family, and a revoked family revokes every token of it.
CREATE TABLE families (
    pool_id            text COLLATE "C" NOT NULL,
    sub                text COLLATE "C" NOT NULL,
    id                 text COLLATE "C" NOT NULL,
    client_id          text COLLATE "C" NOT NULL,
    event_id           text COLLATE "C" NOT NULL,
    origin             text COLLATE "C" NOT NULL,
    scopes             text COLLATE "C" NOT NULL,
    device_key         text COLLATE "C" NOT NULL,
    auth_at            bigint           NOT NULL,
    created_at         bigint           NOT NULL,
    expires_at         bigint           NOT NULL,
    revoked_at         bigint,
    generation         bigint           NOT NULL,
    rotated_at         bigint,
    PRIMARY KEY (pool_id, sub, id)
) WITH (fillfactor = 90);
CREATE INDEX families_expires ON families (expires_at);

-- The keys that sign the tokens of a pool or seal its refresh tokens. Of each use one is current.
CREATE TABLE signing_keys (
    pool_id            text COLLATE "C" NOT NULL,
    id                 text COLLATE "C" NOT NULL,
    purpose            text COLLATE "C" NOT NULL,
    state              text COLLATE "C" NOT NULL,
    created_at         bigint           NOT NULL,
    changed_at         bigint           NOT NULL,
    sealed             bytea            NOT NULL,
    PRIMARY KEY (pool_id, id)
);
CREATE UNIQUE INDEX signing_keys_id ON signing_keys (id);
CREATE UNIQUE INDEX signing_keys_current ON signing_keys (pool_id, purpose) WHERE state = 'current';

-- SMS as second factor, turned on by the operations for that which came before the preferences.
ALTER TABLE users ADD COLUMN sms_option bigint NOT NULL DEFAULT 0;
