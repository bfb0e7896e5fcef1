package memstore

import (
	"context"

	"github.com/sideman-go/sideman/tasks"
)

// bare returns the store without the methods of capabilities that aren't declared.
func bare(s *Store) tasks.Backend {
	caps := s.Capabilities()
	b := backend{s, caps}
	switch {
	case caps.Has(tasks.CapWorker):
		return s
	case caps.Has(tasks.CapList):
		return lister{b, s}
	}
	return b
}

// backend is no more than a tasks.Backend.
type backend struct {
	tasks.Backend

	caps tasks.Capability
}

// GetResult refuses where results aren't declared.
func (b backend) GetResult(ctx context.Context, id string) (*tasks.Record, error) {
	if !b.caps.Has(tasks.CapResults) {
		return nil, tasks.ErrUnsupported
	}
	return b.Backend.GetResult(ctx, id)
}

// lister is a backend that lists.
type lister struct {
	backend
	tasks.Lister
}
