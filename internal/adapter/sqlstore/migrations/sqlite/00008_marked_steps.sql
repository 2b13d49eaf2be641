-- +goose Up
-- Whoever writes a step leaves a random mark, by which it finds out about a COMMIT whose answer was lost.
ALTER TABLE steps ADD COLUMN mark BLOB;
