package filestore

import (
	"context"
	"testing"

	"github.com/sideman-go/sideman/conformance"
	"github.com/sideman-go/sideman/tasks"
	"github.com/sideman-go/sideman/tasks/lifecycle"
)

// The Store as it is after a step of the guide, with its records in memory only.

func TestStep3(t *testing.T) {
	conformance.Run(t, conformance.Config{Virtual: true, Open: func(conformance.T) conformance.Store {
		return conformance.StoreFunc(func(context.Context) (tasks.Backend, error) {
			return step3{newStore(noFiles{}, lifecycle.Retention{})}, nil
		})
	}})
}

// guide:begin step3

// step3 is a Store without what step 4 adds. Heartbeat isn't refused: workers call it
// on every Store.
type step3 struct{ *Store }

func (s step3) Capabilities() tasks.Capability {
	return tasks.CapResults | tasks.CapList |
		tasks.CapWorker | tasks.CapDefer | tasks.CapPriority | tasks.CapExpire | tasks.CapNotify
}

func (step3) Queues(context.Context) ([]tasks.QueueInfo, error) { return nil, tasks.ErrUnsupported }
func (step3) Alter(context.Context, tasks.Change, []string) ([]tasks.Altered, error) {
	return nil, tasks.ErrUnsupported
}
func (step3) Pause(context.Context, string, bool) error { return tasks.ErrUnsupported }
func (step3) Prune(context.Context, tasks.PruneRequest) (tasks.Pruned, error) {
	return tasks.Pruned{}, tasks.ErrUnsupported
}
func (step3) Heartbeat(context.Context, tasks.WorkerInfo) error   { return nil }
func (step3) Workers(context.Context) ([]tasks.WorkerInfo, error) { return nil, tasks.ErrUnsupported }

// guide:end step3

func TestStep4(t *testing.T) {
	conformance.Run(t, conformance.Config{Virtual: true, Open: func(conformance.T) conformance.Store {
		return conformance.StoreFunc(func(context.Context) (tasks.Backend, error) {
			return step4{newStore(noFiles{}, lifecycle.Retention{})}, nil
		})
	}})
}

// guide:begin step4

// step4 is all but durable.
type step4 struct{ *Store }

func (s step4) Capabilities() tasks.Capability { return s.Store.Capabilities() &^ tasks.CapDurable }

// noFiles are the files of a Store that keeps its records in memory only.
type noFiles struct{}

func (noFiles) load() (map[string][]byte, error) { return nil, nil }
func (noFiles) commit(map[string][]byte) error   { return nil }
func (noFiles) check() error                     { return nil }
func (noFiles) close()                           {}

// guide:end step4
