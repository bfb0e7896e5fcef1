package main

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"strconv"
	"sync"
	"time"

	"github.com/sideman-go/sideman/backends"
	"github.com/sideman-go/sideman/tasks"
	"github.com/sideman-go/sideman/worker"
)

// place is where Sideman keeps its tasks, as its configuration has it.
type place struct {
	backend string
	// url makes a new place, and empty gets rid of what is in it.
	url   string
	empty func(ctx context.Context) error
	tuned worker.Options
	// quiet waits until the server has ended what filling the store has set off beside it; nil if there
	// is no such thing.
	quiet func(ctx context.Context) error
}

// sideman is Sideman on any of its backends.
type sideman struct {
	place

	app  *tasks.App
	task *tasks.Task[payload, tasks.None]

	mu      sync.Mutex
	handler func(int)
	ids     map[int]string
}

func newSideman(p place) *sideman { return &sideman{place: p} }

func (s *sideman) name() string    { return "Sideman " + s.backend }
func (s *sideman) version() string { return "this tree" }

// open opens the store anew.
func (s *sideman) open(ctx context.Context) error {
	cfg, err := tasks.ConfigFromURL(s.url)
	if err != nil {
		return err
	}
	s.app = tasks.NewAppWith(tasks.AppOptions{Logger: slog.New(slog.DiscardHandler)})
	s.ids = make(map[int]string)
	s.task = tasks.Define(s.app, "bench", func(_ context.Context, p payload) (tasks.None, error) {
		s.handler(p.Num)
		return tasks.None{}, nil
	})
	return s.app.Open(ctx, cfg, backends.All())
}

func (s *sideman) reset(ctx context.Context) error {
	if s.app != nil {
		if err := s.close(ctx); err != nil {
			return err
		}
	}
	if err := s.empty(ctx); err != nil {
		return err
	}
	return s.open(ctx)
}

func (s *sideman) close(ctx context.Context) error {
	if s.app == nil {
		return nil
	}
	err := s.app.Close(ctx)
	s.app = nil
	return err
}

func (s *sideman) enqueue(ctx context.Context, num int) error {
	res, err := s.task.Enqueue(ctx, payload{num})
	s.keep(num, res)
	return err
}

// keep notes the id of a task for isDone.
func (s *sideman) keep(num int, res *tasks.Result[tasks.None]) {
	if num < noted && res != nil {
		s.mu.Lock()
		defer s.mu.Unlock()
		s.ids[num] = res.ID
	}
}

// noted bounds the numbers of the tasks whose ids are kept.
const noted = 10_000

func (s *sideman) enqueueMany(ctx context.Context, n int) error {
	calls := make([]tasks.Call, n)
	for i := range calls {
		calls[i] = s.task.With(payload{1})
	}
	res, err := s.app.EnqueueMany(ctx, calls...)
	if err == nil && len(res) != n {
		err = fmt.Errorf("%d results of %d calls", len(res), n)
	}
	return err
}

func (s *sideman) enqueueIn(ctx context.Context, num int, d time.Duration) (time.Time, error) {
	res, err := s.task.Using(tasks.RunIn(d)).Enqueue(ctx, payload{num})
	if err != nil {
		return time.Time{}, err
	}
	return res.RunAfter, nil
}

func (s *sideman) work(ctx context.Context, how settings, handler func(int)) (func() error, error) {
	s.handler = handler
	o := worker.Options{}
	if how == tuned {
		o = s.tuned
	}
	w := worker.New(s.app, o)
	ended := make(chan error, 1)
	go func() { ended <- w.Run(context.WithoutCancel(ctx)) }()
	return func() error {
		w.Stop()
		return <-ended
	}, nil
}

func (s *sideman) completed(ctx context.Context) (int, error) {
	admin, err := s.app.Admin(tasks.DefaultAlias)
	if err != nil {
		return 0, err
	}
	queues, err := admin.Queues(ctx)
	n := 0
	for _, q := range queues {
		n += int(q.Counts[tasks.Successful])
	}
	return n, err
}

func (s *sideman) isDone(ctx context.Context, num int) (bool, error) {
	s.mu.Lock()
	id, ok := s.ids[num]
	s.mu.Unlock()
	if !ok {
		return false, errors.New("no task has the number " + strconv.Itoa(num))
	}
	res, err := s.task.GetResult(ctx, id)
	return err == nil && res.Status == tasks.Successful, err
}

// boltPlace is a file in a folder.
func boltPlace(dir, name string) place {
	path := dir + "/" + name + ".db"
	return place{
		backend: "bolt",
		url:     "bolt:" + path,
		empty: func(context.Context) error {
			if err := os.Remove(path); err != nil && !errors.Is(err, os.ErrNotExist) {
				return err
			}
			return nil
		},
		tuned: worker.Options{Concurrency: 1000},
	}
}
