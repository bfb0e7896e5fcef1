-- The tables of Sideman. @ stands for the schema.

-- A record. What claim and settle don't change comes first, and then what only claim does: of a
-- new version on the same page only what lies between the first and the last difference is
-- written to the WAL. What may hold
-- any bytes is bytea; the layout of metadata, workers and errors is in codec.go.
CREATE TABLE @.tasks (
    enqueued_at      timestamptz NOT NULL,
    due              timestamptz NOT NULL, -- enqueued_at, or run_after if that is later
    run_after        timestamptz,
    expires_at       timestamptz,
    timeout          bigint,               -- nanoseconds
    retain           bigint,               -- nanoseconds; NULL is as the backend is configured
    max_attempts     bigint      NOT NULL,
    priority         smallint    NOT NULL,
    id               text COLLATE "C" NOT NULL,
    queue            text COLLATE "C" NOT NULL,
    task             text COLLATE "C" NOT NULL,
    alias            text COLLATE "C" NOT NULL,
    args             bytea,
    metadata         bytea,
    attempts         integer     NOT NULL DEFAULT 0,
    started_at       timestamptz,          -- of the first attempt
    attempted_at     timestamptz,          -- of the newest attempt
    workers          bytea,                -- one entry for each attempt
    errors           bytea,                -- one entry for each failed attempt
    status           smallint    NOT NULL DEFAULT 0, -- 0 READY, 1 RUNNING, 2 SUCCESSFUL, 3 FAILED, 4 CANCELLED, 9 damaged
    cancel_requested boolean     NOT NULL DEFAULT false,
    finished_at      timestamptz,
    until            timestamptz,          -- RUNNING: the lease's deadline; final: when to delete, NULL is never
    token            bytea,                -- of the lease
    cancel_reason    bytea,
    value            bytea,
    CONSTRAINT tasks_pkey PRIMARY KEY (id)
) WITH (
    -- Room on each page for the versions that claim and settle write.
    fillfactor = 50,
    autovacuum_vacuum_scale_factor = 0.02,
    autovacuum_vacuum_threshold = 1000,
    autovacuum_analyze_scale_factor = 0.02,
    autovacuum_analyze_threshold = 1000
);

-- Every index is partial: a record is only in the one that its status needs.
CREATE INDEX tasks_ready ON @.tasks (queue, priority DESC, due, id) WHERE status = 0;
CREATE INDEX tasks_expiry ON @.tasks (expires_at) WHERE status = 0 AND attempts = 0 AND expires_at IS NOT NULL;
CREATE INDEX tasks_leases ON @.tasks (until) WHERE status = 1;
CREATE INDEX tasks_final ON @.tasks (until) WHERE status IN (2, 3, 4) AND until IS NOT NULL;
CREATE INDEX tasks_damaged ON @.tasks (id) WHERE status = 9;

-- Queues that are paused.
CREATE TABLE @.paused (
    queue     text COLLATE "C" PRIMARY KEY,
    paused_at timestamptz NOT NULL
);

-- The last heartbeat of each worker.
CREATE TABLE @.workers (
    id      bytea PRIMARY KEY,
    beat_at timestamptz NOT NULL,
    forget  timestamptz NOT NULL, -- when a sweep may delete it
    info    bytea NOT NULL        -- tasks.WorkerInfo as JSON
) WITH (fillfactor = 50);
