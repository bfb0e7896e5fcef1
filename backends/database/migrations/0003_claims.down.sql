DROP INDEX @.tasks_cancels;
ALTER INDEX @.tasks_pkey RESET (fillfactor, deduplicate_items);
DROP TABLE @.turns;
