// Package newid tells a backend of this module that it needn't look whether the ids of an enqueue
// are there: the App has just made them, and given them to nobody else.
package newid

import (
	"context"
	"sync/atomic"
)

type marked struct {
	context.Context //nolint:containedctx // it is a context itself

	taken atomic.Bool
}

// With returns a context for one call of a backend's Enqueue or AEnqueue.
func With(ctx context.Context) context.Context { return &marked{Context: ctx} }

// Take reports whether ctx is one that With has returned, to the first who asks: with the same context
// again, the same ids may come again.
func Take(ctx context.Context) bool {
	m, ok := ctx.(*marked)
	return ok && !m.taken.Swap(true)
}
