-- +goose Up
-- Steps of sign-ins: those that were passed, each of which counts once, and what does not fit into a session. They are kept until
-- their sessions have expired.
CREATE TABLE steps (
    pool_id            text COLLATE "C" NOT NULL,
    id                 text COLLATE "C" NOT NULL,
    passed             bigint           NOT NULL,
    expires_at         bigint           NOT NULL,
    sealed             bytea,
    PRIMARY KEY (pool_id, id)
);
CREATE INDEX steps_expires ON steps (expires_at);
