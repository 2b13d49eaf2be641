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

-- A user's accounts at external providers, and whether its password is off for good: JSON, NULL for most.
ALTER TABLE users ADD COLUMN external text COLLATE "C";

-- By which accounts users are found. The primary key keeps each with one user; long keys end with a digest.
CREATE TABLE identities (
    pool_id            text COLLATE "C" NOT NULL,
    provider           text COLLATE "C" NOT NULL,
    attribute          text COLLATE "C" NOT NULL,
    identity_key       text COLLATE "C" NOT NULL,
    sub                text COLLATE "C" NOT NULL,
    PRIMARY KEY (pool_id, provider, attribute, identity_key)
);

CREATE TABLE user_groups (
    pool_id            text COLLATE "C" NOT NULL,
    name               text COLLATE "C" NOT NULL,
    description        text COLLATE "C",
    role_arn           text COLLATE "C",
    precedence         bigint,
    created_at         bigint           NOT NULL,
    modified_at        bigint           NOT NULL,
    PRIMARY KEY (pool_id, name)
);

CREATE TABLE memberships (
    pool_id            text COLLATE "C" NOT NULL,
    group_name         text COLLATE "C" NOT NULL,
    sub                text COLLATE "C" NOT NULL,
    joined_at          bigint           NOT NULL,
    PRIMARY KEY (pool_id, group_name, sub)
);
CREATE INDEX memberships_user ON memberships (pool_id, sub);
