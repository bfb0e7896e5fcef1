// Benchmarks measures Sideman side by side with River (PostgreSQL), asynq (Redis) and
// backlite (an embedded file):
//
//	go run ./benchmarks            # everything, five alternated runs each
//	go run ./benchmarks -quick     # small and once, under two minutes: does it work, about how fast is it
//	go run ./benchmarks -on redis -only enqueue
//
// Both of a pair use the same server with the same settings, through their public API, one
// after the other, alternating. What counts is what is stored, not what was called. The
// servers run in containers, as those of the tests do (docs/testing.md). After each pair comes
// what is measured of Sideman alone: worker processes, large stores, memory, processor time.
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
	"slices"
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
	read      string
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
	flag.StringVar(&o.read, "read", "", "measure nothing: put together what runs have written to these `files` by -json")
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
	if os.Getenv(childEnv) != "" {
		err := childMain(ctx, os.Stdin, os.Stdout)
		stop()
		if err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
		return
	}
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
	if o.read != "" {
		if rep, err = readReports(o.read); err != nil {
			return err
		}
		o.on = ""
	}
	for on := range strings.FieldsFuncSeq(o.on, func(r rune) bool { return r == ',' }) {
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
	size := fullSizes()
	if o.quick {
		size = quickSizes()
	}
	size = size.on(on)
	p, err := openPair(ctx, on, dir, size)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, p.ours.close(ctx), p.full.close(ctx), p.peer.close(ctx), p.stop()) }()
	rep.about(p)
	for _, sc := range append(scenarios(), aloneScenarios()...) {
		if _, asked := sc.goals[on]; !asked || !strings.Contains(sc.name, o.only) || (o.skip != "" && strings.Contains(sc.name, o.skip)) {
			continue
		}
		rows, err := measure(ctx, o, p, &sc, size, progress)
		if err != nil {
			return err
		}
		rep.Rows = append(rep.Rows, rows...)
	}
	return nil
}

// measure runs the sides of a scenario by turns.
func measure(ctx context.Context, o options, p *pair, sc *scenario, size sizes, progress io.Writer) ([]*row, error) {
	sides := sc.of(p)
	if o.ours {
		sides = slices.DeleteFunc(sides, func(s side) bool { return s.c == p.peer })
	}
	runs := o.runs
	if sc.most > 0 {
		runs = min(runs, sc.most)
	}
	shown := make(map[string][]measured)
	for i := range runs {
		order := slices.Clone(sides)
		if i%2 == 1 {
			slices.Reverse(order)
		}
		for _, side := range order {
			if err := side.c.reset(ctx); err != nil {
				return nil, fmt.Errorf("%s: empty the store: %w", side.c.name(), err)
			}
			m, err := side.run(ctx, side.c, size)
			if err != nil {
				return nil, fmt.Errorf("%s: %w", sc.name, err)
			}
			shown[side.name] = append(shown[side.name], m)
			what := side.c.name()
			if sc.alone() && side.name != "" {
				what = side.name
			}
			say(progress, "%s: %s %d/%d: %s: %s\n", p.on, sc.name, i+1, runs, what, m.text(sc.unit))
		}
	}
	return rowsOf(p, sc, sides, shown), nil
}
