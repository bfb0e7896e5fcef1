package memstore

import (
	"cmp"
	"strconv"
	"time"

	"github.com/sideman-go/sideman/tasks"
)

func orderFaults() []Fault {
	byDue := func(a, b *tasks.Record) int { return a.DueAt().Compare(b.DueAt()) }
	byID := func(a, b *tasks.Record) int { return cmp.Compare(a.ID, b.ID) }
	byPriority := func(a, b *tasks.Record) int { return cmp.Compare(b.Priority, a.Priority) }
	return []Fault{
		{Name: "order-without-priority", Doc: "priorities don't matter", rules: ordered(func(a, b *tasks.Record) int {
			return cmp.Or(byDue(a, b), byID(a, b))
		})},
		{Name: "order-priority-reversed", Doc: "smaller priorities come first, as in River", rules: ordered(func(a, b *tasks.Record) int {
			return cmp.Or(-byPriority(a, b), byDue(a, b), byID(a, b))
		})},
		{Name: "order-priority-as-text", Doc: "priorities are compared as text, so 9 comes before 10", rules: ordered(func(a, b *tasks.Record) int {
			return cmp.Or(cmp.Compare(priorityText(b), priorityText(a)), byDue(a, b), byID(a, b))
		})},
		{Name: "order-priority-three", Doc: "priorities are only high, normal and low", rules: ordered(func(a, b *tasks.Record) int {
			return cmp.Or(cmp.Compare(cmp.Compare(b.Priority, 0), cmp.Compare(a.Priority, 0)), byDue(a, b), byID(a, b))
		})},
		{Name: "order-lifo", Doc: "the newest record comes first", rules: ordered(func(a, b *tasks.Record) int {
			return cmp.Or(byPriority(a, b), -byDue(a, b), -byID(a, b))
		})},
		{Name: "order-by-id", Doc: "within a priority the id decides, not the time when a record became due", rules: ordered(func(a, b *tasks.Record) int {
			return cmp.Or(byPriority(a, b), byID(a, b))
		})},
		{Name: "order-by-enqueue", Doc: "within a priority the time of enqueue decides, also for deferred records", rules: ordered(func(a, b *tasks.Record) int {
			return cmp.Or(byPriority(a, b), a.EnqueuedAt.Compare(b.EnqueuedAt), byID(a, b))
		})},
		{Name: "order-by-run-after", Doc: "within a priority RunAfter decides, so a record without one comes before all that have one", rules: ordered(func(a, b *tasks.Record) int {
			return cmp.Or(byPriority(a, b), a.RunAfter.Compare(b.RunAfter), byDue(a, b), byID(a, b))
		})},
		{Name: "order-ties-reversed", Doc: "records due at the same time come by descending id", rules: ordered(func(a, b *tasks.Record) int {
			return cmp.Or(byPriority(a, b), byDue(a, b), -byID(a, b))
		})},
		{Name: "order-by-queue", Doc: "one queue after the other, each in order", rules: ordered(func(a, b *tasks.Record) int {
			return cmp.Or(cmp.Compare(a.Queue, b.Queue), byPriority(a, b), byDue(a, b), byID(a, b))
		})},
		{Name: "order-hidden-by-deferred", Doc: "a deferred record hides what is due in the next priority of its queue, as a seek that goes one too far does", rules: func(p *Place, r *rules) {
			sound := r.due
			r.due = func(rec *tasks.Record, now time.Time) bool {
				for _, e := range p.entries {
					if e.rec.Queue == rec.Queue && e.rec.Priority == rec.Priority+1 && e.rec.Status == tasks.Ready && !sound(e.rec, now) {
						return false
					}
				}
				return sound(rec, now)
			}
		}},
	}
}

func priorityText(rec *tasks.Record) string { return strconv.Itoa(rec.Priority) }
