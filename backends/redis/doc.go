// Package redis keeps tasks in a Redis or Valkey server: shared by any number of programs,
// as durable as the server is configured to be.
//
//	store, err := redis.Open(ctx, redis.Options{URL: "redis://localhost:6379/0"})
//	err = app.Use("default", store)
//
// or, from configuration, {"default": {"url": "redis://localhost:6379/0"}}, or
// {"default": {"backend": "redis", "options": {"addrs": ["a:6379", "b:6379"], "namespace": "mail"}}}.
//
// # Opening
//
// [Open] connects and owns the connections: to one server by its URL, to a Cluster by the
// addresses of some nodes, or through Sentinel by the addresses of the Sentinels and the
// name of the master. It needs Redis 6.2 or later, or Valkey. [New] borrows a client of
// go-redis that the program has; that should have ContextTimeoutEnabled set.
//
// Everything is under a namespace, which is a prefix of keys, so that several programs can
// use one server without seeing each other's tasks.
//
// # Capabilities
//
// Results, defer, priority, expire, worker, durable (as the server is configured; Check
// warns), shared, notify, list and inspect. Not transactional: Redis has no transactions
// that a task could be part of.
//
// # Delivery
//
// At least once. Each call is a Lua script, which the server runs whole and alone; the
// scripts are in the folder lua, each with its inputs, its outputs, and why it is safe.
// What a script has stored is as safe as the server makes it: with appendonly yes and
// appendfsync everysec, the usual configuration, a crash of the machine loses up to a second
// of writes, and a fail-over to a replica those that it hasn't got yet. For tasks that mustn't
// be lost so, set appendfsync always, or use another backend.
//
// A script whose reply is lost is sent again only where that does no harm, whatever the
// client's MaxRetries: then the outcome is known after all. Otherwise the error wraps
// tasks.ErrUnknownOutcome. A claim whose reply is lost is given back.
//
// A record that is due at once, and the only one of its call, is only appended. Scripts that look at
// the queues, as claims do, index first what was appended since; so it is seen at once, and counts
// in the order of its time. A program that enqueues in a burst on which nobody works or looks leaves up
// to about 400,000 records in each shard to be indexed so, and has them indexed itself, piece by piece,
// once it pauses for a tenth of a second. Who comes before that waits for the rest, up to three seconds
// on two cores. A server that takes no writes can't index, either: while there is something to index,
// lists and counts fail there as claims do.
//
// Calls of Enqueue that come while another is on its way go together in one script, on a connection
// that Open has for that. One that comes alone waits for the answer itself; the connection is closed
// when the caller's ctx ends before the answer comes. On it a plain TCP or Unix connection is looked at
// for up to 0.1 ms, which takes processor time, before its reader sleeps until the answer comes: a
// server on the same machine answers in less. Where answers take longer, that ends after a few of them.
//
// While a server loads, is being replaced by its replica, or has the slot on the move,
// calls wait for it for up to two seconds, or until their ctx ends.
//
// # Ordering
//
// Exact: priority, then due time, then id, across all queues that a claim asks for. The
// cost of a claim doesn't depend on how many records wait, but does on how many queues and
// priorities are in use.
//
// With Options.Shards over 1 the records are spread over that many hash slots, by the last
// four bytes of their ids, and so over the nodes of a Cluster. Then the order is exact
// within each shard only, claims visit the shards in turn, and the records of one Enqueue have
// to be in one shard: a batch that isn't is refused whole with tasks.ErrUnsupported. Ids that
// end in the same four bytes are in the same shard. One shard is enough for some tens of
// thousands of tasks a second.
//
// # Clock
//
// The server's, to the microsecond; after a fail-over the new server's. Programs' own clocks
// don't matter.
//
// # Storage
//
// The keys of a shard start with "{namespace:shard}:"; lua/base.lua lists them. A record is a
// string with a versioned head that scripts read and write, another one with an encoded part that
// never changes, and, where there are any, one with the value and a hash with errors and the reason
// of a cancellation; it takes about 650 bytes and its arguments. Before it is indexed it is a field of
// one hash. Final records are deleted by workers when their retention is over. Redis's own expiry
// isn't used for records, and a server that evicts keys loses tasks.
//
// A server at its maxmemory refuses new tasks with tasks.ErrUnavailable and stores none of
// them by halves; what is stored already can be claimed, settled and deleted.
//
// # Limits
//
// An Enqueue of very many records is one script, during which the server does nothing else: 10,000
// take about a fifth of a second. FAILED and CANCELLED records and those with errors are found by
// indexes of their own, and so are READY and RUNNING ones if there are 10,000 or fewer. Otherwise
// List looks at the heads of up to 100,000 records for a page, in scripts of a few thousand: to
// find the few SUCCESSFUL ones of a task among a million takes seconds. Users of an ACL need the
// commands of the scripts, MULTI and EXEC, and, for wake-ups, the channel "namespace:news"; without
// it, idle workers poll four times a second. Not for a Ring of go-redis, and not for replicas.
//
// # Findings of Check
//
//   - redis.E001: closed.
//   - redis.E002: the server can't be reached, or refuses the user.
//   - redis.E003: the server is older than 6.2.
//   - redis.E004: maxmemory-policy isn't noeviction: tasks may be deleted.
//   - redis.E005: records that can't be decoded, and so aren't run.
//   - redis.E006: the server is a replica.
//   - redis.E007: the server can't write its files.
//   - redis.E008: the namespace was made with other shards or by a newer version.
//   - redis.W001: persistence is off: a restart loses everything.
//   - redis.W002: the borrowed client doesn't have ContextTimeoutEnabled.
//   - redis.W003: more than nine tenths of maxmemory are used.
package redis
