// Benchmarks measures Sideman side by side with River (PostgreSQL), asynq (Redis) and
// backlite (an embedded file):
//
//	go run ./benchmarks            # everything, five alternated runs each
//	go run ./benchmarks -quick     # small and once, under two minutes: does it work, about how fast is it
//	go run ./benchmarks -on redis -only enqueue
//
// Both of a pair use the same server with the same settings, through their public API, one
// after the other, alternating. What counts is what is stored, not what was called. The
// servers run in containers, as those of the tests do (docs/testing.md).
//
// This is a module of its own, so that the peers are in nobody's dependencies.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"os/signal"
	"runtime/pprof"
	"strings"

	goredis "github.com/redis/go-redis/v9"
)

// options are the flags.
type options struct {
	quick     bool
	runs      int
	on        string
	only      string
	skip      string
	json, svg string
	profile   string
	ours      bool
}

func main() {
	var o options
	flag.BoolVar(&o.quick, "quick", false, "small sizes, one run each")
	flag.IntVar(&o.runs, "runs", 0, "alternated runs of each `number`; default 5, or 1 with -quick")
	flag.StringVar(&o.on, "on", "database,redis,bolt", "which pairs")
	flag.StringVar(&o.only, "only", "", "only scenarios whose name has this `text` in it")
	flag.StringVar(&o.skip, "skip", "", "no scenarios whose name has this `text` in it")
	flag.StringVar(&o.json, "json", "", "write all figures to this `file`")
	flag.StringVar(&o.svg, "svg", "", "write a plot to this `file`")
	flag.BoolVar(&o.ours, "ours", false, "only Sideman, for a profile")
	flag.StringVar(&o.profile, "cpuprofile", "", "write a CPU profile to this `file`")
	flag.Usage = func() {
		say(flag.CommandLine.Output(), "usage: go run ./benchmarks [flags]\n")
		flag.PrintDefaults()
	}
	flag.Parse()
	if flag.NArg() > 0 {
		fmt.Fprintln(os.Stderr, "benchmarks: no arguments are taken:", flag.Args())
		flag.Usage()
		os.Exit(2)
	}
	if o.runs <= 0 {
		o.runs = 5
		if o.quick {
			o.runs = 1
		}
	}
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	err := run(ctx, o, os.Stdout, os.Stderr)
	stop()
	if err != nil {
		fmt.Fprintln(os.Stderr, "benchmarks:", err)
		os.Exit(1)
	}
}

// say prints; there is nobody to tell if that fails.
func say(w io.Writer, format string, args ...any) { _, _ = fmt.Fprintf(w, format, args...) }

// silent drops go-redis's chatter.
type silent struct{}

func (silent) Printf(context.Context, string, ...any) {}

func run(ctx context.Context, o options, out, progress io.Writer) error {
	goredis.SetLogger(silent{})
	dir, err := os.MkdirTemp("", "sideman-benchmarks")
	if err != nil {
		return err
	}
	defer os.RemoveAll(dir)
	if o.profile != "" {
		f, err := os.Create(o.profile)
		if err != nil {
			return err
		}
		defer f.Close()
		if err := pprof.StartCPUProfile(f); err != nil {
			return err
		}
		defer pprof.StopCPUProfile()
	}
	rep := newReport(o)
	var failed []error
	for on := range strings.SplitSeq(o.on, ",") {
		err := measurePair(ctx, o, strings.TrimSpace(on), dir, rep, progress)
		if ctx.Err() != nil {
			failed = append(failed, errors.New("interrupted"))
			break // what there is is printed
		}
		if err != nil {
			failed = append(failed, fmt.Errorf("%s: %w", on, err))
		}
	}
	rep.print(out)
	if o.json != "" {
		failed = append(failed, rep.writeJSON(o.json))
	}
	if o.svg != "" {
		failed = append(failed, rep.writeSVG(o.svg))
	}
	return errors.Join(failed...)
}

// measurePair runs every scenario of one pair.
func measurePair(ctx context.Context, o options, on, dir string, rep *report, progress io.Writer) (err error) {
	say(progress, "%s: starting\n", on)
	p, err := openPair(ctx, on, dir)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, p.ours.close(ctx), p.peer.close(ctx), p.stop()) }()
	rep.about(p)
	size := fullSizes()
	if o.quick {
		size = quickSizes()
	}
	size = size.on(on)
	for _, sc := range scenarios() {
		if _, asked := sc.goals[on]; !asked || !strings.Contains(sc.name, o.only) || (o.skip != "" && strings.Contains(sc.name, o.skip)) {
			continue
		}
		row := &row{On: on, Scenario: sc.name, Unit: sc.unit, Low: sc.low, goal: sc.goals[on], Ours: p.ours.name(), Peer: p.peer.name()}
		for i := range o.runs {
			order := []contender{p.ours, p.peer}
			if i%2 == 1 {
				order[0], order[1] = order[1], order[0]
			}
			if o.ours {
				order = []contender{p.ours}
			}
			for _, c := range order {
				if err := c.reset(ctx); err != nil {
					return fmt.Errorf("%s: empty the store: %w", c.name(), err)
				}
				m, err := sc.run(ctx, c, size)
				if err != nil {
					return fmt.Errorf("%s: %w", sc.name, err)
				}
				row.add(c == p.ours, m)
				say(progress, "%s: %s %d/%d: %s %s %s\n", on, sc.name, i+1, o.runs, c.name(), figure(m.value), sc.unit)
			}
		}
		rep.Rows = append(rep.Rows, row)
	}
	return nil
}
