package conformance

import (
	"slices"

	"github.com/sideman-go/sideman/tasks"
)

func faultCases() []Case {
	const (
		seen    = tasks.CapResults | tasks.CapList
		durable = inspecting | tasks.CapDurable
	)
	return slices.Concat([]Case{
		{
			Name: "Fault/PauseObeys", Clauses: []string{"E4", "F2"}, Needs: tasks.CapResults, Fault: FaultPause,
			What: "while the server doesn't answer every method must return soon after its ctx, with an error that says so",
			run:  func(e *env) { obeysThrough(e, FaultPause) },
		},
		{
			Name: "Fault/CutObeys", Clauses: []string{"E4", "F2"}, Needs: tasks.CapResults, Fault: FaultCut,
			What: "while the server can't be reached every method must return soon after its ctx at the latest, with an error that says so",
			run:  func(e *env) { obeysThrough(e, FaultCut) },
		},
		{
			Name: "Fault/PauseEnqueue", Clauses: []string{"E4", "E3"}, Needs: seen, Fault: FaultPause,
			What: "an enqueue that may have been stored must not say that it wasn't, and doing it again must store it once",
			run:  func(e *env) { enqueueThrough(e, FaultPause) },
		},
		{
			Name: "Fault/CutEnqueue", Clauses: []string{"E4", "E3"}, Needs: seen, Fault: FaultCut,
			What: "the same when connections break",
			run:  func(e *env) { enqueueThrough(e, FaultCut) },
		},
		{
			Name: "Fault/PauseSettle", Clauses: []string{"F2", "K2"}, Needs: inspecting, Fault: FaultPause,
			What: "an outcome that couldn't be settled must be stored when it is tried again, with no other attempt meanwhile",
			run:  func(e *env) { settleThrough(e, FaultPause) },
		},
		{
			Name: "Fault/CutSettle", Clauses: []string{"F2", "K2"}, Needs: inspecting, Fault: FaultCut,
			What: "the same when connections break",
			run:  func(e *env) { settleThrough(e, FaultCut) },
		},
		{
			Name: "Fault/PauseClaim", Clauses: []string{"F2", "W6"}, Needs: inspecting, Fault: FaultPause,
			What: "records whose claim was stored though its reply was lost must come back when that lease has run out",
			run:  func(e *env) { claimThrough(e, FaultPause) },
		},
		{
			Name: "Fault/CutClaim", Clauses: []string{"F2", "W6"}, Needs: inspecting, Fault: FaultCut,
			What: "the same when connections break",
			run:  func(e *env) { claimThrough(e, FaultCut) },
		},
		{
			Name: "Fault/PauseCheck", Clauses: []string{"C1"}, Fault: FaultPause,
			What: "Check must find within its ctx that the server doesn't answer",
			run:  func(e *env) { checkThrough(e, FaultPause) },
		},
		{
			Name: "Fault/CutCheck", Clauses: []string{"C1"}, Fault: FaultCut,
			What: "Check must find that the server can't be reached",
			run:  func(e *env) { checkThrough(e, FaultCut) },
		},
		{
			Name: "Fault/PauseClose", Clauses: []string{"F3", "E4"}, Fault: FaultPause,
			What: "Close must return soon after its ctx though the server doesn't answer, and have closed",
			run:  func(e *env) { closeThrough(e, FaultPause) },
		},
		{
			Name: "Fault/CutClose", Clauses: []string{"F3", "E4"}, Fault: FaultCut,
			What: "the same when the server can't be reached",
			run:  func(e *env) { closeThrough(e, FaultCut) },
		},
		{
			Name: "Fault/PauseConnect", Clauses: []string{"E4", "F2"}, Fault: FaultPause,
			What: "connecting must return soon after its ctx though the server doesn't answer",
			run:  func(e *env) { connectThrough(e, FaultPause) },
		},
		{
			Name: "Fault/CutConnect", Clauses: []string{"E4", "F2"}, Fault: FaultCut,
			What: "connecting must return with ErrUnavailable, if with an error, while the server can't be reached",
			run:  func(e *env) { connectThrough(e, FaultCut) },
		},
		{
			Name: "Fault/Restart", Clauses: []string{"F2", "F1"}, Needs: durable, Fault: FaultRestart,
			What: "a restart of the server must change no record, free no lease and resume no queue",
			run:  func(e *env) { survives(e, FaultRestart) },
		},
		{
			Name: "Fault/Kill", Clauses: []string{"F1"}, Needs: durable, Fault: FaultKill,
			What: "a server that is killed must come back with all that was acknowledged",
			run:  func(e *env) { survives(e, FaultKill) },
		},
	}, faultWorkCases())
}

func faultWorkCases() []Case {
	const durable = inspecting | tasks.CapDurable
	return []Case{
		{
			Name: "Fault/PauseIdle", Clauses: []string{"K2", "F2", "W2"}, Needs: inspecting, Fault: FaultPause,
			What: "an idle worker must get new records by itself when the server answers again",
			run:  func(e *env) { idleThrough(e, FaultPause) },
		},
		{
			Name: "Fault/CutIdle", Clauses: []string{"K2", "F2", "W2"}, Needs: inspecting, Fault: FaultCut,
			What: "an idle worker must get new records by itself when its connections were broken, also that on which it listens",
			run:  func(e *env) { idleThrough(e, FaultCut) },
		},
		{
			Name: "Fault/RestartIdle", Clauses: []string{"K2", "F2", "W2"}, Needs: durable, Fault: FaultRestart,
			What: "an idle worker must get new records by itself after a restart of the server",
			run:  func(e *env) { idleThrough(e, FaultRestart) },
		},
		{
			Name: "Fault/PauseUnderLoad", Clauses: []string{"F2", "F1"}, Needs: inspecting, Fault: FaultPause,
			What: "work that goes on while the server stops answering must lose nothing and finish each record once",
			run:  func(e *env) { loadThrough(e, FaultPause) },
		},
		{
			Name: "Fault/CutUnderLoad", Clauses: []string{"F2", "F1"}, Needs: inspecting, Fault: FaultCut,
			What: "work that goes on while connections break must lose nothing and finish each record once",
			run:  func(e *env) { loadThrough(e, FaultCut) },
		},
		{
			Name: "Fault/RestartUnderLoad", Clauses: []string{"F2", "F1"}, Needs: durable, Fault: FaultRestart,
			What: "work that goes on while the server restarts must lose nothing and finish each record once",
			run:  func(e *env) { loadThrough(e, FaultRestart) },
		},
		{
			Name: "Fault/KillUnderLoad", Clauses: []string{"F1"}, Needs: durable, Fault: FaultKill,
			What: "what was acknowledged before the server was killed must be there afterwards, and work go on by itself",
			run:  func(e *env) { loadThrough(e, FaultKill) },
		},
	}
}
