-- +goose Up
-- The APIs that tokens of a pool are made for. Scopes are JSON: a list of names and descriptions.
CREATE TABLE resource_servers (
    pool_id     TEXT    NOT NULL,
    identifier  TEXT    NOT NULL,
    name        TEXT    NOT NULL,
    scopes      TEXT    NOT NULL,
    managed     INTEGER NOT NULL,
    created_at  INTEGER NOT NULL,
    modified_at INTEGER NOT NULL,
    PRIMARY KEY (pool_id, identifier)
) STRICT;
