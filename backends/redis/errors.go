package redis

import (
	"context"
	"errors"
	"fmt"
	"net"
	"slices"
	"strings"

	"github.com/redis/go-redis/v9"

	"github.com/sideman-go/sideman/tasks"
)

// fault is what an error of go-redis means.
type fault struct {
	err error
	// maybe: the server may have run the command.
	maybe bool
	// passing: the server has not run it, and may do so in a moment.
	passing bool
}

// notRun reports whether the server has certainly not run the command, and waiting won't help.
func (f fault) notRun() bool { return f.err != nil && !f.maybe && !f.passing }

// The errors with which a server refuses to run a command at all: nothing was changed. Those
// that pass by themselves within moments come first. A client of a cluster follows where MOVED and
// ASK lead, three times by default: it gives up on a slot that moves on meanwhile.
func refusals() (passing, lasting []string) {
	return []string{"LOADING", "CLUSTERDOWN", "TRYAGAIN", "MASTERDOWN", "READONLY", "BUSY", "MOVED", "ASK"},
		[]string{
			"OOM", "MISCONF", "NOREPLICAS", "NOAUTH", "WRONGPASS", "NOPERM", "CROSSSLOT",
			"ERR max number of clients", "DENIED", "UNKILLABLE",
		}
}

// classify says what an error of a command means.
func classify(err error) fault {
	var reply redis.Error
	var dial *net.OpError
	switch {
	case err == nil:
		return fault{}
	case errors.Is(err, redis.ErrClosed):
		return fault{err: fmt.Errorf("%w: the client was closed: %w", tasks.ErrClosed, err)}
	case errors.As(err, &reply):
		return refused(reply)
	case errors.As(err, &dial) && dial.Op == "dial",
		errors.Is(err, redis.ErrPoolTimeout), errors.Is(err, redis.ErrPoolExhausted):
		return fault{err: unavailable(err)}
	case strings.HasPrefix(err.Error(), "redis: all sentinels"), strings.HasPrefix(err.Error(), "redis: cluster has no nodes"):
		return fault{err: unavailable(err)}
	case errors.Is(err, context.Canceled), errors.Is(err, context.DeadlineExceeded):
		return fault{err: err, maybe: true}
	}
	return fault{err: unavailable(err), maybe: true}
}

// refused says what an error means that the server has answered with. A script's own first
// write may be what was refused; then its name is before or behind the reason.
func refused(err redis.Error) fault {
	msg := err.Error()
	is := func(code string) bool {
		return strings.HasPrefix(msg, code) || strings.Contains(msg, ": -"+code)
	}
	passing, lasting := refusals()
	switch {
	case slices.ContainsFunc(passing, is):
		return fault{err: unavailable(err), passing: true}
	case slices.ContainsFunc(lasting, is):
		return fault{err: unavailable(err)}
	case is("WRONGTYPE"):
		return fault{err: fmt.Errorf("%w: %w", tasks.ErrDamaged, err)}
	}
	return fault{err: err}
}

func unavailable(err error) error {
	hint := ""
	switch msg := err.Error(); {
	case strings.Contains(msg, "OOM command"):
		hint = "the server is at its maxmemory and takes nothing more: "
	case strings.Contains(msg, "MISCONF"):
		hint = "the server can't write its files: "
	}
	return fmt.Errorf("%w: %s%w", tasks.ErrUnavailable, hint, err)
}

// unknown reports a write of which the caller can't know whether it was stored.
func unknown(cause error) error { return fmt.Errorf("%w: %w", tasks.ErrUnknownOutcome, cause) }
