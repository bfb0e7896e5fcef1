package bolt

import (
	"context"
	"errors"
	"fmt"
	"net/url"

	"github.com/sideman-go/sideman/tasks"
)

// Driver opens files from configuration, under the name "bolt" and by URLs of the
// scheme "bolt": "bolt:tasks.db" is relative to the working directory and
// "bolt:///var/lib/app/tasks.db" is absolute. The options are those of Options.
func Driver() tasks.Driver {
	return tasks.Driver{Name: "bolt", Schemes: []string{"bolt"}, Configure: configure}
}

func configure(s tasks.Settings) (tasks.Opener, error) {
	var o Options
	path, urlErr := urlPath(s)
	decodeErr := s.Decode(&o)
	if path != "" {
		if o.Path != "" && o.Path != path {
			urlErr = errors.Join(urlErr, fmt.Errorf("%s: the URL says %q and the option path says %q", s.Alias, path, o.Path))
		}
		o.Path = path
	}
	faults := []error{urlErr, decodeErr}
	if urlErr == nil && decodeErr == nil {
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

// urlPath returns the file that the URL names, if there is one.
func urlPath(s tasks.Settings) (string, error) {
	u := s.URL
	switch {
	case u == nil:
		return "", nil
	case u.Host != "":
		name := u.Host + u.Path
		return "", fmt.Errorf("%s.url: bolt://%s has a host, which a file hasn't: did you mean bolt:%s or bolt:///%s?", s.Alias, name, name, name)
	case u.User != nil || u.Fragment != "":
		return "", fmt.Errorf("%s.url: a bolt URL is a path and options: bolt:tasks.db?lock_timeout=1s", s.Alias)
	case u.Opaque != "":
		path, err := url.PathUnescape(u.Opaque) // Path is unescaped already
		if err != nil {
			return "", fmt.Errorf("%s.url: %w", s.Alias, err)
		}
		return path, nil
	}
	return u.Path, nil
}
