package main

import (
	"context"
	"errors"
	"fmt"
)

// owner is a contender that is Sideman, whatever is around it.
type owner interface{ itself() *sideman }

func (s *sideman) itself() *sideman { return s }

// ourselves returns the Sideman that a contender is.
func ourselves(c contender) (*sideman, error) {
	o, ok := c.(owner)
	if !ok {
		return nil, fmt.Errorf("%s isn't ours", c.name())
	}
	return o.itself(), nil
}

// watch is called when processes begin, and what it returns when all is done.
type watch func(ctx context.Context, pids []int) (stop func() error, err error)

// byProcesses has so many processes do a job, while this one has the store closed: a file is one
// process's. It returns when n tasks are done and all processes have ended, with how long
// the second half of them took.
func (s *sideman) byProcesses(ctx context.Context, processes, n int, j job, see watch) (took pace, used spent, err error) {
	j.URL = s.url
	if err := s.close(ctx); err != nil {
		return pace{}, spent{}, err
	}
	defer func() { err = errors.Join(err, s.open(ctx)) }()
	c, err := startCrew(ctx, processes, j)
	if err != nil {
		return pace{}, spent{}, err
	}
	pids := make([]int, len(c.members))
	for i, m := range c.members {
		pids[i] = m.cmd.Process.Pid
	}
	stop := func() error { return nil }
	if see != nil {
		if stop, err = see(ctx, pids); err != nil {
			return pace{}, spent{}, errors.Join(err, c.kill())
		}
	}
	took, err = c.run(n)
	err = errors.Join(err, stop())
	if err != nil {
		return pace{}, spent{}, errors.Join(err, c.kill())
	}
	used, err = c.finish()
	return took, used, err
}

// drainByProcesses fills the store with n tasks and has so many worker processes at the tuned
// settings drain it. What counts is what the workers know to be stored; the store is asked
// afterwards whether that is so.
func drainByProcesses(ctx context.Context, c contender, processes, n int, see watch) (pace, spent, error) {
	s, err := ourselves(c)
	if err != nil {
		return pace{}, spent{}, err
	}
	if err := fill(ctx, s, n); err != nil {
		return pace{}, spent{}, err
	}
	if s.quiet != nil {
		if err := s.quiet(ctx); err != nil {
			return pace{}, spent{}, err
		}
	}
	took, used, err := s.byProcesses(ctx, processes, n, job{Do: work, Options: s.tuned}, see)
	if err != nil {
		return pace{}, spent{}, err
	}
	done, err := c.completed(ctx)
	if err == nil && done != n {
		err = fmt.Errorf("%d of %d tasks are stored as done", done, n)
	}
	return took, used, err
}

// drainBy measures the second half of a drain of so many tasks by worker processes.
func drainBy(processes int, size func(sizes) int) runner {
	return func(ctx context.Context, c contender, s sizes) (measured, error) {
		took, _, err := drainByProcesses(ctx, c, processes, size(s), nil)
		return measured{value: took.perSecond()}, err
	}
}
