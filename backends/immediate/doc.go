// Package immediate is the backend that runs each task inside Enqueue: for
// development, for tests of the tasks themselves, and for programs that want no
// queue yet. It is Django's ImmediateBackend.
//
// # Opening
//
// New, or "immediate:" as a URL, or {"backend": "immediate"}. There is nothing to
// configure. A Backend is used by one App.
//
// # Capabilities
//
// Priority, which is accepted and has no effect. No results: what Enqueue returns
// is final, and nothing is kept to be read again. No deferring, no expiry: they
// are refused.
//
// # Delivery
//
// A task goes through the same encoding, hooks, middleware, timeout and panic
// capture as in a worker, on a goroutine of its own that Enqueue waits for. That
// it fails is no error of Enqueue: look at the result. A failed attempt is
// followed by the next at once, as long as MaxAttempts and the backoff policy
// allow one; the policy's delay is not waited for. A task that snoozes fails,
// since nothing could run it later. The handler's context is the caller's; when it
// ends, that is for the handler to notice.
//
// # Ordering
//
// The tasks of an EnqueueMany run one after the other, in its order. If ctx ends
// meanwhile the rest still run, with a context that has ended.
//
// # Clock
//
// The process's.
//
// # Storage
//
// None. So an id that was used before isn't noticed, except within one batch.
//
// # Limits
//
// Enqueue takes as long as the task. A task that enqueues itself recurses.
package immediate
