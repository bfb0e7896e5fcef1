package filestore

import (
	"context"
	"fmt"
	"time"

	"github.com/sideman-go/sideman/tasks"
	"github.com/sideman-go/sideman/tasks/lifecycle"
)

// guide:begin driver

// Driver opens a Store from configuration:
//
//	{"default": {"backend": "filestore", "options": {"dir": "tasks", "retain_failed": "720h"}}}
func Driver() tasks.Driver {
	return tasks.Driver{Name: "filestore", Configure: configure}
}

// configure checks the settings; nothing is touched before the Opener is called.
func configure(settings tasks.Settings) (tasks.Opener, error) {
	var options struct {
		Dir              string        `json:"dir"`
		NoSync           bool          `json:"no_sync"`
		RetainSuccessful time.Duration `json:"retain_successful"`
		RetainFailed     time.Duration `json:"retain_failed"`
		RetainCancelled  time.Duration `json:"retain_cancelled"`
	}
	if err := settings.Decode(&options); err != nil {
		return nil, err // every unknown name and wrong type at once, each with its path
	}
	if options.Dir == "" {
		return nil, fmt.Errorf("%w: %s.options.dir: is missing", tasks.ErrInvalidConfig, settings.Alias)
	}
	return func(ctx context.Context) (tasks.Backend, error) {
		s, err := Open(ctx, options.Dir, &Options{
			NoSync: options.NoSync,
			Retention: lifecycle.Retention{
				Successful: options.RetainSuccessful, Failed: options.RetainFailed, Cancelled: options.RetainCancelled,
			},
		})
		if err != nil {
			return nil, err // and not s: an interface that holds a nil *Store isn't nil
		}
		return s, nil
	}, nil
}

// guide:end driver
