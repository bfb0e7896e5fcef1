package redis

import (
	"context"
	"crypto/rand"
	"encoding/hex"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"time"

	"github.com/sideman-go/sideman/tasks"
)

var errLease = errors.New("redis: the length of a lease must be positive")

// One script claims up to maxClaim records, so that others get their turn, and one call of
// Claim has up to maxPieces of those for each shard.
const (
	maxClaim  = 500
	maxPieces = 8
)

// maxWorker is how long the id of a worker may be: every attempt of a record keeps it.
const maxWorker = 64 << 10

// pieceOf is the nonce of a call's nth script on a shard, and as long.
func pieceOf(nonce string, n int) string { return nonce[:sizeToken-1] + strconv.Itoa(n) }

// tokenOf is the token of a lease. What a script claims has one stored token, its nonce; the
// record's id makes it that record's own.
func tokenOf(nonce, id string) string { return nonce + ":" + id }

// Claim implements tasks.Store. With several shards it visits each in turn, and the order
// holds within each.
func (b *Backend) Claim(ctx context.Context, req tasks.ClaimRequest) ([]tasks.Claimed, error) {
	if err := b.ready(ctx); err != nil || req.Limit < 1 {
		return nil, err
	}
	if req.Lease <= 0 {
		return nil, errLease
	}
	if len(req.Worker) > maxWorker {
		return nil, fmt.Errorf("%w: a worker's id of %d bytes", tasks.ErrInvalidTask, len(req.Worker))
	}
	req.Queues, req.Exclude = slices.Clone(req.Queues), slices.Clone(req.Exclude)
	var seed [16]byte
	_, _ = rand.Read(seed[:]) // never fails
	nonce := hex.EncodeToString(seed[:])
	claimed, err := run(ctx, b, true, func(ctx context.Context) ([]tasks.Claimed, error) { return b.claim(ctx, &req, nonce) })
	if errors.Is(err, tasks.ErrUnknownOutcome) {
		b.unclaimLater(ctx, nonce, req.Limit, req.Lease)
	}
	return claimed, err
}

func (b *Backend) claim(ctx context.Context, req *tasks.ClaimRequest, nonce string) ([]tasks.Claimed, error) {
	selection := selected(req.Selection)
	if selection == nil {
		return nil, nil
	}
	var all []tasks.Claimed
	first := int(b.turn.Add(1))
	for i := range b.shards {
		shard := (first + i) % b.shards
		for piece := 0; len(all) < req.Limit && piece < maxPieces; piece++ {
			limit := min(req.Limit-len(all), maxClaim)
			nonce := pieceOf(nonce, piece)
			args := append([]any{req.Worker, limit, formatDuration(req.Lease), nonce}, selection...)
			reply, err := b.eval(ctx, &b.scripts.claim, shard, args...)
			if err != nil {
				if len(all) > 0 && !errors.Is(err, tasks.ErrUnknownOutcome) {
					return all, nil // the next claim will tell
				}
				return nil, err
			}
			got := list(reply)
			all = b.takeClaimed(ctx, shard, nonce, got, all)
			if len(got) < claimedEach*limit {
				break
			}
		}
		if len(all) == req.Limit {
			break
		}
	}
	return all, nil
}

// claimedEach is how many things the script returns for each record.
const claimedEach = 4

// takeClaimed appends what a script with that nonce has claimed. A record that can't be decoded is put
// aside, and Check tells.
func (b *Backend) takeClaimed(ctx context.Context, shard int, nonce string, got []any, all []tasks.Claimed) []tasks.Claimed {
	var same stored // what the heads of several say
	var err error
	for ; len(got) >= claimedEach; got = got[claimedEach:] {
		id, head := text(got[0]), text(got[1])
		if head != "" {
			same, err = decodeHead(head)
		}
		fault := err
		if fault == nil {
			s := same
			s.rec.WorkerIDs = slices.Clone(same.rec.WorkerIDs)
			if _, fault = s.fill(id, raw{envelope: text(got[2]), more: pairs(got[3])}); fault == nil {
				all = append(all, tasks.Claimed{
					Record: &s.rec,
					Lease:  tasks.Lease{ID: id, Attempt: s.rec.Attempts(), Token: tokenOf(nonce, id), Deadline: s.till},
				})
				continue
			}
		}
		_, _ = b.eval(ctx, &b.scripts.quarantine, shard, id, nonce, fault.Error()) // or else its lease runs out
	}
	return all
}

// unclaimLater gives back what a claim may have given out that nobody has heard of. Without
// it those records would wait for their leases to run out, and lose an attempt.
func (b *Backend) unclaimLater(ctx context.Context, nonce string, limit int, lease time.Duration) {
	if !b.enter() {
		return
	}
	go func() {
		defer b.inflight.Done()
		ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), lease)
		defer cancel()
		pieces := min((limit+maxClaim-1)/maxClaim, maxPieces)
		for i := range b.shards * pieces {
			for wait := firstWait; ; wait = min(2*wait, time.Second) {
				try, cancelTry := context.WithTimeout(ctx, time.Second)
				_, err := b.send(try, b.client, &b.scripts.unclaim, i/pieces, []any{pieceOf(nonce, i%pieces)})
				cancelTry()
				if err == nil || sleep(ctx, b.done, wait) != nil {
					break
				}
			}
		}
	}()
}

// selected returns a selection as scripts get it, or nil if it has no queue.
func selected(sel tasks.Selection) []any {
	if sel.All() {
		args := []any{"1"}
		for _, q := range sel.Exclude {
			args = append(args, q)
		}
		return args
	}
	args := []any{"0"}
	for i, q := range sel.Queues {
		if sel.Has(q) && !slices.Contains(sel.Queues[:i], q) {
			args = append(args, q)
		}
	}
	if len(args) == 1 {
		return nil
	}
	return args
}
