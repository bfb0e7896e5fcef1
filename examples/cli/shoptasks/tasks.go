// Package shoptasks has the tasks of a shop, for the programs beside it.
package shoptasks

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/sideman-go/sideman/tasks"
)

// Order is what send_receipt is given.
type Order struct {
	Number int    `json:"number"`
	Email  string `json:"email"`
}

// NewApp returns an App with the shop's tasks, whose backends are yet to be opened.
func NewApp() *tasks.App {
	app := tasks.NewApp()
	tasks.Define(app, "greet_user", func(_ context.Context, name string) (string, error) {
		return "Hello, " + name + "! Task completed successfully.", nil
	})
	tasks.Define(app, "send_receipt", func(_ context.Context, o Order) (string, error) {
		if o.Email == "" {
			return "", errors.New("the order has no email address")
		}
		return fmt.Sprintf("receipt %d sent to %s", o.Number, o.Email), nil
	}, tasks.MaxAttempts(3), tasks.Backoff(tasks.Exponential(time.Second, time.Minute)))
	return app
}
