-- +goose Up
-- The APIs that tokens of a pool are made for. Scopes are JSON: a list of names and descriptions.
CREATE TABLE resource_servers (
    pool_id            text COLLATE "C" NOT NULL,
    identifier         text COLLATE "C" NOT NULL,
    name               text COLLATE "C" NOT NULL,
    scopes             text COLLATE "C" NOT NULL,
    managed            bigint           NOT NULL,
    created_at         bigint           NOT NULL,
    modified_at        bigint           NOT NULL,
    PRIMARY KEY (pool_id, identifier)
);
