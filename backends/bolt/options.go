package bolt

import (
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/sideman-go/sideman/tasks"
	"github.com/sideman-go/sideman/tasks/lifecycle"
)

// DefaultLockTimeout is what an Options.LockTimeout of 0 means.
const DefaultLockTimeout = 500 * time.Millisecond

// Options are the settings of a backend. The zero value has the documented
// defaults; Open needs a Path.
type Options struct {
	// Path is the file; Open creates it if it isn't there. Its directory must exist.
	Path string `json:"path,omitempty"`
	// LockTimeout is how long Open waits for another process to let go of the file.
	// The default is DefaultLockTimeout; negative means not at all.
	LockTimeout time.Duration `json:"lock_timeout,omitempty"`
	// MaxSize is the size in bytes beyond which the file doesn't grow: writes that
	// need more fail with ErrUnavailable. The default, 0, is no limit.
	MaxSize int64 `json:"max_size,omitempty"`
	// NoLog does without the log, a file of 1 MiB beside the other while that is open:
	// each enqueue is then committed to the database itself, which takes about twice
	// as long.
	NoLog bool `json:"no_log,omitempty"`

	// RetainSuccessful, RetainFailed and RetainCancelled are how long final records
	// are kept that don't say so themselves. The defaults are those of
	// lifecycle.Retention: 24 hours, 7 days and 24 hours. Negative means for ever.
	// A change applies to records that finish from then on.
	RetainSuccessful time.Duration `json:"retain_successful,omitempty"`
	RetainFailed     time.Duration `json:"retain_failed,omitempty"`
	RetainCancelled  time.Duration `json:"retain_cancelled,omitempty"`
}

// check returns every fault of the options, joined.
func (o *Options) check(own bool) error {
	faults := o.faults(own, func(option string) string { return option })
	for i, fault := range faults {
		faults[i] = fmt.Errorf("%w: %w", tasks.ErrInvalidConfig, fault)
	}
	return errors.Join(faults...)
}

// faults returns what is wrong with the options; at says where an option is.
func (o *Options) faults(own bool, at func(option string) string) (faults []error) {
	fault := func(option, format string, args ...any) {
		faults = append(faults, fmt.Errorf("%s: %s", at(option), fmt.Sprintf(format, args...)))
	}
	switch {
	case own && o.Path == "":
		fault("path", "is missing: the file to keep the tasks in")
	case strings.ContainsRune(o.Path, 0):
		fault("path", "has a NUL byte: %q", o.Path)
	case !own && o.Path != "":
		fault("path", "is for Open; New takes a database that is open")
	}
	if !own && o.LockTimeout != 0 {
		fault("lock_timeout", "is for Open; New takes a database that is open")
	}
	if o.LockTimeout > time.Minute {
		fault("lock_timeout", "is longer than a minute: %v", o.LockTimeout)
	}
	if !own && o.MaxSize != 0 {
		fault("max_size", "is for Open; New takes a database that is open")
	}
	if !own && o.NoLog {
		fault("no_log", "is for Open; New takes a database that is open, and has no log")
	}
	if o.MaxSize < 0 || (o.MaxSize > 0 && o.MaxSize < 1<<20) {
		fault("max_size", "is below 1 MiB: %d", o.MaxSize)
	}
	return faults
}

func (o *Options) retention() lifecycle.Retention {
	return lifecycle.Retention{
		Successful: o.RetainSuccessful,
		Failed:     o.RetainFailed,
		Cancelled:  o.RetainCancelled,
	}.Default()
}

func (o *Options) lockTimeout() time.Duration {
	switch {
	case o.LockTimeout == 0:
		return DefaultLockTimeout
	case o.LockTimeout < 0:
		return 0
	}
	return o.LockTimeout
}
