// Package bolt keeps tasks in a file, by way of bbolt: durable background work in
// one process, without a server.
//
//	store, err := bolt.Open(ctx, bolt.Options{Path: "tasks.db"})
//	err = app.Use("default", store)
//
// or, from configuration, {"default": {"backend": "bolt", "options": {"path": "tasks.db"}}}
// or the URL bolt:tasks.db (bolt:///var/lib/app/tasks.db for an absolute path).
//
// # Opening
//
// [Open] owns its file and closes it. The file is locked: another process that
// opens it gets an error that wraps tasks.ErrUnavailable and names the file and, on
// Linux, the process that has it, unless that one is in another container. A file of a newer format is refused, and a
// damaged or truncated one gives tasks.ErrDamaged; neither is changed. Beside it, with
// "-log" behind its name, is a log while it is open, and after a crash: what is in there
// and not in the file yet is brought over by the next Open (or New), so move and copy
// both. A log that belongs to another database is renamed, to the same name with
// ".aside" behind it, and never read; a lost one costs what was only there. Bind logs
// either as a warning. A damaged one gives tasks.ErrDamaged; moved away, it is as a lost
// one. After a crash every page is looked at before the file is used, which takes about a
// second for each gigabyte; after a Close it isn't.
//
// [New] borrows a database that the program has opened, for its own buckets
// beside the tasks. [EnqueueTx] then stores a task in the same transaction as the
// program's own data.
//
// # Capabilities
//
// Results, defer, priority, expire, worker, durable, transactional, notify (in
// this process), list and inspect. Not shared: the workers run in the process that
// has the file open.
//
// # Delivery
//
// At least once. When Enqueue or Settle has returned, the write is on the disk
// (fsync), also if the power fails the moment after. A record that was
// RUNNING when the process died is taken back by the next Open, at once: the
// attempt is recorded as lost and counts. On a borrowed database its lease has to
// run out first.
//
// Writes that come while another is being written are stored together with one
// fsync, so that many callers at once are much faster than one.
//
// A commit of bbolt takes two. So batches of up to 256 records and 64 KiB are stored
// by one fsync of the log, and committed with the next other write, or when somebody
// reads the store, or a tenth of a second later. Every call of this package sees them
// at once. If that commit fails, for instance because the disk is full, nothing is
// lost: they stay in the log, and all that needs it fails with tasks.ErrUnavailable
// until it succeeds, here or in the next Open. There is no log with Options.NoLog, on a
// borrowed database, after the first call of [Backend.DB], and where Options.MaxSize
// leaves less than 64 MiB.
//
// # Ordering
//
// Exact: priority, then due time, then id, across all queues that a claim asks for.
// A claim looks at the head of each priority of each queue, so its cost doesn't
// depend on how many records wait, but does on how many queues there are.
// Records of [EnqueueTx] are ordered by the time of the call, not of the commit.
//
// # Clock
//
// The process's own, to the microsecond. Setting it back delays what was due or
// to expire by as much.
//
// # Storage
//
// Everything is in one top-level bucket, "sideman", whose keys start with a byte
// that says what they are; keys.go describes them. Records have a compact binary
// form with a version. Arguments over 1 KiB are stored beside the record, so that
// a claim or settle doesn't write them again. Final records are deleted when their
// retention is over, and their pages are used again; the file doesn't shrink. To
// back it up while it is in use, call WriteTo of a bbolt read transaction on
// [Backend.DB]. The log has 1 MiB and is removed by Close.
//
// # Limits
//
// One process. One writer at a time: a long write transaction of the program's own
// holds up every enqueue and claim, and one that waits for a task deadlocks. A
// long read transaction keeps pages from being used again and makes the file grow.
// Not for network file systems, whose locks and mapped files can't be relied on.
// List without an index looks at up to 50,000 records for a page.
//
// # Findings of Check
//
//   - bolt.E001: closed.
//   - bolt.E002: the file can't be read.
//   - bolt.E003: the file can't be written any more.
//   - bolt.E004: the file or its log was removed, or replaced by another.
//   - bolt.E005: records that can't be decoded, and so aren't run.
//   - bolt.E006: what the log has can't be written to the file.
//   - bolt.W001: the file is on a network or user-space file system.
//   - bolt.W002: the database was opened with NoSync.
//   - bolt.W003: the log can't be made or written, so that enqueues are slower.
package bolt
