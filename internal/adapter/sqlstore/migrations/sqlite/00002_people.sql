-- +goose Up
-- How much users have spent of their budgets. The subject is a user's sub, or stands for the name of nobody.
CREATE TABLE tallies (
    pool_id  TEXT    NOT NULL,
    subject  TEXT    NOT NULL,
    budget   TEXT    NOT NULL,
    since_at INTEGER,
    spent    INTEGER NOT NULL,
    failures INTEGER NOT NULL,
    until_at INTEGER,
    PRIMARY KEY (pool_id, subject, budget)
) STRICT, WITHOUT ROWID;
CREATE INDEX tallies_since ON tallies (since_at) WHERE since_at IS NOT NULL;

-- A user's accounts at external providers, and whether its password is off for good: JSON, NULL for most.
ALTER TABLE users ADD COLUMN external TEXT;

-- By which accounts users are found. The primary key keeps each with one user; long keys end with a digest.
CREATE TABLE identities (
    pool_id      TEXT NOT NULL,
    provider     TEXT NOT NULL,
    attribute    TEXT NOT NULL,
    identity_key TEXT NOT NULL,
    sub          TEXT NOT NULL,
    PRIMARY KEY (pool_id, provider, attribute, identity_key)
) STRICT, WITHOUT ROWID;

CREATE TABLE user_groups (
    pool_id     TEXT    NOT NULL,
    name        TEXT    NOT NULL,
    description TEXT,
    role_arn    TEXT,
    precedence  INTEGER,
    created_at  INTEGER NOT NULL,
    modified_at INTEGER NOT NULL,
    PRIMARY KEY (pool_id, name)
) STRICT;

CREATE TABLE memberships (
    pool_id    TEXT    NOT NULL,
    group_name TEXT    NOT NULL,
    sub        TEXT    NOT NULL,
    joined_at  INTEGER NOT NULL,
    PRIMARY KEY (pool_id, group_name, sub)
) STRICT, WITHOUT ROWID;
CREATE INDEX memberships_user ON memberships (pool_id, sub);
