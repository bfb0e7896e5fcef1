package main

import (
	"path/filepath"
	"strings"
	"testing"
)

// What was run in parts is one report, with the goals, which the files don't have.
func TestReadReports(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	write := func(name, on string, runs int, rows ...*row) string {
		t.Helper()
		r := newReport(options{runs: runs})
		r.Stores[on], r.Peers[on], r.Rows = "a store", "a peer", rows
		path := filepath.Join(dir, name)
		if err := r.writeJSON(path); err != nil {
			t.Fatal(err)
		}
		return path
	}
	one := write("one", onPostgres, 5, &row{On: onPostgres, Scenario: "drain, tuned", A: []float64{30}, B: []float64{10}})
	two := write("two", onRedis, 5,
		&row{On: onRedis, Scenario: "drain, tuned", A: []float64{30}, B: []float64{10}},
		&row{On: onRedis, Scenario: "worker processes, 8", Alone: true, A: []float64{8}, B: []float64{10}})
	r, err := readReports(one + "," + two)
	if err != nil {
		t.Fatal(err)
	}
	if len(r.Rows) != 3 || len(r.Stores) != 2 || len(r.Peers) != 2 {
		t.Fatalf("%d rows, %d stores, %d peers, want 3, 2 and 2", len(r.Rows), len(r.Stores), len(r.Peers))
	}
	for i, want := range []bool{true, false, false} {
		if goal, ok := r.Rows[i].verdict(); goal == "" || ok != want {
			t.Errorf("row %d: goal %q reached: %t, want %t", i, goal, ok, want)
		}
	}
	if _, err := readReports(one + "," + write("other", onFile, 3)); err == nil || !strings.Contains(err.Error(), "other runs") {
		t.Errorf("of other runs: got %v", err)
	}
}
