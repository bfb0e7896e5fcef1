package database

import (
	"sync"
	"time"

	"github.com/sideman-go/sideman/tasks"
)

// A claim finds the first READY record of a level by walking the index from its beginning, past the
// entries of all that was claimed since the server could last clean up: which is never, while
// somebody, anywhere in the database, has a snapshot from before. So while a backlog is drained, each large
// claim of this process begins where the one before has ended, which is marked for each level.
//
// What is put back before a mark would be missed: by another process that gives back, retries or
// recovers a record that was due earlier, or commits one that it has enqueued earlier. So marks
// hold for a short time only, and not any longer than there is more behind them than a claim asks for;
// and what this process puts back itself is seen at once.
const (
	// marksFrom is how many records a claim asks for that begins at marks.
	marksFrom = turnFrom
	// marksHold is for how long one claim after another may begin at marks.
	marksHold = time.Second
	// maxMarks bounds how many levels have marks.
	maxMarks = 100
)

// queuesAllMarked is queuesAll, but steps over the queues that have marks without a look at them.
// levelsMarked is levels, but begins at the mark in a level that has one. $11 to $14 are the
// queues, priorities, dues and ids of marks.
//
// walk is at a level each time, or, where first is NULL, before all levels of a queue or at one that has
// a mark and nothing behind it. From there it looks at what is above the next mark, at
// what is behind the mark, and else goes on from the level that the mark is in: the parts of a UNION ALL are
// read one after the other until there is a row.
const (
	marked = `mark(queue, priority, due, id) AS MATERIALIZED (
	SELECT m.queue COLLATE "C", m.priority, m.due::timestamptz, m.id COLLATE "C"
	FROM unnest($11::text[], $12::int2[], $13::text[], $14::text[]) AS m(queue, priority, due, id)
)`
	queuesAllMarked = marked + `,
queue(name) AS (
	SELECT '' COLLATE "C" WHERE $1::text[] IS NOT NULL
	UNION ALL
	SELECT CASE WHEN m.next IS NULL
		THEN (SELECT t.queue FROM @.tasks t WHERE t.stage < 2 AND t.queue > q.name ORDER BY t.queue LIMIT 1)
		ELSE coalesce((SELECT t.queue FROM @.tasks t WHERE t.stage < 2 AND t.queue > q.name AND t.queue < m.next ORDER BY t.queue LIMIT 1), m.next)
		END
	FROM queue q CROSS JOIN LATERAL (SELECT min(k.queue) AS next FROM mark k WHERE k.queue > q.name) m
	WHERE q.name IS NOT NULL
)`
	queuesSomeMarked = marked + `,
` + queuesSome
	levelsMarked = `walk(queue, priority, first, id) AS (
	SELECT q.name, 32768, NULL::timestamptz, NULL::text COLLATE "C" FROM queue q
	WHERE q.name IS NOT NULL AND q.name <> ALL ($2::text[]) AND NOT EXISTS (SELECT FROM @.paused p WHERE p.queue = q.name)
	UNION ALL
	SELECT w.queue, h.priority, h.due, h.id FROM walk w
	LEFT JOIN LATERAL (SELECT k.priority::int4, k.due, k.id FROM mark k WHERE k.queue = w.queue AND k.priority < w.priority ORDER BY k.priority DESC LIMIT 1) m ON true
	CROSS JOIN LATERAL (
		(SELECT t.priority::int4, t.due, t.id FROM @.tasks t
		WHERE t.stage < 2 AND t.queue = w.queue AND t.priority < w.priority AND t.priority > coalesce(m.priority, -32769)
		ORDER BY t.priority DESC, t.due, t.id LIMIT 1)
		UNION ALL
		(SELECT t.priority::int4, t.due, t.id FROM @.tasks t
		WHERE t.stage < 2 AND t.queue = w.queue AND t.priority = m.priority AND (t.due, t.id) >= (m.due, m.id)
		ORDER BY t.due, t.id LIMIT 1)
		UNION ALL
		(SELECT m.priority, NULL, NULL WHERE m.priority IS NOT NULL)
		LIMIT 1
	) h
),
level(queue, priority, first, id) AS (SELECT w.queue, w.priority, w.first, w.id FROM walk w WHERE w.first IS NOT NULL)`
)

// marks are where large claims of this process have got to.
type marks struct {
	mu    sync.Mutex
	since time.Time // when a claim last began at the beginning
	age   uint64    // how often they were forgotten
	last  map[level]*mark
}

// level is a priority of a queue.
type level struct {
	queue    string
	priority int
}

// mark is the last record of a level that a claim took.
type mark struct {
	due time.Time
	id  string
}

// beginning is where a claim begins.
type beginning struct {
	age        uint64
	queues     []string
	priorities []int16
	dues, ids  []string
}

// marked says that the claim can miss what is before marks.
func (g *beginning) marked() bool { return len(g.queues) > 0 }

// begin returns where a claim of so many records begins.
func (m *marks) begin(limit int) *beginning {
	if limit < marksFrom {
		return &beginning{}
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	if now := time.Now(); now.Sub(m.since) >= marksHold || len(m.last) > maxMarks {
		m.forget()
		m.since = now
	}
	g := &beginning{age: m.age}
	for l, k := range m.last {
		g.queues, g.priorities = append(g.queues, l.queue), append(g.priorities, int16(l.priority))
		g.dues, g.ids = append(g.dues, timeText(k.due)), append(g.ids, k.id)
	}
	return g
}

// ended notes what a claim of so many has taken, and reports whether there may be more before the marks
// that it began at.
func (m *marks) ended(g *beginning, limit int, taken []*tasks.Record) (missed bool) {
	if limit < marksFrom {
		return false
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	switch {
	case len(taken) < limit:
		m.forget()
	case g.age == m.age:
		if m.last == nil {
			m.last = make(map[level]*mark)
		}
		var in level
		var last *mark
		for _, r := range taken {
			if l := (level{r.Queue, r.Priority}); last == nil || l != in {
				in = l
				if last = m.last[l]; last == nil {
					last = &mark{}
					m.last[l] = last
				}
			}
			if due := r.DueAt(); last.due.Before(due) || (last.due.Equal(due) && last.id < r.ID) {
				*last = mark{due, r.ID}
			}
		}
	}
	return g.marked() && len(taken) < limit
}

// back is called when a record was put back that may be before a mark.
func (m *marks) back() {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.forget()
}

// forget begins at the beginning again, and has claims that are on their way leave no marks.
func (m *marks) forget() {
	m.age++
	m.last = nil
}
