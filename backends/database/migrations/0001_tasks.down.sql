DROP TABLE @.workers;
DROP TABLE @.paused;
DROP TABLE @.tasks;
