package tasks_test

import (
	"math"
	"testing"
	"time"

	"github.com/sideman-go/sideman/tasks"
)

func TestT1_ConstantAndLinear(t *testing.T) {
	const century = 100 * 365 * 24 * time.Hour
	for name, tt := range map[string]struct {
		policy  tasks.BackoffPolicy
		attempt int
		want    time.Duration
	}{
		"constant":               {tasks.Constant(time.Second), 1, time.Second},
		"constant, late":         {tasks.Constant(time.Second), 10_000, time.Second},
		"constant, negative":     {tasks.Constant(-time.Second), 1, 0},
		"linear, first":          {tasks.Linear(time.Second, 0), 1, time.Second},
		"linear, third":          {tasks.Linear(time.Second, 0), 3, 3 * time.Second},
		"linear, at the limit":   {tasks.Linear(time.Second, 3*time.Second), 3, 3 * time.Second},
		"linear, over the limit": {tasks.Linear(time.Second, 3*time.Second), 4, 3 * time.Second},
		"linear, late":           {tasks.Linear(time.Hour, time.Minute), 10_000, time.Minute},
		"linear, no overflow":    {tasks.Linear(math.MaxInt64/2, 0), 10_000, century},
		"linear, negative":       {tasks.Linear(-time.Second, time.Second), 2, 0},
		"linear, attempt 0":      {tasks.Linear(time.Second, 0), 0, time.Second},
		"linear, attempt below":  {tasks.Linear(time.Second, 0), math.MinInt, time.Second},
	} {
		got, retry := tt.policy(tt.attempt, errBoom)
		if got != tt.want || !retry {
			t.Errorf("%s: got %v, %v, want %v, true", name, got, retry, tt.want)
		}
	}
}

func TestT1_ExponentialHasFullJitterAndACap(t *testing.T) {
	const century = 100 * 365 * 24 * time.Hour
	for name, tt := range map[string]struct {
		base, limit time.Duration
		attempt     int
		most        time.Duration
	}{
		"first":              {time.Second, 0, 1, time.Second},
		"second":             {time.Second, 0, 2, 2 * time.Second},
		"fifth":              {time.Second, 0, 5, 16 * time.Second},
		"capped":             {time.Second, 10 * time.Second, 5, 10 * time.Second},
		"attempt 64":         {time.Second, time.Minute, 64, time.Minute},
		"attempt 10,000":     {time.Second, time.Minute, 10_000, time.Minute},
		"10,000 without cap": {time.Second, 0, 10_000, century},
		"largest":            {math.MaxInt64, 0, math.MaxInt, century},
		"attempt 0":          {time.Second, 0, 0, time.Second},
		"attempt below":      {time.Second, 0, math.MinInt, time.Second},
		"no base":            {0, time.Minute, 3, 0},
		"negative base":      {-time.Second, time.Minute, 3, 0},
	} {
		policy := tasks.Exponential(tt.base, tt.limit)
		var least, most time.Duration = math.MaxInt64, -1
		for range 1000 {
			got, retry := policy(tt.attempt, nil)
			if got < 0 || got > tt.most || !retry {
				t.Fatalf("%s: got %v, %v, want 0 to %v, true", name, got, retry, tt.most)
			}
			least, most = min(least, got), max(most, got)
		}
		// Of 1000 evenly spread values one is in the lowest and one in the highest
		// tenth, but for one case in 10^45.
		if tt.most > 0 && (least > tt.most/10 || most < tt.most-tt.most/10) {
			t.Errorf("%s: got from %v to %v, want them spread over 0 to %v", name, least, most, tt.most)
		}
	}
}
