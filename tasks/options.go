package tasks

import (
	"fmt"
	"maps"
	"time"
)

// The values that a task has unless its options say otherwise, as in Django.
const (
	DefaultAlias       = "default"
	DefaultQueue       = "default"
	DefaultMaxAttempts = 1
)

// Option sets one thing of a task: for all its runs at Define, for some at
// Task.Using. Later options win. Wrong values are reported by App.Validate,
// Task.Err and every enqueue, as ErrInvalidTask.
type Option func(*settings)

// settings are a task's options, resolved.
type settings struct {
	alias       string
	queue       string
	priority    int
	runAfter    time.Time
	delay       time.Duration
	expiresAt   time.Time
	ttl         time.Duration
	maxAttempts int
	timeout     time.Duration
	retain      *time.Duration
	backoff     BackoffPolicy
	id          string
	metadata    map[string]string

	set    map[Field]bool // fields set by the options applied last, to reject misplaced ones
	faults []error
}

func defaultSettings() settings {
	return settings{alias: DefaultAlias, queue: DefaultQueue, maxAttempts: DefaultMaxAttempts}
}

// with returns a copy with the options applied and what they set.
func (s settings) with(options []Option) settings {
	s.set = make(map[Field]bool, len(options))
	s.faults = nil
	for _, option := range options {
		if option == nil {
			s.faults = append(s.faults, fmt.Errorf("%w: nil option", ErrInvalidTask))
			continue
		}
		option(&s)
	}
	return s
}

func (s *settings) fault(format string, args ...any) {
	s.faults = append(s.faults, fmt.Errorf("%w: "+format, append([]any{ErrInvalidTask}, args...)...))
}

// Field names an option for Clear.
type Field string

// The fields that Clear takes.
const (
	FieldBackend     Field = "backend"
	FieldQueue       Field = "queue"
	FieldPriority    Field = "priority"
	FieldRunAfter    Field = "run_after"
	FieldExpires     Field = "expires_at"
	FieldMaxAttempts Field = "max_attempts"
	FieldBackoff     Field = "backoff"
	FieldTimeout     Field = "timeout"
	FieldRetain      Field = "retain"
	FieldID          Field = "id"
	FieldMetadata    Field = "metadata"
)

// Clear takes options back: each field has the value it would have if it had
// never been set, also by Define.
func Clear(fields ...Field) Option {
	return func(s *settings) {
		d := defaultSettings()
		for _, f := range fields {
			s.set[f] = true
			switch f {
			case FieldBackend:
				s.alias = d.alias
			case FieldQueue:
				s.queue = d.queue
			case FieldPriority:
				s.priority = d.priority
			case FieldRunAfter:
				s.runAfter, s.delay = d.runAfter, d.delay
			case FieldExpires:
				s.expiresAt, s.ttl = d.expiresAt, d.ttl
			case FieldMaxAttempts:
				s.maxAttempts = d.maxAttempts
			case FieldBackoff:
				s.backoff = d.backoff
			case FieldTimeout:
				s.timeout = d.timeout
			case FieldRetain:
				s.retain = d.retain
			case FieldID:
				s.id = d.id
			case FieldMetadata:
				s.metadata = d.metadata
			default:
				s.fault("Clear(%q): no such field", string(f))
			}
		}
	}
}

// OnBackend chooses the backend by its alias in the App; the default is "default".
func OnBackend(alias string) Option {
	return func(s *settings) { s.set[FieldBackend] = true; s.alias = alias }
}

// Queue chooses the queue; the default is "default". It must be one of the
// queues that are configured for the backend's alias.
func Queue(name string) Option {
	return func(s *settings) { s.set[FieldQueue] = true; s.queue = name }
}

// Priority is from -100 to 100, and 0 by default; larger runs sooner.
func Priority(p int) Option {
	return func(s *settings) { s.set[FieldPriority] = true; s.priority = p }
}

// RunAfter defers a run until t; one in the past runs at once. The zero time
// clears it. Needs CapDefer. Only for Using: a definition has no fixed time.
func RunAfter(t time.Time) Option {
	return func(s *settings) { s.set[FieldRunAfter] = true; s.runAfter, s.delay = t, 0 }
}

// RunIn defers a run by d, counted by the store's clock from the enqueue. 0 or
// less runs at once. Needs CapDefer.
func RunIn(d time.Duration) Option {
	return func(s *settings) { s.set[FieldRunAfter] = true; s.runAfter, s.delay = time.Time{}, max(d, 0) }
}

// ExpiresAt cancels a run, with reason "expired", that hasn't started by t. The
// zero time clears it. Needs CapExpire. Only for Using.
func ExpiresAt(t time.Time) Option {
	return func(s *settings) { s.set[FieldExpires] = true; s.expiresAt, s.ttl = t, 0 }
}

// ExpiresIn is ExpiresAt, counted by the store's clock from the enqueue. d is
// more than 0.
func ExpiresIn(d time.Duration) Option {
	return func(s *settings) {
		s.set[FieldExpires] = true
		s.expiresAt, s.ttl = time.Time{}, d
		if d <= 0 {
			s.fault("ExpiresIn(%v): must be more than 0", d)
		}
	}
}

// MaxAttempts is how many attempts a run may have; 1, the default, means no
// retry. An attempt whose worker was killed counts.
func MaxAttempts(n int) Option {
	return func(s *settings) { s.set[FieldMaxAttempts] = true; s.maxAttempts = n }
}

// Backoff decides when, and if, a failed attempt is followed by another. Without
// it, it is Exponential(time.Second, 10*time.Minute). Only for Define: stores
// can't keep a function.
func Backoff(policy BackoffPolicy) Option {
	return func(s *settings) { s.set[FieldBackoff] = true; s.backoff = policy }
}

// Timeout bounds each attempt: then the handler's context ends with the cause
// ErrTimeout, and the attempt counts as failed whatever the handler returns. 0,
// the default, means no bound.
func Timeout(d time.Duration) Option {
	return func(s *settings) { s.set[FieldTimeout] = true; s.timeout = d }
}

// Retain is how long a run's record is kept when it is final; 0 deletes it on
// finishing, negative keeps it for ever. Without it the backend's configuration
// decides: SUCCESSFUL and CANCELLED for 24 hours, FAILED for 7 days.
func Retain(d time.Duration) Option {
	return func(s *settings) { s.set[FieldRetain] = true; s.retain = &d }
}

// ID chooses the record's id instead of a new UUIDv7: 1 to 63 bytes of printable
// UTF-8. Enqueuing an id that is stored already stores nothing and gives the
// stored result, with Duplicate set. Only for Using.
func ID(id string) Option {
	return func(s *settings) {
		s.set[FieldID] = true
		s.id = id
		if id == "" {
			s.fault("ID: empty")
		}
	}
}

// Metadata adds one entry to the run's metadata: trace context, tenant, labels.
// It is stored beside the arguments, never in them.
func Metadata(key, value string) Option {
	return func(s *settings) {
		s.set[FieldMetadata] = true
		m := maps.Clone(s.metadata)
		if m == nil {
			m = make(map[string]string)
		}
		m[key] = value
		s.metadata = m
	}
}
