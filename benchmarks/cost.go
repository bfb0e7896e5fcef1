package main

import (
	"context"
	"time"
)

// costOf measures what processor time a task takes, of the process that does it and of the
// server, and what the process allocates for it.
func costOf(do errand, cpu func(context.Context) (time.Duration, error)) runner {
	return func(ctx context.Context, c contender, s sizes) (measured, error) {
		var server time.Duration
		see := func(ctx context.Context, _ []int) (func() error, error) {
			if cpu == nil {
				return func() error { return nil }, nil
			}
			before, err := cpu(ctx)
			return func() error {
				after, err := cpu(ctx)
				server = after - before
				return err
			}, err
		}
		n := s.ownEnqueue
		var used spent
		var err error
		if do == work {
			n = s.own
			_, used, err = drainByProcesses(ctx, c, 1, n, see)
		} else {
			used, err = enqueueByProcess(ctx, c, n, do, see)
		}
		each := func(d time.Duration) float64 { return float64(d) / float64(time.Microsecond) / float64(n) }
		more := map[string]float64{
			"process": each(used.CPU), "allocs": float64(used.Allocs) / float64(n), "bytes": float64(used.Bytes) / float64(n),
		}
		if cpu != nil {
			more["server"] = each(server)
		}
		return measured{value: each(used.CPU + server), more: more}, err
	}
}

func enqueueByProcess(ctx context.Context, c contender, n int, do errand, see watch) (spent, error) {
	s, err := ourselves(c)
	if err != nil {
		return spent{}, err
	}
	_, used, err := s.byProcesses(ctx, 1, n, job{Do: do, N: n}, see)
	return used, err
}
