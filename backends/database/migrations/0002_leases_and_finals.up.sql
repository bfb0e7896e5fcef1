-- Settling a record changes no column of an index any more, so that its new version goes to
-- the page of the old one and no index gets an entry for it. So what found records by
-- until, which settling changes, is in tables of its own, with one row for many records.

-- Which indexes a record is in: 0 READY and never tried, 1 READY again, 2 RUNNING or
-- final, 9 damaged.
ALTER TABLE @.tasks ADD COLUMN place smallint NOT NULL GENERATED ALWAYS AS (
    CASE WHEN status = 0 AND attempts = 0 THEN 0 WHEN status = 0 THEN 1 WHEN status = 9 THEN 9 ELSE 2 END
) STORED;

-- Room on each page for the versions that claim and settle write: with less, they go to
-- other pages, and are written to the WAL whole.
ALTER TABLE @.tasks SET (fillfactor = 35);

DROP INDEX @.tasks_ready, @.tasks_expiry, @.tasks_leases, @.tasks_final, @.tasks_damaged;
CREATE INDEX tasks_ready ON @.tasks (queue, priority DESC, due, id) WHERE place < 2;
CREATE INDEX tasks_expiry ON @.tasks (expires_at) WHERE place = 0 AND expires_at IS NOT NULL;
CREATE INDEX tasks_damaged ON @.tasks (id) WHERE place = 9;

-- Claims. Each RUNNING record is in the ids of one at least whose until isn't later than its
-- own: a sweep looks at the records of a claim when its until is past, and sets that anew or
-- deletes the claim. key is the token of the claim's leases.
CREATE TABLE @.leases (
    until timestamptz NOT NULL,
    n     integer     NOT NULL, -- how many ids
    key   bytea       NOT NULL,
    ids   text[] COLLATE "C" NOT NULL
) WITH (
    autovacuum_vacuum_scale_factor = 0.02,
    autovacuum_vacuum_threshold = 1000,
    autovacuum_analyze_scale_factor = 0.02,
    autovacuum_analyze_threshold = 1000
);
-- Compressing costs more than it saves.
ALTER TABLE @.leases ALTER COLUMN ids SET STORAGE EXTERNAL;
CREATE INDEX leases_until ON @.leases (until);

-- Records that were settled together. Each final record that isn't kept for ever is in the ids of
-- one at least whose until isn't later than its own.
CREATE TABLE @.finals (
    until timestamptz NOT NULL,
    n     integer     NOT NULL, -- how many ids
    ids   text[] COLLATE "C" NOT NULL
) WITH (
    autovacuum_vacuum_scale_factor = 0.02,
    autovacuum_vacuum_threshold = 1000,
    autovacuum_analyze_scale_factor = 0.02,
    autovacuum_analyze_threshold = 1000
);
ALTER TABLE @.finals ALTER COLUMN ids SET STORAGE EXTERNAL;
CREATE INDEX finals_until ON @.finals (until);

INSERT INTO @.leases (until, n, key, ids)
SELECT min(g.until), count(*), '', array_agg(g.id) FROM (
    SELECT t.id, t.until, row_number() OVER (ORDER BY t.until) / 1000 AS part FROM @.tasks t WHERE t.status = 1 AND t.until IS NOT NULL
) g GROUP BY g.part;
INSERT INTO @.finals (until, n, ids)
SELECT min(g.until), count(*), array_agg(g.id) FROM (
    SELECT t.id, t.until, row_number() OVER (ORDER BY t.until) / 1000 AS part FROM @.tasks t WHERE t.status IN (2, 3, 4) AND t.until IS NOT NULL
) g GROUP BY g.part;
