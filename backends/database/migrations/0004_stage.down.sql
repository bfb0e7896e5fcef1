DROP INDEX @.tasks_ready, @.tasks_expiry, @.tasks_damaged;
ALTER TABLE @.tasks DROP COLUMN stage;
ALTER TABLE @.tasks RENAME COLUMN claim TO token;
ALTER TABLE @.tasks ADD COLUMN place smallint NOT NULL GENERATED ALWAYS AS (
    CASE WHEN status = 0 AND attempts = 0 THEN 0 WHEN status = 0 THEN 1 WHEN status = 9 THEN 9 ELSE 2 END
) STORED;
CREATE INDEX tasks_ready ON @.tasks (queue, priority DESC, due, id) WHERE place < 2;
CREATE INDEX tasks_expiry ON @.tasks (expires_at) WHERE place = 0 AND expires_at IS NOT NULL;
CREATE INDEX tasks_damaged ON @.tasks (id) WHERE place = 9;
