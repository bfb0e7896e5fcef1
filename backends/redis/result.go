package redis

import (
	"context"
	"errors"

	"github.com/redis/go-redis/v9"

	"github.com/sideman-go/sideman/tasks"
)

// GetResult implements tasks.Backend.
func (b *Backend) GetResult(ctx context.Context, id string) (*tasks.Record, error) {
	if id == "" || len(id) > 255 {
		if err := b.ready(ctx); err != nil {
			return nil, err
		}
		return nil, tasks.ErrResultNotFound
	}
	return run(ctx, b, false, func(ctx context.Context) (*tasks.Record, error) {
		if err := b.layOut(ctx); err != nil {
			return nil, err
		}
		s, err := b.find(ctx, id)
		if err != nil {
			return nil, err
		}
		return &s.rec, nil
	})
}

// find returns a record, indexed or not.
func (b *Backend) find(ctx context.Context, id string) (*stored, error) {
	found, err := b.read(ctx, []string{id})
	if err != nil || found[0].there() {
		return found[0].rec, errors.Join(err, found[0].err)
	}
	// In this order: what isn't in the first any more is in the second.
	var text string
	appended := false
	err = b.patiently(ctx, fetches, func() (err error) {
		text, err = b.client.HGet(ctx, b.prefix(b.shard(id))+"in", id).Result()
		if appended = err == nil; errors.Is(err, redis.Nil) {
			return nil
		}
		return err
	})
	switch {
	case err != nil:
		return nil, err
	case appended:
		return decodeAppended(id, text)
	}
	found, err = b.read(ctx, []string{id})
	if err != nil || found[0].there() {
		return found[0].rec, errors.Join(err, found[0].err)
	}
	return nil, tasks.ErrResultNotFound
}

// reading is a record that was read, or why it can't be decoded; or neither if there is none.
type reading struct {
	rec *stored
	err error
}

func (r reading) there() bool { return r.rec != nil || r.err != nil }

// read reads indexed records, each as it was at one time. Its error is one of classify's.
func (b *Backend) read(ctx context.Context, ids []string) (found []reading, err error) {
	err = b.patiently(ctx, fetches, func() (err error) {
		found, err = b.readOnce(ctx, ids)
		return err
	})
	return found, err
}

func (b *Backend) readOnce(ctx context.Context, ids []string) ([]reading, error) {
	found := make([]reading, len(ids))
	cmds := make([]*redis.SliceCmd, len(ids))
	_, err := b.client.Pipelined(ctx, func(p redis.Pipeliner) error {
		for i, id := range ids {
			head, envelope, value, _ := b.keys(id)
			cmds[i] = p.MGet(ctx, head, envelope, value)
		}
		return nil
	})
	if err != nil {
		return found, err
	}
	var more []int
	for i, cmd := range cmds {
		if found[i] = decodeFound(ids[i], cmd.Val(), nil); found[i].rec != nil && found[i].rec.more {
			more = append(more, i)
		}
	}
	if len(more) == 0 {
		return found, nil
	}
	// All of these is read together, by a transaction.
	rest := make([]*redis.MapStringStringCmd, len(ids))
	_, err = b.client.TxPipelined(ctx, func(p redis.Pipeliner) error {
		for _, i := range more {
			head, envelope, value, others := b.keys(ids[i])
			cmds[i], rest[i] = p.MGet(ctx, head, envelope, value), p.HGetAll(ctx, others)
		}
		return nil
	})
	if err != nil {
		return found, err
	}
	for _, i := range more {
		found[i] = decodeFound(ids[i], cmds[i].Val(), rest[i].Val())
	}
	return found, nil
}

// decodeFound decodes what a script or commands have found of a record: its head, its envelope and
// its value, nil for each that isn't there, and the rest.
func decodeFound(id string, values []any, more map[string]string) reading {
	if len(values) < 3 || values[0] == nil && values[1] == nil {
		return reading{}
	}
	rec, err := decode(id, raw{head: text(values[0]), envelope: text(values[1]), value: values[2], more: more})
	return reading{rec, err}
}
