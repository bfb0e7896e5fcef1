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
	fields, err := b.client.HGetAll(ctx, b.key(id)).Result()
	if err != nil {
		return nil, classify(err).err
	}
	if len(fields) > 0 {
		return decode(id, fields)
	}
	// In this order: what isn't in the first any more is in the second.
	var appended *redis.StringCmd
	var indexed *redis.MapStringStringCmd
	_, _ = b.client.Pipelined(ctx, func(p redis.Pipeliner) error {
		appended = p.HGet(ctx, b.prefix(b.shard(id))+"in", id)
		indexed = p.HGetAll(ctx, b.key(id))
		return nil
	}) // each has its error
	switch {
	case appended.Err() == nil:
		return decodeAppended(id, appended.Val())
	case !errors.Is(appended.Err(), redis.Nil):
		return nil, classify(appended.Err()).err
	case indexed.Err() != nil:
		return nil, classify(indexed.Err()).err
	case len(indexed.Val()) == 0:
		return nil, tasks.ErrResultNotFound
	}
	return decode(id, indexed.Val())
}
