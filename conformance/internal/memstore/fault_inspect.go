package memstore

import (
	"context"
	"slices"
	"strconv"
	"time"

	"github.com/sideman-go/sideman/tasks"
)

func listFaults() []Fault {
	asking := func(change func(req *tasks.ListRequest)) func(*Store, *methods) {
		return func(s *Store, m *methods) {
			m.list = func(ctx context.Context, req tasks.ListRequest) (tasks.Page, error) {
				change(&req)
				return s.List(ctx, req)
			}
		}
	}
	answering := func(change func(req tasks.ListRequest, page *tasks.Page)) func(*Store, *methods) {
		return func(s *Store, m *methods) {
			m.list = func(ctx context.Context, req tasks.ListRequest) (tasks.Page, error) {
				page, err := s.List(ctx, req)
				if err == nil {
					change(req, &page)
				}
				return page, err
			}
		}
	}
	return []Fault{
		{Name: "list-newest-ignored", Doc: "the list is always oldest first", methods: asking(func(req *tasks.ListRequest) { req.Newest = false })},
		{Name: "list-unsorted", Doc: "the list is in order of status, not of ids", methods: answering(func(_ tasks.ListRequest, page *tasks.Page) {
			slices.SortStableFunc(page.Records, func(a, b *tasks.Record) int {
				return slices.Index(tasks.Statuses(), a.Status) - slices.Index(tasks.Statuses(), b.Status)
			})
		})},
		{Name: "list-status-ignored", Doc: "the filter by status is ignored", methods: asking(func(req *tasks.ListRequest) { req.Statuses = nil })},
		{Name: "list-status-one", Doc: "of several statuses of a filter only the first counts", methods: asking(func(req *tasks.ListRequest) {
			req.Statuses = req.Statuses[:min(1, len(req.Statuses))]
		})},
		{Name: "list-queue-ignored", Doc: "the filter by queue is ignored", methods: asking(func(req *tasks.ListRequest) { req.Queues = nil })},
		{Name: "list-task-ignored", Doc: "the filter by task is ignored", methods: asking(func(req *tasks.ListRequest) { req.Tasks = nil })},
		{Name: "list-worker-ignored", Doc: "the filter by worker is ignored", methods: asking(func(req *tasks.ListRequest) { req.Worker = "" })},
		{Name: "list-any-worker", Doc: "the filter by worker matches workers of earlier attempts", rules: func(_ *Place, r *rules) {
			r.match = func(f *tasks.Filter, rec *tasks.Record) bool {
				g := *f
				g.Worker = ""
				return g.Match(rec) && (f.Worker == "" || slices.Contains(rec.WorkerIDs, f.Worker))
			}
		}},
		{Name: "list-since-ignored", Doc: "the filter's Since is ignored", methods: asking(func(req *tasks.ListRequest) { req.Since = time.Time{} })},
		{Name: "list-since-excluded", Doc: "a record enqueued exactly at Since is left out", methods: asking(func(req *tasks.ListRequest) {
			if !req.Since.IsZero() {
				req.Since = req.Since.Add(time.Microsecond)
			}
		})},
		{Name: "list-until-ignored", Doc: "the filter's Until is ignored", methods: asking(func(req *tasks.ListRequest) { req.Until = time.Time{} })},
		{Name: "list-until-included", Doc: "a record enqueued exactly at Until is matched", methods: asking(func(req *tasks.ListRequest) {
			if !req.Until.IsZero() {
				req.Until = req.Until.Add(time.Microsecond)
			}
		})},
		{Name: "list-error-ignored", Doc: "the filter's Error is ignored", methods: asking(func(req *tasks.ListRequest) { req.Error = "" })},
		{Name: "list-finished-ignored", Doc: "the filter's FinishedBefore is ignored", methods: asking(func(req *tasks.ListRequest) { req.FinishedBefore = time.Time{} })},
		{Name: "list-filters-ored", Doc: "a record is listed if any part of the filter matches", rules: func(_ *Place, r *rules) {
			r.match = func(f *tasks.Filter, rec *tasks.Record) bool {
				if len(f.Statuses) == 0 || len(f.Queues) == 0 {
					return f.Match(rec)
				}
				return slices.Contains(f.Statuses, rec.Status) || slices.Contains(f.Queues, rec.Queue)
			}
		}},
		{Name: "list-filter-after-page", Doc: "a page is cut before it is filtered, and an empty one ends the list", methods: func(s *Store, m *methods) {
			m.list = func(ctx context.Context, req tasks.ListRequest) (tasks.Page, error) {
				filter := req.Filter
				req.Filter = tasks.Filter{}
				page, err := s.List(ctx, req)
				page.Records = slices.DeleteFunc(page.Records, func(rec *tasks.Record) bool { return !filter.Match(rec) })
				if len(page.Records) == 0 {
					page.Next = ""
				}
				return page, err
			}
		}},
		{Name: "list-page-repeats", Doc: "a page begins with the last record of the page before", methods: func(s *Store, m *methods) {
			m.list = func(ctx context.Context, req tasks.ListRequest) (tasks.Page, error) {
				page, err := s.List(ctx, req)
				if last, lastErr := s.GetResult(ctx, req.After); err == nil && lastErr == nil {
					page.Records = append([]*tasks.Record{last}, page.Records...)
				}
				return page, err
			}
		}},
		{Name: "list-page-skips", Doc: "a page leaves out its first record", methods: answering(func(req tasks.ListRequest, page *tasks.Page) {
			if req.After != "" && len(page.Records) > 0 {
				page.Records = page.Records[1:]
			}
		})},
		{Name: "list-one-page", Doc: "only the first page can be read", methods: answering(func(_ tasks.ListRequest, page *tasks.Page) { page.Next = "" })},
		{Name: "list-endless", Doc: "there is always a next page, the same", methods: func(s *Store, m *methods) {
			m.list = func(ctx context.Context, req tasks.ListRequest) (tasks.Page, error) {
				page, err := s.List(ctx, req)
				if err == nil && page.Next == "" {
					s.pause(ctx, nil, time.Millisecond) // or no deadline would come
					page.Next = req.After
					if n := len(page.Records); n > 0 {
						page.Next = page.Records[n-1].ID
					}
				}
				return page, err
			}
		}},
		{Name: "list-by-offset", Doc: "pages are counted off, so records that come or go between two of them are repeated or missed", methods: func(s *Store, m *methods) {
			m.list = func(ctx context.Context, req tasks.ListRequest) (tasks.Page, error) {
				offset, _ := strconv.Atoi(req.After)
				size := req.PageSize()
				req.After, req.Limit = "", tasks.MaxPage
				page, err := s.List(ctx, req)
				rest := page.Records[min(offset, len(page.Records)):]
				out := tasks.Page{Records: rest[:min(size, len(rest))]}
				if len(rest) > size {
					out.Next = strconv.Itoa(offset + size)
				}
				return out, err
			}
		}},
		{Name: "list-limit-ignored", Doc: "pages have any size", methods: asking(func(req *tasks.ListRequest) { req.Limit = tasks.MaxPage })},
		{Name: "list-finals-only", Doc: "the list has no RUNNING records, which are kept elsewhere (asynq: active)", rules: func(_ *Place, r *rules) {
			r.match = func(f *tasks.Filter, rec *tasks.Record) bool { return f.Match(rec) && rec.Status != tasks.Running }
		}},
		{Name: "list-without-values", Doc: "the list leaves out values and arguments", methods: answering(func(_ tasks.ListRequest, page *tasks.Page) {
			for _, rec := range page.Records {
				rec.Value, rec.Args = nil, nil
			}
		})},
	}
}

func countFaults() []Fault {
	counting := func(change func(s *Store, q *tasks.QueueInfo)) func(*Store, *methods) {
		return func(s *Store, m *methods) {
			m.queues = func(ctx context.Context) ([]tasks.QueueInfo, error) {
				queues, err := s.Queues(ctx)
				for i := range queues {
					change(s, &queues[i])
				}
				return queues, err
			}
		}
	}
	return []Fault{
		{Name: "counts-drift", Doc: "a record that is deleted is counted still", methods: func(s *Store, m *methods) {
			deleted := int64(0)
			m.alter = func(ctx context.Context, change tasks.Change, ids []string) ([]tasks.Altered, error) {
				got, err := s.Alter(ctx, change, ids)
				for _, a := range got {
					if a.Err == nil && a.Status == "" {
						deleted++
					}
				}
				return got, err
			}
			counting(func(_ *Store, q *tasks.QueueInfo) { q.Counts[tasks.Ready] += deleted })(s, m)
		}},
		{Name: "counts-ready-only", Doc: "only READY records are counted", methods: counting(func(_ *Store, q *tasks.QueueInfo) {
			q.Counts = map[tasks.Status]int64{tasks.Ready: q.Counts[tasks.Ready]}
		})},
		{Name: "counts-due-only", Doc: "deferred records aren't counted", methods: func(s *Store, m *methods) {
			m.queues = func(ctx context.Context) (infos []tasks.QueueInfo, err error) {
				err = s.do(ctx, func(p *Place, now time.Time) error {
					infos = p.queues(now)
					for i := range infos {
						for _, e := range p.entries {
							if e.rec.Queue == infos[i].Name && e.rec.Status == tasks.Ready && e.rec.RunAfter.After(now) {
								infos[i].Counts[tasks.Ready]--
							}
						}
					}
					return nil
				})
				return infos, err
			}
		}},
		{Name: "counts-running-as-ready", Doc: "RUNNING records are counted as READY", methods: counting(func(_ *Store, q *tasks.QueueInfo) {
			q.Counts[tasks.Ready] += q.Counts[tasks.Running]
			q.Counts[tasks.Running] = 0
		})},
		{Name: "counts-in-one", Doc: "all queues are counted as one", methods: func(s *Store, m *methods) {
			m.queues = func(ctx context.Context) ([]tasks.QueueInfo, error) {
				queues, err := s.Queues(ctx)
				for i := 1; i < len(queues); i++ {
					for status, n := range queues[i].Counts {
						queues[0].Counts[status] += n
					}
				}
				return queues[:min(1, len(queues))], err
			}
		}},
		{Name: "oldest-from-enqueue", Doc: "the age of the oldest READY record counts from its enqueue, also for a deferred one", methods: counting(func(s *Store, q *tasks.QueueInfo) {
			s.p.mu.Lock()
			defer s.p.mu.Unlock()
			for _, e := range s.p.entries {
				if e.rec.Queue == q.Name && e.rec.Status == tasks.Ready {
					q.OldestDue = max(q.OldestDue, time.Since(e.rec.EnqueuedAt))
				}
			}
		})},
		{Name: "oldest-of-all", Doc: "the age of the oldest READY record counts RUNNING ones too", methods: counting(func(s *Store, q *tasks.QueueInfo) {
			s.p.mu.Lock()
			defer s.p.mu.Unlock()
			for _, e := range s.p.entries {
				if e.rec.Queue == q.Name && e.rec.Status == tasks.Running {
					q.OldestDue = max(q.OldestDue, time.Since(e.rec.DueAt()))
				}
			}
		})},
		{Name: "oldest-newest", Doc: "the age is that of the newest due record", methods: counting(func(s *Store, q *tasks.QueueInfo) {
			s.p.mu.Lock()
			defer s.p.mu.Unlock()
			for _, e := range s.p.entries {
				if e.rec.Queue == q.Name && e.rec.Status == tasks.Ready && !e.rec.RunAfter.After(time.Now()) {
					q.OldestDue = min(q.OldestDue, time.Since(e.rec.DueAt()))
				}
			}
		})},
		{Name: "oldest-nothing", Doc: "the age of the oldest READY record isn't there", methods: counting(func(_ *Store, q *tasks.QueueInfo) { q.OldestDue = 0 })},
		{Name: "waiting-nothing", Doc: "the READY records aren't counted by task", methods: counting(func(_ *Store, q *tasks.QueueInfo) { q.Waiting = nil })},
		{Name: "paused-unseen", Doc: "a paused queue isn't said to be paused", methods: counting(func(_ *Store, q *tasks.QueueInfo) { q.Paused = false })},
		{Name: "paused-empty-unseen", Doc: "a paused queue without records isn't there", methods: func(s *Store, m *methods) {
			m.queues = func(ctx context.Context) ([]tasks.QueueInfo, error) {
				queues, err := s.Queues(ctx)
				return slices.DeleteFunc(queues, func(q tasks.QueueInfo) bool { return len(q.Counts) == 0 }), err
			}
		}},
		{Name: "queues-unsorted", Doc: "queues aren't listed by name", methods: func(s *Store, m *methods) {
			m.queues = func(ctx context.Context) ([]tasks.QueueInfo, error) {
				queues, err := s.Queues(ctx)
				slices.Reverse(queues)
				return queues, err
			}
		}},
	}
}
