package conformance

import "github.com/sideman-go/sideman/tasks"

// hideOptional returns b without its optional interfaces, so that the framework
// takes the general road, which must mean the same.
func hideOptional(b tasks.Backend) tasks.Backend {
	store, isStore := b.(tasks.Store)
	binder, isBinder := tasks.As[tasks.Binder](b)
	lister, isLister := b.(tasks.Lister)
	switch {
	case isStore && isBinder:
		return plainStoreBinder{plainStore{store}, binder}
	case isStore:
		return plainStore{store}
	case isBinder:
		return plainBinder{plainBackend{b}, binder}
	case isLister:
		return plainLister{plainBackend{b}, lister}
	}
	return plainBackend{b}
}

// The wrappers embed interfaces, so they have their methods and no others. They
// have no Unwrap: what they hide is to stay hidden. Binder isn't about speed, so
// it is kept.
type (
	plainBackend struct{ tasks.Backend }
	plainStore   struct{ tasks.Store }
	plainBinder  struct {
		plainBackend
		binder tasks.Binder
	}
	plainLister struct {
		plainBackend
		tasks.Lister
	}
	plainStoreBinder struct {
		plainStore
		binder tasks.Binder
	}
)

// Bind passes the App's runtime on.
func (p plainBinder) Bind(rt *tasks.Runtime) error { return p.binder.Bind(rt) }

// Bind passes the App's runtime on.
func (p plainStoreBinder) Bind(rt *tasks.Runtime) error { return p.binder.Bind(rt) }
