package main

import (
	"fmt"
	"maps"
	"slices"
	"strings"
)

// row is one side of a scenario on one pair, and what it's held against.
type row struct {
	On       string `json:"on"`
	Scenario string `json:"scenario"`
	Unit     string `json:"unit"`
	Low      bool   `json:"less_is_better,omitempty"`
	// Alone says that it has nothing to do with the peer.
	Alone bool `json:"alone,omitempty"`
	// Against says what B is of; "" if there is no B.
	Against string               `json:"against,omitempty"`
	A       []float64            `json:"sideman"`
	B       []float64            `json:"beside,omitempty"`
	MoreA   map[string][]float64 `json:"sideman_more,omitempty"`
	MoreB   map[string][]float64 `json:"beside_more,omitempty"`

	goal goal
}

// rowsOf makes the rows of a scenario of what each side has shown.
func rowsOf(p *pair, sc *scenario, sides []side, shown map[string][]measured) []*row {
	var rows []*row
	for _, s := range sides {
		if s.base {
			continue
		}
		r := &row{On: p.on, Scenario: sc.name, Unit: sc.unit, Low: sc.low, Alone: sc.alone()}
		if s.name != "" {
			r.Scenario += ", " + s.name
		}
		if !s.free {
			r.goal = sc.goals[p.on]
		}
		r.A, r.MoreA = gather(shown[s.name])
		if s.against != "" {
			r.Against = s.against
			r.B, r.MoreB = gather(shown[s.against])
		}
		rows = append(rows, r)
	}
	return rows
}

// gather turns runs into lists of each figure.
func gather(all []measured) (values []float64, more map[string][]float64) {
	for _, m := range all {
		values = append(values, m.value)
		for k, v := range m.more {
			if more == nil {
				more = make(map[string][]float64)
			}
			more[k] = append(more[k], v)
		}
	}
	return values, more
}

// text is what one run has shown, for the progress.
func (m measured) text(unit string) string {
	parts := []string{figure(m.value) + " " + unit}
	for _, k := range slices.Sorted(maps.Keys(m.more)) {
		parts = append(parts, k+" "+figure(m.more[k]))
	}
	return strings.Join(parts, ", ")
}

// ratio is Sideman's median through that of what it's held against.
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
