// Package newid tells a backend of this module that it needn't look whether the id of an enqueue
// is there: the App has just made it, and given it to nobody else.
package newid

import (
	"context"
	"sync/atomic"
)

type marked struct {
	context.Context //nolint:containedctx // it is a context itself

	id    string
	taken atomic.Bool
}

// With returns a context for one call of a backend's Enqueue or AEnqueue with a record of this id.
func With(ctx context.Context, id string) context.Context { return &marked{Context: ctx, id: id} }

// Take reports whether ctx is one that With has returned for this id, to the first who asks: with the
// same context again, the same id may come again, and a backend around this one may have chosen another.
func Take(ctx context.Context, id string) bool {
	m, ok := ctx.(*marked)
	return ok && m.id == id && !m.taken.Swap(true)
}
