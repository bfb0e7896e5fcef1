package filestore

import (
	"context"
	"testing"

	"github.com/sideman-go/sideman/conformance"
	"github.com/sideman-go/sideman/tasks"
	"github.com/sideman-go/sideman/tasks/lifecycle"
)

// guide:begin steps

// TestStep3 is the suite on a Store that declares no more than step 3 of the guide has, and
// TestStep4 on one with all but durability: both keep their records in memory only.
func TestStep3(t *testing.T) {
	conformance.Run(t, conformance.Config{Virtual: true, Open: inMemory(tasks.CapInspect | tasks.CapDurable)})
}

func TestStep4(t *testing.T) {
	conformance.Run(t, conformance.Config{Virtual: true, Open: inMemory(tasks.CapDurable)})
}

func inMemory(without tasks.Capability) func(conformance.T) conformance.Store {
	return func(conformance.T) conformance.Store {
		return conformance.StoreFunc(func(context.Context) (tasks.Backend, error) {
			return modest{newStore(noFiles{}, lifecycle.Retention{}), without}, nil
		})
	}
}

// A modest Store declares less than it can.
type modest struct {
	*Store
	without tasks.Capability
}

func (m modest) Capabilities() tasks.Capability { return m.Store.Capabilities() &^ m.without }

// noFiles keeps nothing.
type noFiles struct{}

func (noFiles) load() (map[string][]byte, error) { return nil, nil }
func (noFiles) commit(map[string][]byte) error   { return nil }
func (noFiles) check() error                     { return nil }
func (noFiles) close()                           {}

// guide:end steps
