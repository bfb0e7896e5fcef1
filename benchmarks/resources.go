package main

import (
	"context"
	"fmt"
	"os"
	"slices"
	"strconv"
	"strings"
	"time"
)

// resident is the memory of a process in MB: all of it, and what isn't of a file.
type resident struct{ all, anonymous float64 }

// residentOf reads what Linux says of a process.
func residentOf(pid int) (resident, error) {
	text, err := os.ReadFile("/proc/" + strconv.Itoa(pid) + "/status")
	if err != nil {
		return resident{}, err
	}
	return parseStatus(string(text))
}

// parseStatus reads a file status of /proc.
func parseStatus(text string) (r resident, err error) {
	found := 0
	for line := range strings.Lines(text) {
		name, value, _ := strings.Cut(line, ":")
		into := map[string]*float64{"VmRSS": &r.all, "RssAnon": &r.anonymous}[name]
		if into == nil {
			continue
		}
		kB, err := strconv.ParseFloat(strings.TrimSpace(strings.TrimSuffix(strings.TrimSpace(value), "kB")), 64)
		if err != nil {
			return r, err
		}
		*into = kB / 1000 * 1.024
		found++
	}
	if found != 2 {
		err = fmt.Errorf("no VmRSS and RssAnon in %q", text)
	}
	return r, err
}

// samples looks at a process's memory again and again.
type samples struct{ all []resident }

func (s *samples) watch(ctx context.Context, pids []int) (func() error, error) {
	ctx, cancel := context.WithCancel(ctx)
	ended := make(chan error, 1)
	go func() {
		tick := time.NewTicker(20 * time.Millisecond)
		defer tick.Stop()
		for {
			r, err := residentOf(pids[0])
			if err != nil {
				ended <- err
				return
			}
			s.all = append(s.all, r)
			select {
			case <-ctx.Done():
				ended <- nil
				return
			case <-tick.C:
			}
		}
	}()
	return func() error { cancel(); return <-ended }, nil
}

// most returns the most that there was of something; growth is its median in the last quarter of
// the time through that in the second: 1 if it's flat.
func (s *samples) most(of func(resident) float64) (most, growth float64) {
	values := make([]float64, len(s.all))
	for i, r := range s.all {
		values[i] = of(r)
	}
	n := len(values)
	if n == 0 {
		return 0, 0
	}
	growth = 1
	if n >= 4 {
		growth = median(values[n*3/4:]) / median(values[n/4:n/2])
	}
	return slices.Max(values), growth
}

// memory measures the most memory that a worker process has while it drains a long queue. On a
// file what is not of the file counts: its pages are mapped, and the system takes them back.
func memory(ctx context.Context, c contender, s sizes) (measured, error) {
	var seen samples
	if _, _, err := drainByProcesses(ctx, c, 1, s.queued, seen.watch); err != nil {
		return measured{}, err
	}
	all, growth := seen.most(func(r resident) float64 { return r.all })
	anonymous, growthAnonymous := seen.most(func(r resident) float64 { return r.anonymous })
	if o, err := ourselves(c); err == nil && o.backend == onFile {
		return measured{value: anonymous, more: map[string]float64{"growth": growthAnonymous, "with the file": all, "growth with it": growth}}, nil
	}
	return measured{value: all, more: map[string]float64{"growth": growth, "anonymous": anonymous}}, nil
}

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
