package main

import (
	"context"
	"database/sql"
	"errors"
	"os"
	"path/filepath"
	"runtime"
	"sync"
	"sync/atomic"
	"time"

	_ "github.com/mattn/go-sqlite3" // the driver that backlite's documentation shows; database/sql knows it by no other way
	"github.com/mikestefanello/backlite"
)

// backliteTask is the payload as backlite wants it. Its settings belong to its type.
type backliteTask payload

// Config keeps tasks that have ended, as Sideman does, so that they can be counted.
func (backliteTask) Config() backlite.QueueConfig {
	return backlite.QueueConfig{
		Name: "bench", MaxAttempts: 1, Timeout: time.Minute, Backoff: time.Second,
		Retention: &backlite.Retention{Duration: 24 * time.Hour},
	}
}

// backliteQueue is backlite on SQLite, in WAL mode with synchronous=FULL: every commit is
// synced to the disk, as bolt's are.
type backliteQueue struct {
	dir     string
	db      *sql.DB
	client  *backlite.Client
	handler atomic.Pointer[func(int)]

	mu  sync.Mutex
	ids map[int]string
}

func (*backliteQueue) name() string    { return "backlite" }
func (*backliteQueue) version() string { return moduleVersion("github.com/mikestefanello/backlite") }

func (b *backliteQueue) reset(ctx context.Context) error {
	if err := b.close(ctx); err != nil {
		return err
	}
	files, err := filepath.Glob(filepath.Join(b.dir, "backlite.db*"))
	if err != nil {
		return err
	}
	for _, f := range files {
		if err := os.Remove(f); err != nil {
			return err
		}
	}
	b.ids = make(map[int]string)
	b.db, err = sql.Open("sqlite3", "file:"+filepath.Join(b.dir, "backlite.db")+"?_journal=WAL&_timeout=5000&_synchronous=FULL")
	if err != nil {
		return err
	}
	return b.client1(runtime.NumCPU())
}

// client1 makes the client; its number of workers can't be changed afterwards.
func (b *backliteQueue) client1(workers int) (err error) {
	b.client, err = backlite.NewClient(backlite.ClientConfig{
		DB: b.db, NumWorkers: workers, ReleaseAfter: 10 * time.Minute, CleanupInterval: time.Hour,
	})
	if err != nil {
		return err
	}
	b.client.Register(backlite.NewQueue(func(_ context.Context, t backliteTask) error {
		(*b.handler.Load())(t.Num)
		return nil
	}))
	return b.client.Install()
}

func (b *backliteQueue) close(context.Context) error {
	if b.db == nil {
		return nil
	}
	err := b.db.Close()
	b.db = nil
	return err
}

func (b *backliteQueue) enqueue(ctx context.Context, num int) error {
	ids, err := b.client.Add(backliteTask{num}).Ctx(ctx).Save()
	if err == nil && num < noted {
		b.mu.Lock()
		defer b.mu.Unlock()
		b.ids[num] = ids[0]
	}
	return err
}

func (b *backliteQueue) enqueueMany(ctx context.Context, n int) error {
	all := make([]backlite.Task, n)
	for i := range all {
		all[i] = backliteTask{1}
	}
	_, err := b.client.Add(all...).Ctx(ctx).Save()
	return err
}

func (b *backliteQueue) enqueueIn(ctx context.Context, num int, d time.Duration) (time.Time, error) {
	due := time.Now().Add(d)
	_, err := b.client.Add(backliteTask{num}).Ctx(ctx).At(due).Save()
	return due, err
}

func (b *backliteQueue) work(ctx context.Context, how settings, handler func(int)) (func() error, error) {
	b.handler.Store(&handler)
	workers := 10 // its documentation's example
	if how == tuned {
		workers = 50
	}
	if err := b.client1(workers); err != nil {
		return nil, err
	}
	b.client.Start(context.WithoutCancel(ctx))
	return func() error {
		limit, cancel := context.WithTimeout(context.WithoutCancel(ctx), time.Minute)
		defer cancel()
		if !b.client.Stop(limit) {
			return errors.New("backlite didn't stop")
		}
		return nil
	}, nil
}

func (b *backliteQueue) completed(ctx context.Context) (n int, err error) {
	err = b.db.QueryRowContext(ctx, "SELECT count(*) FROM backlite_tasks_completed").Scan(&n)
	return n, err
}

func (b *backliteQueue) isDone(ctx context.Context, num int) (bool, error) {
	b.mu.Lock()
	id, ok := b.ids[num]
	b.mu.Unlock()
	if !ok {
		return false, errors.New("no such task")
	}
	status, err := b.client.Status(ctx, id)
	return status == backlite.TaskStatusSuccess, err
}
