package main

import (
	"context"
	"encoding/json"
	"errors"
	"sync"
	"time"

	"github.com/hibiken/asynq"
	"github.com/redis/go-redis/v9"
)

// asynqQueue is asynq on Redis. It deletes tasks that have succeeded, as is its default.
type asynqQueue struct {
	url       string
	client    *asynq.Client
	inspector *asynq.Inspector
	raw       *redis.Client
	// retention keeps the tasks of enqueue for isDone.
	retention time.Duration

	mu  sync.Mutex
	ids map[int]string
}

func (*asynqQueue) name() string    { return "asynq" }
func (*asynqQueue) version() string { return moduleVersion("github.com/hibiken/asynq") }

func (a *asynqQueue) open() error {
	opt, err := asynq.ParseRedisURI(a.url)
	if err != nil {
		return err
	}
	a.client, a.inspector = asynq.NewClient(opt), asynq.NewInspector(opt)
	o, err := redis.ParseURL(a.url)
	if err != nil {
		return err
	}
	a.raw = redis.NewClient(o)
	return nil
}

func (a *asynqQueue) reset(ctx context.Context) error {
	if err := a.close(ctx); err != nil {
		return err
	}
	if err := a.open(); err != nil {
		return err
	}
	a.ids = make(map[int]string)
	return a.raw.FlushDB(ctx).Err()
}

func (a *asynqQueue) close(context.Context) error {
	if a.client == nil {
		return nil
	}
	err := errors.Join(a.client.Close(), a.inspector.Close(), a.raw.Close())
	a.client = nil
	return err
}

func asynqTask(num int) *asynq.Task {
	text, err := json.Marshal(payload{num})
	if err != nil {
		panic(err) // an int
	}
	return asynq.NewTask("bench", text)
}

func (a *asynqQueue) enqueue(ctx context.Context, num int) error {
	info, err := a.client.EnqueueContext(ctx, asynqTask(num), asynq.Retention(a.retention))
	if err == nil && num < noted {
		a.mu.Lock()
		defer a.mu.Unlock()
		a.ids[num] = info.ID
	}
	return err
}

// enqueueMany has 16 goroutines do it one by one, since there is no call for many.
func (a *asynqQueue) enqueueMany(ctx context.Context, n int) error {
	const goroutines = 16
	errs := make([]error, goroutines)
	var wg sync.WaitGroup
	for g := range goroutines {
		wg.Go(func() {
			for i := g; i < n && errs[g] == nil; i += goroutines {
				_, errs[g] = a.client.EnqueueContext(ctx, asynqTask(1))
			}
		})
	}
	wg.Wait()
	return errors.Join(errs...)
}

func (a *asynqQueue) enqueueIn(ctx context.Context, num int, d time.Duration) (time.Time, error) {
	due := time.Now().Add(d)
	_, err := a.client.EnqueueContext(ctx, asynqTask(num), asynq.ProcessAt(due))
	return due, err
}

func (a *asynqQueue) work(_ context.Context, how settings, handler func(int)) (func() error, error) {
	opt, err := asynq.ParseRedisURI(a.url)
	if err != nil {
		return nil, err
	}
	cfg := asynq.Config{LogLevel: asynq.FatalLevel} // the default Concurrency is the number of cores
	if how == tuned {
		// More concurrency is slower here: one goroutine fetches, one task at a time.
		cfg.Concurrency, cfg.TaskCheckInterval, cfg.DelayedTaskCheckInterval = 10, 20*time.Millisecond, 100*time.Millisecond
	}
	server := asynq.NewServer(opt, cfg)
	err = server.Start(asynq.HandlerFunc(func(_ context.Context, t *asynq.Task) error {
		var p payload
		if err := json.Unmarshal(t.Payload(), &p); err != nil {
			return err
		}
		handler(p.Num)
		return nil
	}))
	return func() error {
		server.Shutdown()
		return nil
	}, err
}

func (a *asynqQueue) completed(context.Context) (int, error) {
	info, err := a.inspector.GetQueueInfo("default")
	if errors.Is(err, asynq.ErrQueueNotFound) {
		return 0, nil
	}
	if err != nil {
		return 0, err
	}
	return info.ProcessedTotal, nil
}

func (a *asynqQueue) isDone(_ context.Context, num int) (bool, error) {
	a.mu.Lock()
	id, ok := a.ids[num]
	a.mu.Unlock()
	if !ok {
		return false, errors.New("no such task")
	}
	info, err := a.inspector.GetTaskInfo("default", id)
	return err == nil && info.State == asynq.TaskStateCompleted, err
}
