package worker

import "sync/atomic"

// Stats are a worker's counters since it was made.
type Stats struct {
	// Claimed counts the records that were claimed.
	Claimed int64 `json:"claimed"`
	// Succeeded, Failed and Cancelled count the records that became final so.
	Succeeded int64 `json:"succeeded"`
	Failed    int64 `json:"failed"`
	Cancelled int64 `json:"cancelled"`
	// Retried counts the failed attempts after which the record got another one.
	Retried int64 `json:"retried"`
	// Snoozed counts the records that put themselves off.
	Snoozed int64 `json:"snoozed"`
	// Released counts the records that were given back unstarted.
	Released int64 `json:"released"`
	// LostLeases counts the attempts whose lease was lost: what became of them wasn't
	// stored.
	LostLeases int64 `json:"lost_leases"`
	// Abandoned counts the handlers that ignored the end of their context past the
	// grace. Their goroutines may still run.
	Abandoned int64 `json:"abandoned"`
	// SettleErrors counts the outcomes that the store wouldn't take, or that weren't
	// stored before the worker had to end.
	SettleErrors int64 `json:"settle_errors"`
	// Running counts the handlers that run now, without abandoned ones.
	Running int64 `json:"running"`
	// Buffered counts the records that are claimed and wait for a slot now.
	Buffered int64 `json:"buffered"`
	// Unsettled counts the finished attempts that aren't stored yet.
	Unsettled int64 `json:"unsettled"`
}

type counters struct {
	claimed, succeeded, failed, cancelled, retried, snoozed, released atomic.Int64
	lost, abandoned, settleErrors                                     atomic.Int64
}

// Stats returns the counters. It may be called at any time, from any goroutine.
func (w *Worker) Stats() Stats {
	s := Stats{
		Claimed:      w.count.claimed.Load(),
		Succeeded:    w.count.succeeded.Load(),
		Failed:       w.count.failed.Load(),
		Cancelled:    w.count.cancelled.Load(),
		Retried:      w.count.retried.Load(),
		Snoozed:      w.count.snoozed.Load(),
		Released:     w.count.released.Load(),
		LostLeases:   w.count.lost.Load(),
		Abandoned:    w.count.abandoned.Load(),
		SettleErrors: w.count.settleErrors.Load(),
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	s.Running = int64(w.running)
	s.Buffered = int64(w.buffer.len())
	s.Unsettled = int64(w.unsettled)
	return s
}
