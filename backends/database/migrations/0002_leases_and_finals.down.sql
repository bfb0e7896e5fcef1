DROP TABLE @.leases, @.finals;
DROP INDEX @.tasks_ready, @.tasks_expiry, @.tasks_damaged;
ALTER TABLE @.tasks DROP COLUMN place;
ALTER TABLE @.tasks SET (fillfactor = 50);
CREATE INDEX tasks_ready ON @.tasks (queue, priority DESC, due, id) WHERE status = 0;
CREATE INDEX tasks_expiry ON @.tasks (expires_at) WHERE status = 0 AND attempts = 0 AND expires_at IS NOT NULL;
CREATE INDEX tasks_leases ON @.tasks (until) WHERE status = 1;
CREATE INDEX tasks_final ON @.tasks (until) WHERE status IN (2, 3, 4) AND until IS NOT NULL;
CREATE INDEX tasks_damaged ON @.tasks (id) WHERE status = 9;
