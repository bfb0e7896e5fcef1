package database

// queuesAll and queuesSome make the table queue(name): the queues that have READY
// records, or those that were asked for. $1 are the names asked for.
const (
	queuesAll = `queue(name) AS (
	(SELECT t.queue FROM @.tasks t WHERE t.stage < 2 AND $1::text[] IS NOT NULL ORDER BY t.queue LIMIT 1)
	UNION ALL
	SELECT (SELECT t.queue FROM @.tasks t WHERE t.stage < 2 AND t.queue > q.name ORDER BY t.queue LIMIT 1)
	FROM queue q WHERE q.name IS NOT NULL
)`
	queuesSome = `queue(name) AS (SELECT DISTINCT q.name COLLATE "C" FROM unnest($1::text[]) q(name))`
)

// levels makes the table level(queue, priority, first, id) of the priorities in use in queues that
// aren't left out ($2) or paused, with the earliest due and id of each, by going from one to the next in the
// index. first and id are where to begin in a level: before it there may be any number of entries of records
// that are claimed or finished already, which the server can't clean up while somebody, anywhere
// in the database, has a snapshot from before. They are walked once for each statement, here.
const levels = `level(queue, priority, first, id) AS (
	SELECT q.name, h.priority, h.due, h.id FROM queue q CROSS JOIN LATERAL (
		SELECT t.priority, t.due, t.id FROM @.tasks t WHERE t.stage < 2 AND t.queue = q.name ORDER BY t.priority DESC, t.due, t.id LIMIT 1
	) h
	WHERE q.name IS NOT NULL AND q.name <> ALL ($2::text[]) AND NOT EXISTS (SELECT FROM @.paused p WHERE p.queue = q.name)
	UNION ALL
	SELECT l.queue, h.priority, h.due, h.id FROM level l CROSS JOIN LATERAL (
		SELECT t.priority, t.due, t.id FROM @.tasks t
		WHERE t.stage < 2 AND t.queue = l.queue AND t.priority < l.priority ORDER BY t.priority DESC, t.due, t.id LIMIT 1
	) h
)`
