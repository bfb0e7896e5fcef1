package redis

import (
	"context"
	"encoding/hex"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"

	"github.com/sideman-go/sideman/tasks"
)

// Alter implements tasks.Inspector. More than 500 records are altered in pieces.
func (b *Backend) Alter(ctx context.Context, change tasks.Change, ids []string) ([]tasks.Altered, error) {
	if err := b.ready(ctx); err != nil || len(ids) == 0 {
		return nil, err
	}
	at := ""
	if !change.At.IsZero() {
		var err error
		if at, err = formatTime(change.At); err != nil {
			return nil, err
		}
	}
	ids = slices.Clone(ids)
	args := []any{string(change.Kind), change.Reason, at, formatDuration(change.Delay)}
	return run(ctx, b, true, func(ctx context.Context) ([]tasks.Altered, error) { return b.alter(ctx, args, ids) })
}

func (b *Backend) alter(ctx context.Context, args []any, ids []string) ([]tasks.Altered, error) {
	all := make([]tasks.Altered, len(ids))
	err := b.byShard(len(ids), maxItems, func(i int) string { return ids[i] }, func(shard int, which []int) error {
		piece := slices.Clone(args)
		for _, i := range which {
			piece = append(piece, ids[i])
		}
		reply, err := b.eval(ctx, &b.scripts.alter, shard, piece...)
		if err != nil {
			return err
		}
		answers := texts(reply)
		if len(answers) != len(which) {
			return fmt.Errorf("%w: alter: %d answers for %d ids", tasks.ErrDamaged, len(answers), len(which))
		}
		for n, i := range which {
			all[i] = altered(answers[n])
		}
		return nil
	})
	if err != nil {
		return nil, err
	}
	return all, nil
}

func altered(answer string) (a tasks.Altered) {
	if len(answer) == 2 {
		a.Status = statusOf(answer[1])
	}
	switch {
	case strings.HasPrefix(answer, "0"):
	case strings.HasPrefix(answer, "1"):
		a.Err = tasks.ErrNoChange
	case strings.HasPrefix(answer, "2"):
		a.Err = tasks.ErrResultNotFound
	default:
		a.Err = tasks.ErrDamaged
	}
	return a
}

var errCursor = errors.New("redis: PruneRequest.After isn't the Next of a Prune")

// The bounds of a Prune: what one script looks at, and what one call does.
const (
	prunePiece = 500
	pruneLook  = 50_000
)

// Prune implements tasks.Inspector. It walks the index of final records, which is ordered by
// when they are due to be pruned.
func (b *Backend) Prune(ctx context.Context, req tasks.PruneRequest) (tasks.Pruned, error) {
	if err := b.ready(ctx); err != nil {
		return tasks.Pruned{}, err
	}
	var letters strings.Builder
	for _, s := range req.Statuses {
		if !s.Final() {
			return tasks.Pruned{}, fmt.Errorf("redis: only final records can be pruned, not %s ones", s)
		}
		letters.WriteString(statusLetter(s))
	}
	if letters.Len() == 0 {
		letters.WriteString("SFC")
	}
	if req.Limit <= 0 {
		req.Limit = tasks.DefaultPruneBatch
	}
	shard, from, err := b.pruneFrom(req.After)
	if err != nil {
		return tasks.Pruned{}, err
	}
	queues := make([]any, len(req.Queues))
	for i, q := range req.Queues {
		queues[i] = q
	}
	return run(ctx, b, true, func(ctx context.Context) (tasks.Pruned, error) {
		return b.prune(ctx, &req, letters.String(), queues, shard, from)
	})
}

// pruneFrom reads a Next: shard and place in its index.
func (b *Backend) pruneFrom(after string) (shard int, from string, err error) {
	if after == "" {
		return 0, "", nil
	}
	number, place, found := strings.Cut(after, ".")
	raw, err1 := hex.DecodeString(place)
	shard, err2 := strconv.Atoi(number)
	if !found || err1 != nil || err2 != nil || shard < 0 || shard >= b.shards {
		return 0, "", errCursor
	}
	return shard, string(raw), nil
}

func (b *Backend) prune(ctx context.Context, req *tasks.PruneRequest, letters string, queues []any, shard int, from string) (p tasks.Pruned, err error) {
	now, _, err := b.beats(ctx)
	if err != nil {
		return p, err
	}
	latest, err := formatTime(now.Add(-req.OlderThan))
	if err != nil || latest[0] == '-' {
		return p, nil // nothing is that old
	}
	for looked := 0; shard < b.shards; {
		if p.Deleted == req.Limit || looked >= pruneLook {
			p.Next = strconv.Itoa(shard) + "." + hex.EncodeToString([]byte(from))
			return p, nil
		}
		reply, err := b.eval(ctx, &b.scripts.prune, shard,
			append([]any{from, min(req.Limit-p.Deleted, prunePiece), prunePiece, latest, letters}, queues...)...)
		if err != nil {
			return p, err
		}
		l := list(reply)
		if len(l) != 3 {
			return p, tasks.ErrDamaged
		}
		p.Deleted += int(number(l[0]))
		from = text(l[1])
		looked += prunePiece
		if number(l[2]) == 1 {
			shard, from = shard+1, ""
		}
	}
	return p, nil
}
