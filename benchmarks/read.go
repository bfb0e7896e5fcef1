package main

import (
	"encoding/json"
	"fmt"
	"maps"
	"os"
	"strings"
)

// readReports puts together what runs on one machine have written as JSON, so that a long run can be
// done in parts. The time is that of the last.
func readReports(paths string) (*report, error) {
	all := &report{Stores: make(map[string]string), Peers: make(map[string]string)}
	for path := range strings.SplitSeq(paths, ",") {
		text, err := os.ReadFile(path)
		if err != nil {
			return nil, err
		}
		var r report
		if err := json.Unmarshal(text, &r); err != nil {
			return nil, fmt.Errorf("%s: %w", path, err)
		}
		if all.Go != "" && (r.Go != all.Go || r.Cores != all.Cores || r.Runs != all.Runs || r.Quick != all.Quick) {
			return nil, fmt.Errorf("%s is of other runs: %s, %d cores, %d runs", path, r.Go, r.Cores, r.Runs)
		}
		rows := all.Rows
		for _, row := range r.Rows {
			row.goal = goalOf(row)
			rows = append(rows, row)
		}
		stores, peers := all.Stores, all.Peers
		maps.Copy(stores, r.Stores)
		maps.Copy(peers, r.Peers)
		*all = r
		all.Rows, all.Stores, all.Peers = rows, stores, peers
	}
	return all, nil
}

// goalOf is the goal of a row by its name: that of a side begins with the scenario's.
func goalOf(r *row) goal {
	for _, sc := range append(scenarios(), aloneScenarios()...) {
		if r.Scenario == sc.name || strings.HasPrefix(r.Scenario, sc.name+", ") && sc.alone() {
			if strings.HasSuffix(r.Scenario, ", River") { // it's there for comparison
				return goal{}
			}
			return sc.goals[r.On]
		}
	}
	return goal{}
}
