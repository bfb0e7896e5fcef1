package tasks_test

import (
	"context"
	"log/slog"
	"testing"
	"time"

	"github.com/sideman-go/sideman/tasks"
)

func TestK3_LogLine(t *testing.T) {
	failure := &tasks.AttemptError{Attempt: 1, Type: "panic", Message: "boom", Stack: "main.go:1"}
	for _, tt := range []struct {
		line tasks.LogLine
		want string
	}{
		{tasks.LogLine{State: tasks.Running, Attempt: 1}, "INFO Task id=i path=t state=RUNNING attempt=1"},
		{tasks.LogLine{State: tasks.Successful, Attempt: 1, Took: time.Second}, "INFO Task id=i path=t state=SUCCESSFUL attempt=1 took=1s"},
		{tasks.LogLine{State: tasks.Cancelled, Attempt: 1, Reason: "expired"}, "INFO Task id=i path=t state=CANCELLED attempt=1 reason=expired"},
		{
			tasks.LogLine{State: tasks.Failed, Attempt: 1, Error: failure},
			"ERROR Task id=i path=t state=FAILED attempt=1 error_type=panic error=boom stack=main.go:1",
		},
		{
			tasks.LogLine{State: tasks.Ready, Attempt: 2, Error: &tasks.AttemptError{Type: "*x.Y", Message: "m"}, Outcome: tasks.OutcomeRetry, Delay: time.Minute},
			"WARN Task id=i path=t state=READY attempt=2 error_type=*x.Y error=m outcome=retry delay=1m0s",
		},
		{tasks.LogLine{State: tasks.Ready, Attempt: 1, Outcome: tasks.OutcomeSnooze, Delay: time.Hour}, "INFO Task id=i path=t state=READY attempt=1 outcome=snooze delay=1h0m0s"},
		{tasks.LogLine{State: tasks.Ready, Attempt: 1, Outcome: tasks.OutcomeRelease}, "DEBUG Task id=i path=t state=READY attempt=1 outcome=release delay=0s"},
	} {
		own := newLogs()
		tt.line.ID, tt.line.Path = "i", "t"
		tt.line.Log(t.Context(), slog.New(own))
		equalSlices(t, string(tt.line.State), own.Lines(), []string{tt.want})
	}
	(&tasks.LogLine{State: tasks.Failed}).Log(t.Context(), slog.New(slog.DiscardHandler))
}

// Without a logger of its own the App uses the default one, as it is then.
func TestK3_DefaultLogger(t *testing.T) {
	before := slog.Default()
	t.Cleanup(func() { slog.SetDefault(before) })
	app, global := tasks.NewApp(), newLogs()
	slog.SetDefault(slog.New(global))
	use(t, app, "default", newSpy(0))
	mustEnqueue(t, tasks.Define(app, "t", func(context.Context, int) (int, error) { return 0, nil }), 1)
	equal(t, "lines in the default log", len(global.Lines("state=enqueued")), 1)
}
