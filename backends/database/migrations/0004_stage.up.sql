-- Which indexes a record is in is written by the statements themselves, as stage: 0 READY and never
-- tried, 1 READY again, 2 RUNNING or final, 9 damaged. As a generated column it cost each
-- statement the time to make its expression ready, also those that don't change it.
--
-- The names are new on purpose. A process of an older version doesn't write stage: what it
-- settled, cancelled or swept would be in indexes where it doesn't belong, and could be claimed
-- again, or never. Each of its statements that changes a status names place or token, which is the
-- key of the claim that the record is RUNNING by, and fails now, since there is no such column.
-- What it enqueues has the right stage.
ALTER TABLE @.tasks RENAME COLUMN place TO stage;
ALTER TABLE @.tasks ALTER COLUMN stage DROP EXPRESSION;
ALTER TABLE @.tasks ALTER COLUMN stage SET DEFAULT 0;
ALTER TABLE @.tasks RENAME COLUMN token TO claim;
