package main

import (
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
