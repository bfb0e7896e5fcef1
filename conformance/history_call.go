package conformance

import (
	"encoding/json"
	"errors"
	"fmt"
	"runtime"
	"strconv"
	"time"

	"github.com/sideman-go/sideman/tasks"
)

// errLost is what a client gets for a call whose reply is lost.
var errLost = errors.Join(tasks.ErrUnknownOutcome, errors.New("conformance: the reply is lost on purpose"))

// call makes a call and takes its time. In a lossy workload one that isn't precious
// may lose its reply, or its request, or the request may arrive when nobody waits for
// it any longer; then fn must not touch what the client uses.
func (c *client) call(what string, precious bool, fn func() error) (s span, ok bool) {
	fate := replied
	if c.lossy && !precious && !c.calm {
		fate = c.fate()
	}
	s.call, s.calledAt = c.counter.Add(1), time.Since(c.began)
	if !c.calm && c.rnd.IntN(2) == 0 {
		// Others get their turn between the number and the call, or on one processor
		// calls that take no time would never overlap.
		runtime.Gosched()
	}
	err := errLost
	switch fate {
	case replied:
		err = fn()
	case replyLost:
		_ = fn()
	case requestLost:
	case requestLate:
		after := time.Duration(c.rnd.IntN(4)) * c.unit()
		c.late.Go(func() {
			c.nap(after)
			_ = fn()
		})
	}
	s.ret, s.returnedAt = c.counter.Add(1), time.Since(c.began)
	s.unknown = errors.Is(err, errLost)
	if err != nil && !s.unknown {
		c.Errorf("%s: %v", what, err)
	}
	return s, err == nil
}

type fate int

// What can become of a call.
const (
	replied fate = iota
	replyLost
	requestLost
	requestLate
)

func (c *client) fate() fate {
	switch n := c.rnd.IntN(100); {
	case n < 8:
		return replyLost
	case n < 12:
		return requestLost
	case n < 16:
		return requestLate
	}
	return replied
}

// put enqueues records, which may be stored already.
func (c *client) put(recs ...*tasks.Record) (ok bool) {
	copies := make([]*tasks.Record, len(recs))
	for i, rec := range recs {
		copies[i] = rec.Clone()
	}
	s, ok := c.call("enqueue", false, func() error { return c.h.b.Enqueue(c.ctx, copies) })
	for i, rec := range recs {
		a := s.of(doEnqueue, c.n, rec.ID)
		a.Max = rec.MaxAttempts
		if ok && copies[i].Duplicate {
			a.Refused, a.Seen = true, see(copies[i])
		}
		c.note(a)
	}
	return ok
}

// claim returns how many records it got. A client that doesn't get the reply knows
// nothing of them, though the history does.
func (c *client) claim(n int, length time.Duration) int {
	var got []tasks.Claimed
	s, _ := c.call("claim", true, func() (err error) {
		got, err = c.h.s.Claim(c.ctx, tasks.ClaimRequest{Selection: all, Worker: "client-" + strconv.Itoa(c.n), Limit: n, Lease: length})
		return err
	})
	for _, g := range got {
		a := s.of(doClaim, c.n, g.Record.ID)
		a.Token, a.Length, a.Seen = g.Lease.Token, length, see(g.Record)
		if g.Lease.Attempt != a.Seen.Attempts || g.Lease.ID != a.ID || g.Lease.Token == "" {
			c.Errorf("claim: the lease %+v isn't that of attempt %d of record %s", g.Lease, a.Seen.Attempts, a.ID)
		}
		c.note(a)
	}
	if c.lossy && !c.calm && c.fate() == replyLost {
		return len(got)
	}
	c.held = append(c.held, got...)
	return len(got)
}

func (c *client) get(id string) seen {
	var rec *tasks.Record
	s, _ := c.call("get result", true, func() (err error) {
		rec, err = c.h.b.GetResult(c.ctx, id)
		if errors.Is(err, tasks.ErrResultNotFound) {
			err, rec = nil, &tasks.Record{}
		}
		return err
	})
	if rec == nil {
		return seen{}
	}
	a := s.of(doGet, c.n, id)
	a.Seen = see(rec)
	c.note(a)
	return a.Seen
}

func (c *client) renew(lease tasks.Lease) {
	length := c.length()
	var states []tasks.LeaseState
	s, ok := c.call("renew", false, func() error {
		got, err := c.h.s.Renew(c.ctx, []tasks.Lease{lease}, length)
		if err == nil && len(got) != 1 {
			err = fmt.Errorf("%d states for 1 lease", len(got))
		}
		states = got
		return err
	})
	a := s.of(doRenew, c.n, lease.ID)
	a.Token, a.Length = lease.Token, length
	if ok {
		a.Refused, a.Seen.Cancel = states[0].Lost, states[0].CancelRequested
	}
	if ok || s.unknown {
		c.note(a)
	}
}

// settle settles leases of different records, all the same way.
func (c *client) settle(leases []tasks.Lease, kind tasks.OutcomeKind) {
	acts := make(map[string]*act, len(leases))
	var outs []tasks.Outcome
	for i, l := range leases {
		if acts[l.ID] != nil {
			c.settle([]tasks.Lease{l}, kind)
			continue
		}
		out := tasks.Outcome{Lease: l, Kind: kind}
		switch kind {
		case tasks.OutcomeSuccess:
			out.Value = json.RawMessage(fmt.Sprintf(`"%d.%d.%d"`, c.n, c.moves, i))
		case tasks.OutcomeFailure, tasks.OutcomeRetry:
			out.Error = &tasks.AttemptError{Type: "test", Message: "made to fail"}
		default:
		}
		outs = append(outs, out)
		acts[l.ID] = &act{Token: l.Token, Outcome: kind, Seen: seen{Value: string(out.Value)}}
	}
	if s, ok := c.settleAll(outs, acts); !ok && s.unknown && c.rnd.IntN(3) > 0 {
		for _, out := range outs {
			again := &act{Token: out.Lease.Token, Outcome: kind, Seen: seen{Value: string(out.Value)}}
			c.settleAll([]tasks.Outcome{out}, map[string]*act{out.Lease.ID: again})
		}
	}
}

func (c *client) settleAll(outs []tasks.Outcome, acts map[string]*act) (s span, ok bool) {
	var verdicts []error
	s, ok = c.call("settle", false, func() error {
		got, err := c.h.s.Settle(c.ctx, outs)
		if err == nil && len(got) != len(outs) {
			err = fmt.Errorf("%d verdicts for %d outcomes", len(got), len(outs))
		}
		verdicts = got
		return err
	})
	for i, out := range outs {
		a := s.of(doSettle, c.n, out.Lease.ID)
		a.Token, a.Outcome, a.Seen = acts[a.ID].Token, acts[a.ID].Outcome, acts[a.ID].Seen
		if ok {
			a.Refused = errors.Is(verdicts[i], tasks.ErrLeaseLost)
			if verdicts[i] != nil && !a.Refused {
				c.Errorf("settle %s of record %s: %v, want nil or ErrLeaseLost", out.Kind, a.ID, verdicts[i])
			}
		}
		if ok || s.unknown {
			c.note(a)
		}
	}
	return s, ok
}

// sweep sweeps once, and notes when something was taken back.
func (c *client) sweep() {
	var swept tasks.Swept
	s, ok := c.call("sweep", true, func() (err error) {
		swept, err = c.h.s.Sweep(c.ctx)
		return err
	})
	if ok && swept.Lost > 0 {
		c.mu.Lock()
		defer c.mu.Unlock()
		c.sweeps = append(c.sweeps, sweepSpan{span: s, client: c.n, lost: swept.Lost})
	}
}

// alter cancels a record, or has it tried again.
func (c *client) alter(what verb, id string) {
	change := tasks.Change{Kind: tasks.ChangeCancel, Reason: "not wanted"}
	if what == doRetry {
		change = tasks.Change{Kind: tasks.ChangeRetry}
	}
	var got []tasks.Altered
	s, ok := c.call(string(what), false, func() error {
		answers, err := c.h.s.Alter(c.ctx, change, []string{id})
		if err == nil && len(answers) != 1 {
			err = errors.New("want one answer")
		}
		if err == nil && answers[0].Err != nil && !errors.Is(answers[0].Err, tasks.ErrNoChange) && !errors.Is(answers[0].Err, tasks.ErrResultNotFound) {
			err = answers[0].Err
		}
		got = answers
		return err
	})
	a := s.of(what, c.n, id)
	if ok {
		a.Refused = got[0].Err != nil
		if !a.Refused {
			a.Seen.Status = got[0].Status
		}
	}
	if ok || s.unknown {
		c.note(a)
	}
}
