package main

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/sideman-go/sideman/tasks"
)

// story is a run of the program.
type story struct {
	app   *tasks.App
	queue string // this run's own

	greet  *tasks.Task[string, string]
	add    *tasks.Task[terms, float64]
	fetch  *tasks.Task[string, string]
	charge *tasks.Task[card, tasks.None]

	mu      sync.Mutex
	greeted []string // in the order in which they ran
}

type terms struct{ A, B float64 }

type card struct{ Number string }

// declined is an error with a type of its own, which is stored with its text.
type declined struct{ number string }

func (d declined) Error() string { return "the card " + d.number + " was declined" }

func newStory(app *tasks.App) *story {
	s := &story{app: app, queue: "swap-" + rand.Text()}
	queue := tasks.Queue(s.queue)

	s.greet = tasks.Define(app, "greet", func(_ context.Context, name string) (string, error) {
		s.mu.Lock()
		defer s.mu.Unlock()
		s.greeted = append(s.greeted, name)
		return "Hello, " + name + "!", nil
	}, queue)

	s.add = tasks.Define(app, "add", func(_ context.Context, t terms) (float64, error) {
		return t.A + t.B, nil
	}, queue)

	s.fetch = tasks.Define(app, "fetch", func(ctx context.Context, what string) (string, error) {
		info, _ := tasks.FromContext(ctx)
		if info.Attempt < 3 {
			return "", errors.New("the service is away")
		}
		return fmt.Sprintf("%s, on attempt %d", what, info.Attempt), nil
	}, queue, tasks.MaxAttempts(5), tasks.Backoff(tasks.Constant(20*time.Millisecond)))

	s.charge = tasks.Define(app, "charge", func(_ context.Context, c card) (tasks.None, error) {
		return tasks.None{}, declined{c.Number}
	}, queue)
	return s
}
