package redis

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/sideman-go/sideman/tasks"
)

// maxItems bounds how many records one script changes, and maxBytes how much it is sent, so
// that others get their turn on the server.
const (
	maxItems = 500
	maxBytes = 16 << 20
)

// kindLetter is an outcome as scripts get it, or an error for kinds that lifecycle.Settle
// would ignore.
func kindLetter(kind tasks.OutcomeKind) (string, error) {
	switch kind {
	case tasks.OutcomeSuccess:
		return "s", nil
	case tasks.OutcomeFailure:
		return "f", nil
	case tasks.OutcomeRetry:
		return "r", nil
	case tasks.OutcomeSnooze:
		return "z", nil
	case tasks.OutcomeRelease:
		return "l", nil
	case tasks.OutcomeCancel:
		return "c", nil
	}
	return "", fmt.Errorf("redis: unknown kind of outcome %q", kind)
}

// outcomeArgs are an outcome as settle.lua gets it.
func outcomeArgs(o *tasks.Outcome, letter string) []any {
	fault, reason := "", ""
	switch o.Kind {
	case tasks.OutcomeSuccess:
		value := string(o.Value)
		if value == "null" {
			value = ""
		}
		return []any{o.Lease.ID, token(o.Lease), letter, value}
	case tasks.OutcomeFailure, tasks.OutcomeRetry:
		fault = encodeError(o.Error)
	case tasks.OutcomeCancel:
		if o.Error != nil {
			fault = encodeError(o.Error)
		}
		reason = o.Reason
	case tasks.OutcomeSnooze, tasks.OutcomeRelease:
	}
	return []any{o.Lease.ID, token(o.Lease), letter, fault, formatDuration(o.Delay), reason}
}

// Settle implements tasks.Store. A batch of more than 500 is settled in pieces.
func (b *Backend) Settle(ctx context.Context, outs []tasks.Outcome) ([]error, error) {
	if err := b.ready(ctx); err != nil || len(outs) == 0 {
		return nil, err
	}
	verdicts := make([]error, len(outs))
	args := make([][]any, len(outs))
	for i := range outs {
		letter, err := kindLetter(outs[i].Kind)
		switch {
		case err != nil:
			verdicts[i] = err
		case len(outs[i].Value) > maxArgs:
			verdicts[i] = fmt.Errorf("%w: a value of %d bytes", tasks.ErrTooLarge, len(outs[i].Value))
		default:
			args[i] = outcomeArgs(&outs[i], letter)
		}
	}
	return run(ctx, b, true, func(ctx context.Context) ([]error, error) { return b.settle(ctx, args, verdicts) })
}

func (b *Backend) settle(ctx context.Context, args [][]any, verdicts []error) ([]error, error) {
	id := func(i int) string {
		if args[i] == nil {
			return ""
		}
		return args[i][0].(string)
	}
	err := b.byShard(len(args), maxItems, id, func(shard int, which []int) error {
		for len(which) > 0 {
			var all []any
			n, size := 0, 0
			var last any // token
			for n < len(which) && (n == 0 || size < maxBytes) {
				if a := args[which[n]]; a != nil {
					all = append(all, a...)
					if at := len(all) - len(a) + 1; a[1] == last {
						all[at] = ""
					} else {
						last = a[1]
					}
					for _, text := range a[3:] {
						size += len(text.(string))
					}
				}
				n++
			}
			if err := b.settlePiece(ctx, shard, all, which[:n], args, verdicts); err != nil {
				return err
			}
			which = which[n:]
		}
		return nil
	})
	if err != nil {
		return nil, err
	}
	return verdicts, nil
}

func (b *Backend) settlePiece(ctx context.Context, shard int, all []any, which []int, args [][]any, verdicts []error) error {
	if len(all) == 0 {
		return nil
	}
	reply, err := b.eval(ctx, &b.scripts.settle, shard, all...)
	if err != nil {
		return err
	}
	answers := list(reply)
	for _, i := range which {
		if args[i] == nil {
			continue
		}
		if len(answers) == 0 {
			return fmt.Errorf("%w: settle: too few answers", tasks.ErrDamaged)
		}
		switch number(answers[0]) {
		case 0:
		case 1:
			verdicts[i] = tasks.ErrLeaseLost
		default:
			verdicts[i] = fmt.Errorf("%w: record %q", tasks.ErrDamaged, args[i][0])
		}
		answers = answers[1:]
	}
	return nil
}

// token is the stored token of a lease: never the blanks of a record without one.
func token(l tasks.Lease) string {
	stored, ok := strings.CutSuffix(l.Token, ":"+l.ID)
	if !ok || len(stored) != sizeToken || strings.TrimSpace(stored) == "" {
		return "none"
	}
	return stored
}

// Renew implements tasks.Store.
func (b *Backend) Renew(ctx context.Context, leases []tasks.Lease, d time.Duration) ([]tasks.LeaseState, error) {
	if err := b.ready(ctx); err != nil || len(leases) == 0 {
		return nil, err
	}
	if d <= 0 {
		return nil, errLease
	}
	leases = slices.Clone(leases)
	return run(ctx, b, true, func(ctx context.Context) ([]tasks.LeaseState, error) { return b.renew(ctx, leases, d) })
}

func (b *Backend) renew(ctx context.Context, leases []tasks.Lease, d time.Duration) ([]tasks.LeaseState, error) {
	states := make([]tasks.LeaseState, len(leases))
	err := b.byShard(len(leases), maxItems, func(i int) string { return leases[i].ID }, func(shard int, which []int) error {
		args := make([]any, 0, 1+2*len(which))
		args = append(args, formatDuration(d))
		for _, i := range which {
			args = append(args, leases[i].ID, token(leases[i]))
		}
		reply, err := b.eval(ctx, &b.scripts.renew, shard, args...)
		if err != nil {
			return err
		}
		answers := texts(reply)
		if len(answers) != 1+len(which) {
			return fmt.Errorf("%w: renew: %d answers for %d leases", tasks.ErrDamaged, len(answers), len(which))
		}
		deadline, err := parseTime(answers[0])
		if err != nil {
			return err
		}
		for n, i := range which {
			switch a := answers[1+n]; {
			case a == "":
				states[i].Lost = true
			case a[0] == '1':
				states[i] = tasks.LeaseState{CancelRequested: true, CancelReason: a[1:], Deadline: deadline}
			default:
				states[i].Deadline = deadline
			}
		}
		return nil
	})
	if err != nil {
		return nil, err
	}
	return states, nil
}
