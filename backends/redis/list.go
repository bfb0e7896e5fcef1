package redis

import (
	"context"

	"github.com/sideman-go/sideman/tasks"
)

const (
	// maxLooked bounds how many ids one page of a list looks at. A record that is read whole
	// counts as fetchCost of them.
	maxLooked = 100_000
	fetchCost = 5
	// listPiece is how many ids one script returns, listLook how many all shards' scripts
	// look at, leastLook how many each does, however many shards there are, and fetchPiece how
	// many records are fetched together.
	listPiece  = 500
	listLook   = 2_000 // no more than list.lua can read by one command
	leastLook  = 250
	fetchPiece = 100
	// listFew is how many records may have the wanted statuses for their indexes to be
	// read, and listMost how many queues those that are READY may be in, and how many counters
	// may be looked at.
	listFew  = 10_000
	listMost = 1_000
)

// List implements tasks.Lister. Scripts look at the heads of the records; only those that may
// match are read whole, and judged.
//
// A page is looked for along the ids first, where it is soon found if many match; if only FAILED
// or CANCELLED ones are wanted, or those with some error, along the ids of those. If it isn't found, and few records have the
// wanted statuses in the wanted queues, the page goes on with the ids of those. Either way all
// that matches up to some id has been seen, so each page can choose anew.
func (b *Backend) List(ctx context.Context, req tasks.ListRequest) (tasks.Page, error) {
	if err := b.ready(ctx); err != nil {
		return tasks.Page{}, err
	}
	return run(ctx, b, false, func(ctx context.Context) (tasks.Page, error) { return b.list(ctx, &req) })
}

func (b *Backend) list(ctx context.Context, req *tasks.ListRequest) (page tasks.Page, err error) {
	l, possible := b.lookFor(req)
	if !possible {
		return page, nil
	}
	after, size := req.After, req.PageSize()
	for looked := 0; ; {
		c, err := l.next(ctx, after)
		if err != nil {
			return tasks.Page{}, err
		}
		looked += c.looked
		for len(c.ids) > 0 {
			n := min(len(c.ids), fetchPiece, size-len(page.Records))
			recs, err := b.fetch(ctx, c.ids[:n])
			if err != nil {
				return tasks.Page{}, err
			}
			for _, r := range recs {
				if req.Match(r) {
					page.Records = append(page.Records, r)
				}
			}
			after, c.ids = c.ids[n-1], c.ids[n:]
			looked += n * fetchCost
			if len(c.ids) > 0 && (len(page.Records) == size || looked >= maxLooked) {
				page.Next = after
				return page, nil
			}
		}
		if c.end {
			return page, nil
		}
		after = c.stop
		if len(page.Records) == size || looked >= maxLooked {
			page.Next = after
			return page, nil
		}
	}
}

// fetch reads records that are still there. One that can't be decoded is left out: Check and
// GetResult tell.
func (b *Backend) fetch(ctx context.Context, ids []string) ([]*tasks.Record, error) {
	if len(ids) == 0 {
		return nil, nil
	}
	found, err := b.read(ctx, ids)
	if err != nil {
		return nil, err
	}
	recs := make([]*tasks.Record, 0, len(ids))
	for _, f := range found {
		if f.rec != nil {
			recs = append(recs, &f.rec.rec)
		}
	}
	return recs, nil
}
