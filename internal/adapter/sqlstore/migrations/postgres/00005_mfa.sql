-- +goose Up
-- Authenticator apps. last_step is the step of the last code that was accepted; the keys and the app's name are sealed.
CREATE TABLE software_tokens (
    pool_id   text COLLATE "C" NOT NULL,
    sub       text COLLATE "C" NOT NULL,
    last_step bigint           NOT NULL,
    sealed    bytea            NOT NULL,
    PRIMARY KEY (pool_id, sub)
);

-- Which second factors a user has turned on, and which one is preferred: JSON, NULL for most.
ALTER TABLE users ADD COLUMN mfa text;
