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

// row is one scenario on one pair.
type row struct {
	On       string               `json:"on"`
	Scenario string               `json:"scenario"`
	Unit     string               `json:"unit"`
	Low      bool                 `json:"less_is_better,omitempty"`
	Ours     string               `json:"-"`
	Peer     string               `json:"-"`
	A        []float64            `json:"sideman"`
	B        []float64            `json:"peer"`
	MoreA    map[string][]float64 `json:"sideman_more,omitempty"`
	MoreB    map[string][]float64 `json:"peer_more,omitempty"`

	goal goal
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

func (r *row) add(ours bool, m measured) {
	values, more := &r.B, &r.MoreB
	if ours {
		values, more = &r.A, &r.MoreA
	}
	*values = append(*values, m.value)
	for k, v := range m.more {
		if *more == nil {
			*more = make(map[string][]float64)
		}
		(*more)[k] = append((*more)[k], v)
	}
}

func median(all []float64) float64 {
	if len(all) == 0 {
		return 0
	}
	sorted := slices.Sorted(slices.Values(all))
	n := len(sorted)
	return (sorted[(n-1)/2] + sorted[n/2]) / 2
}

// ratio is Sideman's median through the peer's.
func (r *row) ratio() float64 {
	if b := median(r.B); b != 0 {
		return median(r.A) / b
	}
	return 0
}

// verdict says whether the goal is reached; "" if there is none.
func (r *row) verdict() (want string, ok bool) {
	g, ok := r.goal, true
	var wants []string
	if g.ratio > 0 {
		sign := "≥"
		reached := r.ratio() >= g.ratio
		if r.Low {
			sign, reached = "≤", r.ratio() <= g.ratio
		}
		wants, ok = append(wants, fmt.Sprintf("%s %g ×", sign, g.ratio)), ok && reached
	}
	if g.most > 0 {
		wants, ok = append(wants, fmt.Sprintf("≤ %g", g.most)), ok && median(r.A) <= g.most
	}
	if g.most99 > 0 {
		wants, ok = append(wants, fmt.Sprintf("p99 ≤ %g", g.most99)), ok && median(r.MoreA["p99"]) <= g.most99
	}
	return strings.Join(wants, ", "), ok
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

// cell is a median with its spread, and the 99th percentile where there is one.
func cell(values []float64, more map[string][]float64) string {
	text := figure(median(values))
	if len(values) > 1 {
		text += fmt.Sprintf(" (%s–%s)", figure(slices.Min(values)), figure(slices.Max(values)))
	}
	if p99 := more["p99"]; p99 != nil {
		text += ", p99 " + figure(median(p99))
	}
	return text
}

// print writes the table.
func (r *report) print(w io.Writer) {
	say(w, "%s, %d cores, medians of %d alternated runs (least–most)\n", r.Go, r.Cores, r.Runs)
	for _, on := range slices.Sorted(maps.Keys(r.Stores)) {
		say(w, "\n%s against %s; %s\n", on, r.Peers[on], r.Stores[on])
		t := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
		say(t, "what\tunit\tSideman\tpeer\tratio\tgoal\t\n")
		for _, row := range r.Rows {
			if row.On != on {
				continue
			}
			want, ok := row.verdict()
			mark := "reached"
			switch {
			case want == "":
				mark = ""
			case !ok:
				mark = "MISSED"
			}
			say(t, "%s\t%s\t%s\t%s\t%.2f\t%s\t%s\n", row.Scenario, row.Unit,
				cell(row.A, row.MoreA), cell(row.B, row.MoreB), row.ratio(), want, mark)
		}
		_ = t.Flush()
	}
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
