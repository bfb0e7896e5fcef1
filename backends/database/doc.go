// Package database keeps tasks in PostgreSQL, 14 or later, by way of pgx: for services of
// many processes, with the tasks beside their data and in the same transactions.
//
//	store, err := database.Open(ctx, database.Options{URL: "postgres://app@db/app", Migrate: true})
//	err = app.Use("default", store)
//
// or, from configuration, {"default": {"url": "postgres://app@db/app?migrate=true"}}.
//
// # Opening
//
// [Open] makes a pool of connections from a URL, and closes it. [New] borrows a pool that
// the program has. [EnqueueTx] stores a task in a pgx transaction of the program's own, and
// [EnqueueSQLTx] in one of database/sql with pgx's stdlib driver.
//
// The tables are in a schema of their own, "sideman" unless Options.Schema says otherwise.
// Options.Migrate makes and upgrades them at Open; [Migrator] does it by hand: Up, Down,
// Status, and SQL for those who run it themselves. Any number of processes may migrate at
// once. Until the tables are there, calls return tasks.ErrUnavailable and Check says what to
// do. Besides SELECT, INSERT, UPDATE and DELETE on the tables nothing is needed to run.
//
// Behind PgBouncer in transaction mode, set poll_only=true and, as for every program that
// uses pgx there, default_query_exec_mode=simple_protocol (or exec). Without the first, nothing is
// heard and idle workers find work only by looking; without the second, calls fail now and then
// unless PgBouncer keeps prepared statements, which it can from 1.21 on. Check tells of both.
//
// # Capabilities
//
// Results, defer, priority, expire, worker, durable, shared, transactional, list and
// inspect; notify too, unless Options.PollOnly is set.
//
// # Delivery
//
// At least once. When Enqueue or Settle has returned, the write is committed, as durably as
// the server's synchronous_commit says. One statement is one commit, whatever it takes:
// nothing is left half done by a process that dies, and no lock outlives a statement, so one
// that hangs is in nobody's way. Claims skip what others have locked. Those of 200 records and more
// take turns, since they would only slow each other down; who has waited in vain for two seconds,
// because a process hangs that has its turn, does without for half a minute.
//
// Enqueues of one process that come while another is being written are stored together, with
// one fsync: by one statement with one round trip, or from 64 records on by COPY in a
// transaction of its own, with three. Of a process that hangs between those, nobody waits but who
// enqueues the same ids.
//
// A write that gets no answer is given a tenth of a second more than its ctx, and is then
// tasks.ErrUnknownOutcome. What a claim took whose answer was lost is given back as soon as
// the server can be reached, and its attempt doesn't count.
//
// Idle workers are told of new work by LISTEN and NOTIFY, on one connection for each backend
// that workers wait on, outside of the pool. It is asked every few seconds whether it is
// alive and replaced if not; meanwhile, and with PollOnly, they look every PollInterval.
// A notification is part of the transaction that stores the task.
//
// # Ordering
//
// Exact for one claim at a time: priority, then due time, then id, across all queues that
// the claim asks for. Claims at the same time share the head of the line between them.
// A claim looks at the head of each priority of each queue, so its cost doesn't depend on how
// many records wait, are deferred or have finished, but does on how many queues there are.
// While a backlog is drained, claims of 200 records and more begin where the one before, of the same
// Backend, has ended in each level, and at the beginning once a second or when there is less
// than they ask for. So what other processes put back meanwhile, or commit late, can be overtaken
// for a second by what was due after it; new records of any queue and priority aren't.
// Records of [EnqueueTx] are ordered by the time of the call, not of the commit.
//
// # Clock
//
// The server's, to the microsecond. After a failover it is the new server's.
//
// # Storage
//
// One row for each record, in the table tasks, and while it is READY it is in a partial index besides
// the primary key. To settle it changes no index, so that the row is written again on its page and
// nothing else. So what sweeps look for is found by other tables: leases has one row for each claim, with
// the ids of its records, and finals one for what was settled together. Pages of tasks have room
// for three versions of each row, so that 1,000,000 finished records take about 0.4 GB. A task costs
// about 0.94 kB of WAL from enqueue to success. What may hold any bytes is bytea: arguments, values, errors,
// worker ids, metadata. Ids, queues and tasks are text, so the database should have the
// encoding UTF8. Any worker sweeps, a bounded part at a time; there is no leader.
//
// # Limits
//
// A name of a queue, task or alias has up to 512 bytes, an id 255, arguments 64 MiB, times the
// years 1 to 9999. A transaction that is open for hours anywhere in the database keeps
// VACUUM from cleaning up, and claims that begin at the beginning get slower by what they have to step over. NOTIFY
// makes commits of enqueues in one database queue up behind one another, which bounds those
// of single records at what one disk can sync; batches, and callers in one process, share
// one. Queues counts every record: about a second for some millions. List
// walks the primary key for 2,000 records, and if a page isn't full then reads the table through,
// which takes as long; Prune walks it and looks at up to 50,000 records for a batch. Hooks aren't told of what is
// enqueued in the caller's transaction, since nothing says when it is committed.
//
// # Findings of Check
//
//   - database.E001: closed.
//   - database.E002: the server can't be reached or asked.
//   - database.E003: the schema has no tables.
//   - database.E004: the schema is behind its migrations.
//   - database.E005: the server is older than PostgreSQL 14.
//   - database.E006: the server takes no writes: a standby, or read-only transactions.
//   - database.E007: the user lacks rights on the tables.
//   - database.E008: records that can't be decoded, and so aren't run.
//   - database.E009: a pooler in transaction mode is in between, which keeps no prepared statements.
//   - database.W001: the schema is of a newer version of this package.
//   - database.W002: fsync or synchronous_commit is off: a crash loses tasks.
//   - database.W003: the database's encoding isn't UTF8.
//   - database.W004: a pooler in transaction mode is in between, and poll_only isn't set.
package database
