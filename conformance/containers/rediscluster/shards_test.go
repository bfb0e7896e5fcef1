package rediscluster_test

import (
	"context"
	"fmt"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/sideman-go/sideman/backends/redis"
	"github.com/sideman-go/sideman/conformance"
	"github.com/sideman-go/sideman/conformance/containers"
	"github.com/sideman-go/sideman/tasks"
)

const shards = 4

// TestConformanceSharded runs the whole suite in a namespace of several shards on a Cluster.
// What shards don't promise is a batch, or an order, over two of them; what they do promise is
// both among records whose ids end in the same four bytes. So all records of a case get ids
// with an ending of the case's own, and then it has to pass, without a waiver: each case in
// another shard, while claims, sweeps, lists, counts and pauses go over all of them. Records
// all over the shards are what TestSlotsMove and the tests of the backend itself work with.
func TestConformanceSharded(t *testing.T) {
	t.Parallel()
	if testing.Short() {
		t.Skip("NOT TESTED with -short: the suite in several shards")
	}
	c := containers.StartCluster(t)
	var cases atomic.Uint32
	conformance.Run(t, conformance.Config{
		Open: func(conformance.T) conformance.Store {
			namespace, ending := newNamespace(), fmt.Sprintf("\x00%04d", cases.Add(1))
			return conformance.StoreFunc(func(ctx context.Context) (tasks.Backend, error) {
				b, err := redis.Open(ctx, redis.Options{Addrs: c.Addrs(), Namespace: namespace, Shards: shards})
				if err != nil {
					return nil, err
				}
				return &oneShard{b, ending}, nil
			})
		},
		Timing: conformance.Timing{Late: 300 * time.Millisecond},
	})
}

// oneShard is a sharded backend that puts all records into one shard: under ids that end in
// the same four bytes, which nobody outside sees. A zero byte before those keeps the order of
// ids of which one is the beginning of the other.
type oneShard struct {
	*redis.Backend
	ending string
}

// in is the id under which a record is stored. The empty one, which no record has, stays.
func (s *oneShard) in(id string) string {
	if id == "" {
		return ""
	}
	return id + s.ending
}

func (s *oneShard) out(id string) string { return strings.TrimSuffix(id, s.ending) }

func (s *oneShard) inAll(ids []string) []string {
	all := make([]string, len(ids))
	for i, id := range ids {
		all[i] = s.in(id)
	}
	return all
}

// stored are copies of records under the ids that they are stored by. What the store has made
// of them goes back to the originals with fill.
func (s *oneShard) stored(recs []*tasks.Record) (copies []*tasks.Record, fill func()) {
	copies = make([]*tasks.Record, len(recs))
	for i, r := range recs {
		c := *r
		c.ID = s.in(r.ID)
		copies[i] = &c
	}
	return copies, func() {
		for i, c := range copies {
			*recs[i] = *c
			recs[i].ID = s.out(c.ID)
		}
	}
}

func (s *oneShard) found(rec *tasks.Record, err error) (*tasks.Record, error) {
	if rec != nil {
		rec.ID = s.out(rec.ID)
	}
	return rec, err
}

func (s *oneShard) Enqueue(ctx context.Context, recs []*tasks.Record) error {
	copies, fill := s.stored(recs)
	err := s.Backend.Enqueue(ctx, copies)
	if err == nil {
		fill()
	}
	return err
}

func (s *oneShard) AEnqueue(ctx context.Context, recs []*tasks.Record, done func(error)) {
	copies, fill := s.stored(recs)
	s.Backend.AEnqueue(ctx, copies, func(err error) {
		if err == nil {
			fill()
		}
		done(err)
	})
}

func (s *oneShard) GetResult(ctx context.Context, id string) (*tasks.Record, error) {
	return s.found(s.Backend.GetResult(ctx, s.in(id)))
}

func (s *oneShard) WaitResult(ctx context.Context, id string) (*tasks.Record, error) {
	return s.found(s.Backend.WaitResult(ctx, s.in(id)))
}

func (s *oneShard) Claim(ctx context.Context, req tasks.ClaimRequest) ([]tasks.Claimed, error) {
	got, err := s.Backend.Claim(ctx, req)
	for i := range got {
		got[i].Record.ID, got[i].Lease.ID = s.out(got[i].Record.ID), s.out(got[i].Lease.ID)
	}
	return got, err
}

func (s *oneShard) Renew(ctx context.Context, leases []tasks.Lease, d time.Duration) ([]tasks.LeaseState, error) {
	all := make([]tasks.Lease, len(leases))
	for i, l := range leases {
		l.ID = s.in(l.ID)
		all[i] = l
	}
	return s.Backend.Renew(ctx, all, d)
}

func (s *oneShard) Settle(ctx context.Context, outs []tasks.Outcome) ([]error, error) {
	all := make([]tasks.Outcome, len(outs))
	for i, o := range outs {
		o.Lease.ID = s.in(o.Lease.ID)
		all[i] = o
	}
	return s.Backend.Settle(ctx, all)
}

func (s *oneShard) List(ctx context.Context, req tasks.ListRequest) (tasks.Page, error) {
	req.After = s.in(req.After)
	page, err := s.Backend.List(ctx, req)
	page.Next = s.out(page.Next)
	for _, r := range page.Records {
		r.ID = s.out(r.ID)
	}
	return page, err
}

func (s *oneShard) Alter(ctx context.Context, change tasks.Change, ids []string) ([]tasks.Altered, error) {
	return s.Backend.Alter(ctx, change, s.inAll(ids))
}

func (s *oneShard) NotifyCancel(ctx context.Context, fn func(id, reason string)) error {
	return s.Backend.NotifyCancel(ctx, func(id, reason string) { fn(s.out(id), reason) })
}
