package main

import (
	"context"
	"errors"
	"log/slog"
	"sync"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"
	"github.com/riverqueue/river"
	"github.com/riverqueue/river/riverdriver/riverpgxv5"
	"github.com/riverqueue/river/rivermigrate"
	"github.com/riverqueue/river/rivertype"
)

// riverArgs are the payload as River wants it.
type riverArgs payload

// Kind is the task's name.
func (riverArgs) Kind() string { return "bench" }

// riverQueue is River on PostgreSQL.
type riverQueue struct {
	url    string
	pool   *pgxpool.Pool
	client *river.Client[pgx.Tx] // that only enqueues

	mu  sync.Mutex
	ids map[int]int64
}

func (*riverQueue) name() string    { return "River" }
func (*riverQueue) version() string { return moduleVersion("github.com/riverqueue/river") }

func (r *riverQueue) config() *river.Config {
	return &river.Config{Logger: slog.New(slog.DiscardHandler)}
}

func (r *riverQueue) open(ctx context.Context) (err error) {
	if r.pool, err = pgxpool.New(ctx, r.url); err != nil {
		return err
	}
	driver := riverpgxv5.New(r.pool)
	migrator, err := rivermigrate.New(driver, &rivermigrate.Config{Logger: r.config().Logger})
	if err != nil {
		return err
	}
	if _, err := migrator.Migrate(ctx, rivermigrate.DirectionUp, nil); err != nil {
		return err
	}
	r.client, err = river.NewClient(driver, r.config())
	return err
}

func (r *riverQueue) reset(ctx context.Context) error {
	if r.pool == nil {
		if err := r.open(ctx); err != nil {
			return err
		}
	}
	r.ids = make(map[int]int64)
	// As River's own benchmark does.
	for _, sql := range []string{"TRUNCATE river_job", "VACUUM FULL river_job"} {
		if _, err := r.pool.Exec(ctx, sql); err != nil {
			return err
		}
	}
	return nil
}

func (r *riverQueue) close(context.Context) error {
	if r.pool != nil {
		r.pool.Close()
		r.pool = nil
	}
	return nil
}

func (r *riverQueue) enqueue(ctx context.Context, num int) error {
	res, err := r.client.Insert(ctx, riverArgs{num}, nil)
	if err == nil && num < noted {
		r.mu.Lock()
		defer r.mu.Unlock()
		r.ids[num] = res.Job.ID
	}
	return err
}

func (r *riverQueue) enqueueMany(ctx context.Context, n int) error {
	params := make([]river.InsertManyParams, n)
	for i := range params {
		params[i].Args = riverArgs{1}
	}
	_, err := r.client.InsertManyFast(ctx, params)
	return err
}

func (r *riverQueue) enqueueIn(ctx context.Context, num int, d time.Duration) (time.Time, error) {
	due := time.Now().Add(d)
	_, err := r.client.Insert(ctx, riverArgs{num}, &river.InsertOpts{ScheduledAt: due})
	return due, err
}

func (r *riverQueue) work(ctx context.Context, how settings, handler func(int)) (func() error, error) {
	workers := river.NewWorkers()
	river.AddWorker(workers, river.WorkFunc(func(_ context.Context, job *river.Job[riverArgs]) error {
		handler(job.Args.Num)
		return nil
	}))
	cfg := r.config()
	cfg.Workers = workers
	// River has no default for MaxWorkers; its documentation has 100.
	cfg.Queues = map[string]river.QueueConfig{river.QueueDefault: {MaxWorkers: 100}}
	if how == tuned {
		// As River's own benchmark does.
		cfg.Queues = map[string]river.QueueConfig{river.QueueDefault: {MaxWorkers: 2000}}
		cfg.FetchCooldown, cfg.FetchPollInterval = 2*time.Millisecond, 20*time.Millisecond
	}
	client, err := river.NewClient(riverpgxv5.New(r.pool), cfg)
	if err != nil {
		return nil, err
	}
	if err := client.Start(context.WithoutCancel(ctx)); err != nil {
		return nil, err
	}
	return func() error { return client.Stop(context.WithoutCancel(ctx)) }, nil
}

func (r *riverQueue) completed(ctx context.Context) (n int, err error) {
	err = r.pool.QueryRow(ctx, "SELECT count(*) FROM river_job WHERE state = 'completed'").Scan(&n)
	return n, err
}

func (r *riverQueue) isDone(ctx context.Context, num int) (bool, error) {
	r.mu.Lock()
	id, ok := r.ids[num]
	r.mu.Unlock()
	if !ok {
		return false, errors.New("no such task")
	}
	job, err := r.client.JobGet(ctx, id)
	return err == nil && job.State == rivertype.JobStateCompleted, err
}
