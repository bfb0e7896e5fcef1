package tasks

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"time"
)

// defaultBackoff is the policy of a task with attempts but without a Backoff.
const (
	defaultBackoffBase  = time.Second
	defaultBackoffLimit = 10 * time.Minute
)

// execute is Runtime.Execute.
func (a *App) execute(ctx context.Context, rec *Record, done func(Outcome)) {
	def := a.lookup(rec.Task)
	var value json.RawMessage
	var err error
	returned := false
	defer func() {
		if !returned {
			// Neither a return nor a recovered panic means runtime.Goexit.
			if p := recover(); p != nil {
				err = newPanicError(p)
			} else {
				err = ErrGoexit
			}
		}
		var out Outcome
		decided := false
		defer func() {
			if !decided {
				out = Outcome{Kind: OutcomeFailure, Error: &AttemptError{Type: ErrorTypeGoexit, Message: "the backoff policy called runtime.Goexit"}}
			}
			done(out)
		}()
		out = a.outcome(ctx, def, rec, value, err)
		decided = true
	}()
	switch {
	case def == nil:
		err = NoRetry(fmt.Errorf("%w %s", ErrUnknownTask, quote(rec.Task)))
	default:
		run := a.runChain(func(ctx context.Context, rec *Record) (json.RawMessage, error) {
			return def.run(ctx, rec.Args)
		})
		value, err = run(withInfo(ctx, a, rec), rec)
	}
	returned = true
}

// outcome is decide, also for an error whose own methods panic: a nil pointer as an
// error does so in its Unwrap, and is a common mistake.
func (a *App) outcome(ctx context.Context, def *definition, rec *Record, value json.RawMessage, err error) (out Outcome) {
	bad := safely(func() error {
		out = a.decide(ctx, def, rec, value, err)
		return nil
	})
	if bad == nil {
		return out
	}
	text := fmt.Sprintf("%s (and one of its Is, As and Unwrap methods: %s)", safeText(err), safeText(bad))
	if p, ok := err.(*panicError); ok { //nolint:errorlint // looking further in is what panicked
		return a.decide(ctx, def, rec, value, &panicError{value: strings.TrimPrefix(text, panicPrefix), stack: p.stack})
	}
	return a.decide(ctx, def, rec, value, &opaqueError{kind: fmt.Sprintf("%T", err), text: text})
}

// opaqueError stands for an error that can't be looked into.
type opaqueError struct{ kind, text string }

func (e *opaqueError) Error() string { return e.text }

// decide says what becomes of an attempt that returned value and err under ctx.
func (a *App) decide(ctx context.Context, def *definition, rec *Record, value json.RawMessage, err error) Outcome {
	cause := context.Cause(ctx)
	if errors.Is(cause, ErrTimeout) {
		return a.failed(def, rec, timeoutError(rec, err))
	}
	if err == nil {
		return Outcome{Kind: OutcomeSuccess, Value: value}
	}
	if errors.Is(cause, ErrTaskCancelled) {
		out := Outcome{Kind: OutcomeCancel}
		if !isContextError(err) && !errors.Is(err, cause) {
			out.Error = attemptError(err)
		}
		return out
	}
	if errors.Is(cause, ErrWorkerStopping) && (isContextError(err) || errors.Is(err, cause)) {
		return Outcome{Kind: OutcomeRetry, Error: &AttemptError{
			Type: ErrorTypeInterrupted, Message: clean(safeText(err), maxMessage),
		}}
	}
	return a.failed(def, rec, err)
}

// failed applies the error's own wish, the attempts left and the backoff policy.
func (a *App) failed(def *definition, rec *Record, err error) Outcome {
	var wish *directive
	if !isPanic(err) && errors.As(err, &wish) {
		switch wish.kind {
		case OutcomeSnooze:
			return Outcome{Kind: OutcomeSnooze, Delay: wish.delay}
		case OutcomeCancel:
			return Outcome{Kind: OutcomeCancel, Reason: clean(wish.reason, maxMessage)}
		case OutcomeFailure:
			return Outcome{Kind: OutcomeFailure, Error: attemptError(err)}
		case OutcomeRetry:
			return Outcome{Kind: OutcomeRetry, Error: attemptError(err), Delay: wish.delay}
		case OutcomeSuccess, OutcomeRelease:
		}
	}
	failure := Outcome{Kind: OutcomeFailure, Error: attemptError(err)}
	if rec.Attempts() >= rec.MaxAttempts {
		return failure
	}
	policy := Exponential(defaultBackoffBase, defaultBackoffLimit)
	if def != nil && def.settings.backoff != nil {
		policy = def.settings.backoff
	}
	var delay time.Duration
	retry := true
	if bad := safely(func() error {
		delay, retry = policy(rec.Attempts(), err)
		return nil
	}); bad != nil {
		a.logger().Error("Backoff policy failed; using the default", "id", rec.ID, "path", rec.Task, "error", bad)
		delay, retry = Exponential(defaultBackoffBase, defaultBackoffLimit)(rec.Attempts(), err)
	}
	if !retry {
		return failure
	}
	return Outcome{Kind: OutcomeRetry, Error: failure.Error, Delay: max(delay, 0)}
}

// Failed returns the outcome of an attempt that failed with err without having
// returned: the backoff policy and the attempts left decide as usual.
func (r *Runtime) Failed(rec *Record, err error) Outcome {
	return r.app.failed(r.app.lookup(rec.Task), rec, err)
}

// TimeoutError returns the error of an attempt that ran over its Timeout, and
// didn't return.
func TimeoutError(rec *Record) error { return timeoutError(rec, nil) }

func timeoutError(rec *Record, handler error) error {
	if handler == nil || isContextError(handler) {
		return fmt.Errorf("%w after %v", ErrTimeout, rec.Timeout)
	}
	// The handler's own wish (NoRetry, RetryIn) must not outlive the timeout, so
	// only its text is kept.
	return fmt.Errorf("%w after %v: %s", ErrTimeout, rec.Timeout, safeText(handler))
}

func isContextError(err error) bool {
	return errors.Is(err, context.Canceled) || errors.Is(err, context.DeadlineExceeded)
}

func isPanic(err error) bool {
	var p *panicError
	return errors.As(err, &p)
}

// attemptError makes an error into what is stored of it.
func attemptError(err error) *AttemptError {
	e := &AttemptError{Message: clean(safeText(err), maxMessage)}
	var p *panicError
	switch {
	case errors.As(err, &p):
		e.Type, e.Stack = ErrorTypePanic, clean(string(p.stack), maxStack)
		e.Message = strings.TrimPrefix(e.Message, panicPrefix) // the type says it
	case errors.Is(err, ErrGoexit):
		e.Type = ErrorTypeGoexit
	case errors.Is(err, ErrTimeout):
		e.Type = ErrorTypeTimeout
	default:
		e.Type = clean(errorType(err), MaxName)
	}
	return e
}

// errorType names the type of the error below the wrappers that only add text. Of
// several errors wrapped by one fmt.Errorf the last counts, which is where causes
// stand.
func errorType(err error) string {
	for {
		name := fmt.Sprintf("%T", err)
		var inner error
		switch name {
		case "*fmt.wrapError":
			inner = errors.Unwrap(err)
		case "*fmt.wrapErrors":
			if several, ok := err.(interface{ Unwrap() []error }); ok && len(several.Unwrap()) > 0 {
				inner = several.Unwrap()[len(several.Unwrap())-1]
			}
		}
		if d, ok := err.(*directive); ok { //nolint:errorlint // only this level is asked about
			inner = d.err
		}
		if o, ok := err.(*opaqueError); ok { //nolint:errorlint // this very error, as for directive
			return o.kind
		}
		if inner == nil {
			return name
		}
		err = inner
	}
}

// safeText is err's text, also where its Error method panics.
func safeText(err error) (text string) {
	defer func() {
		if p := recover(); p != nil {
			text = fmt.Sprintf("(the Error method of %T panicked: %v)", err, p)
		}
	}()
	return err.Error()
}
