-- +goose Up
-- How much users have spent of their budgets. The subject is a user's sub, or stands for the name of nobody.
CREATE TABLE tallies (
    pool_id            text COLLATE "C" NOT NULL,
    subject            text COLLATE "C" NOT NULL,
    budget             text COLLATE "C" NOT NULL,
    since_at           bigint,
    spent              bigint           NOT NULL,
    failures           bigint           NOT NULL,
    until_at           bigint,
    PRIMARY KEY (pool_id, subject, budget)
) WITH (fillfactor = 80);
CREATE INDEX tallies_since ON tallies (since_at) WHERE since_at IS NOT NULL;
