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
