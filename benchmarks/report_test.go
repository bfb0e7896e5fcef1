package main

import (
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

func TestMedian(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		in   []float64
		want float64
	}{{nil, 0}, {[]float64{3}, 3}, {[]float64{9, 1, 2}, 2}, {[]float64{4, 1, 9, 2}, 3}} {
		if got := median(c.in); got != c.want {
			t.Errorf("the median of %v is %v, want %v", c.in, got, c.want)
		}
	}
}

// A goal is reached only if all of its bounds are kept.
func TestVerdict(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		name string
		row  row
		want string
		ok   bool
	}{
		{"no goal", row{A: []float64{1}, B: []float64{2}}, "", true},
		{"more is better", row{A: []float64{50}, B: []float64{20}, goal: goal{ratio: 2.5}}, "≥ 2.5 ×", true},
		{"too little", row{A: []float64{49}, B: []float64{20}, goal: goal{ratio: 2.5}}, "≥ 2.5 ×", false},
		{"less is better", row{Low: true, A: []float64{4}, B: []float64{10}, goal: goal{ratio: 0.4, most: 5}}, "≤ 0.4 ×, ≤ 5", true},
		{"too much", row{Low: true, A: []float64{4}, B: []float64{10}, goal: goal{ratio: 0.4, most: 3}}, "≤ 0.4 ×, ≤ 3", false},
		{"seldom too much", row{Low: true, A: []float64{1}, MoreA: map[string][]float64{"p99": {11}}, goal: goal{most99: 10}}, "p99 ≤ 10", false},
	} {
		if want, ok := c.row.verdict(); want != c.want || ok != c.ok {
			t.Errorf("%s: %q, %v, want %q, %v", c.name, want, ok, c.want, c.ok)
		}
	}
}

func TestTable(t *testing.T) {
	t.Parallel()
	r := newReport(options{runs: 2})
	r.Stores["redis"], r.Peers["redis"] = "Redis 7", "asynq v0"
	r.Rows = []*row{{On: "redis", Scenario: "drain", Unit: "tasks/s", A: []float64{30_000, 32_000}, B: []float64{999, 1001}, goal: goal{ratio: 40}}}
	var b strings.Builder
	r.print(&b)
	for _, part := range []string{"medians of 2", "redis against asynq v0; Redis 7", "31.0 k (30.0 k–32.0 k)", "1000 (999–1001)", "31.00", "≥ 40 ×", "MISSED"} {
		if !strings.Contains(b.String(), part) {
			t.Errorf("%q isn't in\n%s", part, b.String())
		}
	}
}

// What is of ours alone has a table of its own, with all figures of a run, and isn't in the plot.
func TestTableOfOursAlone(t *testing.T) {
	t.Parallel()
	r := newReport(options{runs: 1})
	r.Stores["redis"], r.Peers["redis"] = "Redis 7", "asynq v0"
	r.Rows = []*row{
		{On: "redis", Scenario: "memory", Alone: true, A: []float64{160}, MoreA: map[string][]float64{"growth": {1.5}}, goal: goal{most: 150}},
		{On: "redis", Scenario: "drain", A: []float64{30}, B: []float64{10}},
		{On: "redis", Scenario: "processes", Alone: true, Against: "1 process", A: []float64{95}, B: []float64{100}, goal: goal{ratio: 0.9}},
	}
	var b strings.Builder
	r.print(&b)
	theirs, alone, _ := strings.Cut(b.String(), "of ours alone")
	if !strings.Contains(theirs, "3.00") || strings.Contains(alone, "3.00") {
		t.Errorf("the row beside a peer isn't before what is of ours alone:\n%s", b.String())
	}
	for _, part := range []string{"160, growth 1.50", "≤ 150", "MISSED", "1 process", "0.95", "reached"} {
		if !strings.Contains(alone, part) {
			t.Errorf("%q isn't in\n%s", part, alone)
		}
	}
	path := filepath.Join(t.TempDir(), "plot.svg")
	if err := r.writeSVG(path); err != nil {
		t.Fatal(err)
	}
	if svg, err := os.ReadFile(path); err != nil || strings.Contains(string(svg), "memory") || !strings.Contains(string(svg), "drain") {
		t.Errorf("the plot has other rows than that beside a peer (%v):\n%s", err, svg)
	}
}

// Each side that isn't only there for others has a row, with what it's held against.
func TestRows(t *testing.T) {
	t.Parallel()
	sc := scenario{name: "drain", unit: "tasks/s", goals: map[string]goal{"redis": {ratio: 0.9}}, sides: func(*pair) []side { return nil }}
	sides := []side{
		{name: "one", base: true}, {name: "two", against: "one"}, {name: "peer", against: "one", free: true}, {name: "lone"},
	}
	rows := rowsOf(&pair{on: "redis"}, &sc, sides, map[string][]measured{
		"one": {{value: 1}, {value: 3}}, "two": {{value: 4, more: map[string]float64{"x": 5}}}, "peer": {{value: 6}}, "lone": {{value: 7}},
	})
	var got []string
	for _, r := range rows {
		want, _ := r.verdict()
		got = append(got, fmt.Sprintf("%s|%v|%s|%v|%v|%v|%s", r.Scenario, r.Alone, r.Against, r.A, r.B, r.MoreA, want))
	}
	want := []string{
		"drain, two|true|one|[4]|[1 3]|map[x:[5]]|≥ 0.9 ×", "drain, peer|true|one|[6]|[1 3]|map[]|", "drain, lone|true||[7]|[]|map[]|≥ 0.9 ×",
	}
	if !slices.Equal(got, want) {
		t.Errorf("the rows are\n%q, want\n%q", got, want)
	}
}

func TestMemorySamples(t *testing.T) {
	t.Parallel()
	r, err := parseStatus("Name:\tx\nVmRSS:\t   2000 kB\nRssAnon:\t    1000 kB\nRssFile:\t 1000 kB\n")
	if err != nil || r.all != 2.048 || r.anonymous != 1.024 {
		t.Errorf("read %+v, %v", r, err)
	}
	if _, err := parseStatus("Name:\tx\nVmRSS:\t2000 kB\n"); err == nil {
		t.Error("what isn't there was read")
	}
	s := samples{all: []resident{{all: 50}, {all: 1}, {all: 10}, {all: 10}, {all: 12}, {all: 1}, {all: 20}, {all: 30}}}
	if most, growth := s.most(func(r resident) float64 { return r.all }); most != 50 || growth != 2.5 {
		t.Errorf("at most %v, growth %v, want 50 and 2.5", most, growth)
	}
}
