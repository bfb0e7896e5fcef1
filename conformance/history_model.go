package conformance

import (
	"fmt"
	"math"
	"strings"
	"sync/atomic"
	"time"

	"github.com/anishathalye/porcupine"

	"github.com/sideman-go/sideman/tasks"
)

// act is one call as far as it concerns one record: what was asked, what was
// answered, and when. A batch is one act for each of its records.
//
// Call and Return are numbers from one counter, drawn before the call and after
// it. They order what a clock can't, because in a bubble no time goes by during a
// call, and they need no clock that is fine enough. CalledAt and ReturnedAt are
// times, for what depends on the length of leases.
type act struct {
	ID         string        `json:"id"`
	Client     int           `json:"client"`
	What       verb          `json:"what"`
	Call       int64         `json:"call"`
	Return     int64         `json:"return"`
	CalledAt   time.Duration `json:"called_at"`
	ReturnedAt time.Duration `json:"returned_at"`
	// Unknown: the reply was lost. The call may have taken effect, at any time since,
	// or not at all.
	Unknown bool `json:"unknown,omitempty"`

	// What was asked.
	Max     int               `json:"max,omitempty"`     // MaxAttempts of an enqueue
	Token   string            `json:"token,omitempty"`   // of the lease; a claim's is the answer
	Length  time.Duration     `json:"length,omitempty"`  // of the lease that a claim or renewal gives
	Outcome tasks.OutcomeKind `json:"outcome,omitempty"` // of a settle

	// What was answered.
	Refused bool `json:"refused,omitempty"` // lease lost, nothing to change, a duplicate
	Seen    seen `json:"seen,omitzero"`     // the record, if the answer has it; of a settle: its value
}

// verb is what an act does.
type verb string

const (
	doEnqueue verb = "enqueue"
	doClaim   verb = "claim"
	doRenew   verb = "renew"
	doSettle  verb = "settle"
	doCancel  verb = "cancel"
	doRetry   verb = "retry"
	doGet     verb = "get"
	// doLose is what a sweep may have done to a record: it took something, but
	// doesn't say what.
	doLose verb = "lose"
)

// never is the Return of a call whose outcome is unknown.
const never = math.MaxInt64

// seen is what can be seen of a record.
type seen struct {
	Status   tasks.Status `json:"status,omitempty"` // empty: it isn't there
	Attempts int          `json:"attempts,omitempty"`
	Errors   int          `json:"errors,omitempty"`
	Cancel   bool         `json:"cancel,omitempty"` // its cancellation is requested
	Value    string       `json:"value,omitempty"`
}

func see(rec *tasks.Record) seen {
	return seen{Status: rec.Status, Attempts: rec.Attempts(), Errors: len(rec.Errors), Cancel: rec.CancelRequested, Value: string(rec.Value)}
}

// life is the state of the model: one record. It is written from the contract
// rather than made of package lifecycle, which stores in Go call too.
type life struct {
	seen

	max      int
	token    string        // of the lease that is live
	deadline time.Duration // the earliest at which that lease can be over
}

// lifeModel is the sequential life of one record. steps bounds the search, by
// how often an act is tried: time would be no measure in a bubble, where it stands
// still meanwhile.
func lifeModel(steps *atomic.Int64) porcupine.Model {
	m := porcupine.NondeterministicModel{
		Init: func() []any { return []any{life{}} },
		Step: func(state, input, _ any) []any {
			if steps.Add(-1) < 0 {
				return nil
			}
			var next []any
			for _, l := range state.(life).after(input.(*act)) {
				next = append(next, l)
			}
			return next
		},
		DescribeOperation: func(input, _ any) string { return input.(*act).String() },
		DescribeState:     func(state any) string { return state.(life).String() },
	}
	return m.ToModel()
}

// after returns the states to which an act can lead from l, with the answer that it
// got: none if it can't have been answered so.
func (l life) after(a *act) []life {
	next, ok := l.on(a)
	switch {
	case a.Unknown || a.What == doLose:
		if ok && next != l {
			return []life{l, next} // it may have been, or not
		}
		return []life{l}
	case ok:
		return []life{next}
	}
	return nil
}

// on does what an act does where it takes effect, and reports whether that fits the
// answer.
func (l life) on(a *act) (next life, ok bool) {
	running := l.Status == tasks.Running
	switch a.What {
	case doEnqueue:
		if l.Status != "" { // a duplicate: nothing is stored, the stored record is reported
			return l, a.Unknown || (a.Refused && a.Seen == l.seen)
		}
		return life{seen: seen{Status: tasks.Ready}, max: a.Max}, !a.Refused
	case doGet:
		return l, a.Seen == l.seen
	case doClaim:
		held := l
		held.Status, held.token, held.deadline = tasks.Running, a.Token, a.CalledAt+a.Length
		held.Attempts++
		return held, l.Status == tasks.Ready && a.Seen == held.seen
	case doRenew:
		if !running || l.token != a.Token {
			return l, a.Refused
		}
		l.deadline = a.CalledAt + a.Length
		return l, a.Unknown || (!a.Refused && a.Seen.Cancel == l.Cancel)
	case doSettle:
		if !running || l.token != a.Token {
			return l, a.Refused
		}
		return l.settle(a.Outcome, a.Seen.Value), !a.Refused
	case doLose:
		if !running || l.token != a.Token || l.deadline > a.ReturnedAt {
			return l, true
		}
		return l.settle(tasks.OutcomeRetry, ""), true
	case doCancel:
		switch {
		case l.Status == tasks.Ready:
			l = l.end(tasks.Cancelled)
		case running:
			l.Cancel = true
		default:
			return l, a.Refused
		}
		return l, a.Unknown || (!a.Refused && a.Seen.Status == l.Status)
	case doRetry:
		if l.Status != tasks.Failed && l.Status != tasks.Cancelled {
			return l, a.Refused
		}
		l.max = max(l.max, l.Attempts+1)
		return l.end(tasks.Ready), a.Unknown || (!a.Refused && a.Seen.Status == tasks.Ready)
	}
	return l, false
}

// end ends the attempt, if there is one.
func (l life) end(s tasks.Status) life {
	l.Status, l.Cancel, l.token, l.deadline = s, false, "", 0
	return l
}

func (l life) settle(kind tasks.OutcomeKind, value string) life {
	requested := l.Cancel
	left := l.Attempts < l.max
	switch kind {
	case tasks.OutcomeSuccess:
		l.Value = value
		return l.end(tasks.Successful)
	case tasks.OutcomeCancel:
		return l.end(tasks.Cancelled)
	case tasks.OutcomeFailure, tasks.OutcomeRetry:
		l.Errors++
	case tasks.OutcomeSnooze, tasks.OutcomeRelease:
		l.Attempts--
	}
	switch {
	case requested:
		return l.end(tasks.Cancelled)
	case kind == tasks.OutcomeFailure || (kind == tasks.OutcomeRetry && !left):
		return l.end(tasks.Failed)
	}
	return l.end(tasks.Ready)
}

// String is how the picture of a history shows a state.
func (l life) String() string {
	if l.Status == "" {
		return "absent"
	}
	s := fmt.Sprintf("%v, max %d", l.seen, l.max)
	if l.token != "" {
		s += fmt.Sprintf(", lease %s until %v", brand(l.token), l.deadline)
	}
	return s
}

// String is how the picture of a history shows what was seen.
func (s seen) String() string {
	if s.Status == "" {
		return "absent"
	}
	text := fmt.Sprintf("%s, %d attempts, %d errors", s.Status, s.Attempts, s.Errors)
	if s.Cancel {
		text += ", to be cancelled"
	}
	if s.Value != "" {
		text += ", value " + s.Value
	}
	return text
}

// String is how the picture of a history shows an act.
func (a *act) String() string {
	words := []string{string(a.What)}
	if a.Outcome != "" {
		words = append(words, string(a.Outcome))
	}
	if a.Token != "" {
		words = append(words, brand(a.Token))
	}
	if a.Length > 0 {
		words = append(words, "for", a.Length.String())
	}
	words = append(words, "->")
	switch {
	case a.Unknown:
		words = append(words, "no reply")
	case a.What == doLose:
		words = append(words, "maybe")
	case a.Refused:
		words = append(words, "refused")
	}
	if a.Seen != (seen{}) {
		words = append(words, a.Seen.String())
	}
	return strings.Join(words, " ")
}

// brand is the part of a token by which a reader tells leases apart.
func brand(token string) string { return "#" + token[:min(len(token), 6)] }
