package conformance

import (
	"time"

	"github.com/sideman-go/sideman/tasks"
)

// wakes does something while a worker waits on a queue, which is to give it the
// record in time.
func (e *env) wakes(h *handle, queue, what, id string, do func()) tasks.Claimed {
	e.Helper()
	worker := e.idle(h, queue)
	defer worker.stop()
	e.pause(20 * time.Millisecond) // until it waits
	do()
	return worker.gets(e.timing.Notice, id, what)
}
