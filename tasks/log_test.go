package tasks_test

import (
	"context"
	"log/slog"
	"testing"
	"time"

	"github.com/sideman-go/sideman/tasks"
)

func TestK3_LogState(t *testing.T) {
	_, rt, log := bound(t)
	failure := tasks.AttemptError{Attempt: 1, Type: "panic", Message: "boom", Stack: "main.go:1"}
	base := tasks.Record{ID: "i", Task: "t", Args: []byte(`"secret"`), Value: []byte(`"secret"`), Metadata: map[string]string{"k": "secret"}, MaxAttempts: 2}
	for _, tt := range []struct {
		status tasks.Status
		change func(*tasks.Record)
		want   string
	}{
		{tasks.Running, nil, "INFO Task id=i path=t state=RUNNING"},
		{tasks.Successful, nil, "INFO Task id=i path=t state=SUCCESSFUL"},
		{tasks.Cancelled, func(r *tasks.Record) { r.CancelReason = "expired" }, "INFO Task id=i path=t state=CANCELLED reason=expired"},
		{
			tasks.Failed, func(r *tasks.Record) { r.WorkerIDs, r.Errors = []string{"w"}, []tasks.AttemptError{failure} },
			"ERROR Task id=i path=t state=FAILED attempt=1 max_attempts=2 error_type=panic error=boom stack=main.go:1",
		},
		{tasks.Ready, func(r *tasks.Record) {
			r.WorkerIDs, r.Errors, r.RunAfter = []string{"w", "w"}, []tasks.AttemptError{failure, {Attempt: 2, Type: "*x.Y", Message: "m"}}, epoch
		}, "WARN Task id=i path=t state=READY attempt=2 max_attempts=2 error_type=*x.Y error=m run_after=2026-03-01T12:00:00Z"},
		{tasks.Ready, func(r *tasks.Record) { r.RunAfter = epoch.Add(time.Second) }, "WARN Task id=i path=t state=READY attempt=0 max_attempts=2 run_after=2026-03-01T12:00:01Z"},
	} {
		rec := base.Clone()
		rec.Status = tt.status
		if tt.change != nil {
			tt.change(rec)
		}
		own := newLogs()
		rt.LogState(t.Context(), slog.New(own), rec)
		equalSlices(t, string(tt.status), own.Lines(), []string{tt.want})
	}
	equalSlices(t, "the App's log", log.Lines(), nil)
	rt.LogState(t.Context(), nil, &tasks.Record{Status: tasks.Running})
	equal(t, "lines in the App's log", len(log.Lines()), 1)
	rt.LogState(t.Context(), slog.New(slog.DiscardHandler), &tasks.Record{Status: tasks.Failed})
	// Without a logger of its own the App uses the default one, as it is then.
	before := slog.Default()
	t.Cleanup(func() { slog.SetDefault(before) })
	app, global := tasks.NewApp(), newLogs()
	slog.SetDefault(slog.New(global))
	use(t, app, "default", newSpy(0))
	mustEnqueue(t, tasks.Define(app, "t", func(context.Context, int) (int, error) { return 0, nil }), 1)
	equal(t, "lines in the default log", len(global.Lines("state=enqueued")), 1)
}
