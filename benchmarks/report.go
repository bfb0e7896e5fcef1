package main

import (
	"encoding/json"
	"fmt"
	"io"
	"maps"
	"os"
	"runtime"
	"runtime/debug"
	"slices"
	"strings"
	"text/tabwriter"
	"time"
)

// report is everything that was measured.
type report struct {
	At     time.Time         `json:"at"`
	Go     string            `json:"go"`
	Cores  int               `json:"cores"`
	Runs   int               `json:"runs"`
	Quick  bool              `json:"quick,omitempty"`
	Stores map[string]string `json:"stores"`
	Peers  map[string]string `json:"peers"`
	Rows   []*row            `json:"rows"`
}

func newReport(o options) *report {
	return &report{
		At: time.Now().UTC().Truncate(time.Second), Go: runtime.Version(), Cores: runtime.NumCPU(), Runs: o.runs, Quick: o.quick,
		Stores: make(map[string]string), Peers: make(map[string]string),
	}
}

func (r *report) about(p *pair) {
	r.Stores[p.on] = p.about
	r.Peers[p.on] = p.peer.name() + " " + p.peer.version()
}

func median(all []float64) float64 {
	if len(all) == 0 {
		return 0
	}
	sorted := slices.Sorted(slices.Values(all))
	n := len(sorted)
	return (sorted[(n-1)/2] + sorted[n/2]) / 2
}

// figure writes a number with three digits that count.
func figure(v float64) string {
	switch {
	case v >= 10_000:
		return fmt.Sprintf("%.1f k", v/1000)
	case v >= 100:
		return fmt.Sprintf("%.0f", v)
	case v >= 10:
		return fmt.Sprintf("%.1f", v)
	}
	return fmt.Sprintf("%.2f", v)
}

// cell is a median with its spread, and the medians of what else is named and there.
func cell(values []float64, more map[string][]float64, named ...string) string {
	if len(values) == 0 {
		return ""
	}
	parts := []string{figure(median(values))}
	if len(values) > 1 {
		parts[0] += fmt.Sprintf(" (%s–%s)", figure(slices.Min(values)), figure(slices.Max(values)))
	}
	for _, name := range named {
		if all := more[name]; all != nil {
			parts = append(parts, name+" "+figure(median(all)))
		}
	}
	return strings.Join(parts, ", ")
}

// print writes the tables.
func (r *report) print(w io.Writer) {
	say(w, "%s, %d cores, medians of %d alternated runs (least–most)\n", r.Go, r.Cores, r.Runs)
	for _, on := range slices.Sorted(maps.Keys(r.Stores)) {
		say(w, "\n%s against %s; %s\n", on, r.Peers[on], r.Stores[on])
		r.table(w, on, false, "what\tunit\tSideman\tpeer\tratio\tgoal\t\n", func(row *row) string {
			return fmt.Sprintf("%s\t%s\t%.2f", cell(row.A, row.MoreA, "p99"), cell(row.B, row.MoreB, "p99"), row.ratio())
		})
		r.table(w, on, true, "\nof ours alone\tunit\tmeasured\tagainst\t\tratio\tgoal\t\n", func(row *row) string {
			ratio := ""
			if len(row.B) > 0 {
				ratio = fmt.Sprintf("%.2f", row.ratio())
			}
			more := slices.Sorted(maps.Keys(row.MoreA))
			return fmt.Sprintf("%s\t%s\t%s\t%s", cell(row.A, row.MoreA, more...), row.Against, cell(row.B, row.MoreB, more...), ratio)
		})
	}
}

// table writes those rows of a pair that are of ours alone, or those that aren't.
func (r *report) table(w io.Writer, on string, alone bool, head string, figures func(*row) string) {
	t := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	for _, row := range r.Rows {
		if row.On != on || row.Alone != alone {
			continue
		}
		say(t, "%s", head)
		head = ""
		want, ok := row.verdict()
		mark := "reached"
		switch {
		case want == "":
			mark = ""
		case !ok:
			mark = "MISSED"
		}
		say(t, "%s\t%s\t%s\t%s\t%s\n", row.Scenario, row.Unit, figures(row), want, mark)
	}
	_ = t.Flush()
}

func (r *report) writeJSON(path string) error {
	text, err := json.MarshalIndent(r, "", "\t")
	if err != nil {
		return err
	}
	return os.WriteFile(path, append(text, '\n'), 0o644)
}

// moduleVersion is the version of a module that this program is built with.
func moduleVersion(path string) string {
	info, ok := debug.ReadBuildInfo()
	if !ok {
		return ""
	}
	for _, m := range info.Deps {
		if m.Path == path {
			return m.Version
		}
	}
	return ""
}
