package redis

import (
	"context"
	"errors"
	"fmt"

	"github.com/sideman-go/sideman/tasks"
)

// Driver opens servers from configuration, under the name "redis" and by URLs of the schemes
// "redis" and "rediss" (TLS), and "valkey" and "valkeys". The options are those of Options;
// some can be in the URL's query: redis://:secret@host:6379/0?namespace=mail.
func Driver() tasks.Driver {
	return tasks.Driver{Name: "redis", Schemes: []string{"redis", "rediss", "valkey", "valkeys"}, Configure: configure}
}

func configure(s tasks.Settings) (tasks.Opener, error) {
	var o Options
	faults := []error{s.Decode(&o)}
	if s.URL != nil {
		u := *s.URL
		u.RawQuery = ""
		if o.URL != "" {
			faults = append(faults, fmt.Errorf("%s: there is a url beside the options and in them", s.Alias))
		}
		o.URL = u.String()
	}
	if errors.Join(faults...) == nil {
		faults = append(faults, o.faults(true, s.At)...)
	}
	if err := errors.Join(faults...); err != nil {
		return nil, err
	}
	return func(ctx context.Context) (tasks.Backend, error) {
		b, err := Open(ctx, o)
		if err != nil {
			return nil, err // not b: a nil *Backend in an interface isn't nil
		}
		return b, nil
	}, nil
}
