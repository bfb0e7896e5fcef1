package worker

import (
	"errors"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"os"
	"slices"
	"strings"
	"time"

	"github.com/sideman-go/sideman/tasks"
)

// Orders between queues, for Options.Order.
const (
	// OrderPriority claims from all queues at once, in the store's order: priority,
	// then due time, whatever the queue.
	OrderPriority = "priority"
	// OrderStrict claims from the queues in the order they are listed: from one only
	// when those before it have nothing due.
	OrderStrict = "strict"
	// OrderWeighted draws a new order of the queues for each claim. A queue with
	// weight 2 comes before one with weight 1 twice as often, and none starves.
	OrderWeighted = "weighted"
)

// The defaults of Options.
const (
	DefaultConcurrency   = 50
	DefaultLookAhead     = 2000
	DefaultLease         = 30 * time.Second
	DefaultPollInterval  = time.Second
	DefaultGrace         = 30 * time.Second
	DefaultSweepInterval = 5 * time.Second
	DefaultUnknownDelay  = 15 * time.Second
)

// Options say how a worker works. The zero value is ready to use; each field
// names its default. Run reports every field that can't be used, together.
type Options struct {
	// Backend is the alias of the backend to work on. Default "default".
	Backend string `json:"backend,omitempty"`
	// Queues are the queues to work on, or "*" for all. Names are trimmed. If the
	// alias has configured queues, these are the default, and another name is an
	// error; otherwise the default is "*".
	Queues []string `json:"queues,omitempty"`
	// Exclude are queues to leave out. It can only be used with all queues ("*").
	Exclude []string `json:"exclude,omitempty"`
	// Order is OrderPriority (the default), OrderStrict or OrderWeighted. The last
	// two need the queues listed by name.
	Order string `json:"order,omitempty"`
	// Weights are the queues' weights for OrderWeighted, at least 1; a listed queue
	// that is absent has 1. If Queues is empty, the queues named here are worked on.
	Weights map[string]int `json:"weights,omitempty"`
	// Concurrency is how many handlers run at most at a time. Default 50.
	Concurrency int `json:"concurrency,omitempty"`
	// LookAhead is how many records may be claimed beyond the free slots, so that a
	// handler that ends is followed by the next at once. The worker claims no more
	// ahead than it was seen to use up in about 50 ms, and while a claim is under way:
	// none while tasks are slow.
	// What is claimed ahead and then not started soon is given back. Default 4 times
	// Concurrency, or DefaultLookAhead if that is more; negative turns it off.
	LookAhead int `json:"look_ahead,omitempty"`
	// Lease is for how long a record is this worker's unless it renews the lease,
	// which it does every third of it. So it is also how long the tasks of a worker
	// that died wait. Default 30 s, at least 100 ms.
	Lease time.Duration `json:"lease,omitempty"`
	// PollInterval is how long an idle worker waits at most between claims on a
	// backend without tasks.CapNotify. Default 1 s.
	PollInterval time.Duration `json:"poll_interval,omitempty"`
	// Batch makes Run return when nothing is due and nothing runs. Deferred tasks,
	// and retries that are due later, don't hold it open.
	Batch bool `json:"batch,omitempty"`
	// MaxTasks makes Run return when that many attempts have been run. No more are
	// claimed. 0, the default, means no limit.
	MaxTasks int `json:"max_tasks,omitempty"`
	// WorkerID names the worker in records and heartbeats: 1 to 64 bytes, unique
	// among the workers of the store. Default: host, process id and a random part.
	WorkerID string `json:"worker_id,omitempty"`
	// Grace is how long running handlers have to finish when the worker stops, and
	// how long a handler that ignores its timeout keeps its slot. Default 30 s.
	Grace time.Duration `json:"grace,omitempty"`
	// SweepInterval is the time between two rounds of the store's upkeep, give or
	// take a tenth. Default 5 s.
	SweepInterval time.Duration `json:"sweep_interval,omitempty"`
	// UnknownDelay is for how long a record is put back whose task the App doesn't
	// define. Default 15 s.
	UnknownDelay time.Duration `json:"unknown_delay,omitempty"`
	// Logger gets the worker's log. Default: the App's.
	Logger *slog.Logger `json:"-"`
}

const maxWorkerID = 64

// resolve returns the options with their defaults, or every fault of theirs.
// known are the alias's configured queues; nil means that any name will do.
func (o Options) resolve(known []string) (Options, error) {
	var errs []error
	fault := func(format string, args ...any) { errs = append(errs, fmt.Errorf("worker: "+format, args...)) }

	count := func(name string, v *int, def int) {
		if *v < 0 {
			fault("%s must not be negative, but is %d", name, *v)
		} else if *v == 0 {
			*v = def
		}
	}
	span := func(name string, v *time.Duration, def time.Duration) {
		if *v < 0 {
			fault("%s must not be negative, but is %v", name, *v)
		} else if *v == 0 {
			*v = def
		}
	}
	count("concurrency", &o.Concurrency, DefaultConcurrency)
	count("max_tasks", &o.MaxTasks, 0)
	span("lease", &o.Lease, DefaultLease)
	span("poll_interval", &o.PollInterval, DefaultPollInterval)
	span("grace", &o.Grace, DefaultGrace)
	span("sweep_interval", &o.SweepInterval, DefaultSweepInterval)
	span("unknown_delay", &o.UnknownDelay, DefaultUnknownDelay)
	if o.Lease > 0 && o.Lease < 100*time.Millisecond {
		fault("lease must be at least 100ms, but is %v", o.Lease)
	}
	switch {
	case o.LookAhead < 0:
		o.LookAhead = 0
	case o.LookAhead == 0:
		o.LookAhead = max(4*o.Concurrency, DefaultLookAhead)
	}
	if o.WorkerID == "" {
		o.WorkerID = newWorkerID()
	} else if len(o.WorkerID) > maxWorkerID {
		fault("worker_id must be 1 to %d bytes long, but has %d", maxWorkerID, len(o.WorkerID))
	}
	o.resolveQueues(known, fault)
	return o, errors.Join(errs...)
}

func (o *Options) resolveQueues(known []string, fault func(string, ...any)) {
	queues, given := names(o.Queues, "queues", fault), len(o.Queues) > 0
	o.Exclude = names(o.Exclude, "exclude", fault)
	for name, weight := range o.Weights {
		switch {
		case weight < 1:
			fault("weights: that of queue %q must be at least 1, but is %d", name, weight)
		case given && !slices.Contains(queues, name):
			fault("weights: queue %q isn't one of queues", name)
		}
	}
	switch {
	case given:
	case len(o.Weights) > 0:
		for name := range o.Weights {
			queues = append(queues, name)
		}
		slices.Sort(queues)
	case len(known) > 0:
		queues = slices.Clone(known)
	default:
		queues = []string{"*"}
	}
	if len(known) > 0 {
		for _, q := range queues {
			if q != "*" && !slices.Contains(known, q) {
				fault("queues: no queue %q; known are %s", q, strings.Join(known, ", "))
			}
		}
	}
	all := slices.Contains(queues, "*")
	if all {
		queues = []string{"*"}
	}
	o.Queues = queues
	if len(o.Exclude) > 0 && !all {
		fault("exclude can only be used with queues=*")
	}

	switch o.Order {
	case "":
		o.Order = OrderPriority
	case OrderPriority:
	case OrderStrict, OrderWeighted:
		if all {
			fault("order %q needs queues by name, not *", o.Order)
		}
	default:
		fault("order must be %s, %s or %s, but is %q", OrderPriority, OrderStrict, OrderWeighted, o.Order)
	}
	if len(o.Weights) > 0 && o.Order != OrderWeighted {
		fault("weights can only be used with order=%s", OrderWeighted)
	}
}

// names trims the entries and drops those that are there twice.
func names(list []string, option string, fault func(string, ...any)) []string {
	var out []string
	for _, name := range list {
		name = strings.TrimSpace(name)
		switch {
		case name == "":
			fault("%s: a name is empty", option)
		case !slices.Contains(out, name):
			out = append(out, name)
		}
	}
	return out
}

func newWorkerID() string {
	host, err := os.Hostname()
	if err != nil || host == "" {
		host = "worker"
	}
	tail := fmt.Sprintf("-%d-%08x", os.Getpid(), rand.Uint32())
	return host[:min(len(host), maxWorkerID-len(tail))] + tail
}

// selection returns what to claim from and to wait for.
func (o *Options) selection() tasks.Selection {
	return tasks.Selection{Queues: o.Queues, Exclude: o.Exclude}
}

// round returns the selections of one claim, in their order.
func (o *Options) round() []tasks.Selection {
	if o.Order == OrderPriority || len(o.Queues) == 1 {
		return []tasks.Selection{o.selection()}
	}
	queues := o.Queues
	if o.Order == OrderWeighted {
		queues = o.draw()
	}
	sels := make([]tasks.Selection, len(queues))
	for i := range queues {
		sels[i].Queues = queues[i : i+1]
	}
	return sels
}

// draw returns the queues in a random order that follows their weights.
func (o *Options) draw() []string {
	queues := slices.Clone(o.Queues)
	total := 0
	for _, q := range queues {
		total += o.weight(q)
	}
	for i := range queues {
		at := rand.IntN(total)
		for k := i; ; k++ {
			w := o.weight(queues[k])
			if at < w {
				queues[i], queues[k] = queues[k], queues[i]
				total -= w
				break
			}
			at -= w
		}
	}
	return queues
}

func (o *Options) weight(queue string) int { return max(o.Weights[queue], 1) }
