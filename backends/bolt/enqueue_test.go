package bolt_test

import (
	"bytes"
	"context"
	"errors"
	"reflect"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"go.etcd.io/bbolt"

	"github.com/sideman-go/sideman/tasks"
)

func TestEnqueueReadsBackExactly(t *testing.T) { // E1, E2, E6, R7
	b := open(t)
	small := rec(queue("a/b.%* 😀"), priority(-100), delay(time.Hour), ttl(2*time.Hour), retain(-1),
		func(r *tasks.Record) {
			r.Metadata = map[string]string{"trace": "1", "empty": ""}
			r.Timeout = time.Second
		})
	large := rec(args(bytes.Repeat([]byte("x"), 100_000)), priority(100))
	enqueue(t, b, small, large)
	if small.Status != tasks.Ready || small.EnqueuedAt.IsZero() ||
		!small.RunAfter.Equal(small.EnqueuedAt.Add(time.Hour)) || !small.ExpiresAt.Equal(small.EnqueuedAt.Add(2*time.Hour)) {
		t.Errorf("enqueue filled in %+v", small)
	}
	for _, want := range []*tasks.Record{small, large} {
		got := get(t, b, want.ID)
		if !reflect.DeepEqual(got, want) {
			t.Errorf("got  %+v\nwant %+v", got, want)
		}
		got.Args[0], got.Metadata = 'X', nil
		if again := get(t, b, want.ID); !reflect.DeepEqual(again, want) {
			t.Error("a change to a result reached the store")
		}
	}
}

func TestEnqueueIsIdempotentByID(t *testing.T) { // E3
	b := open(t)
	first := rec()
	enqueue(t, b, first)
	again := rec(queue("other"), func(r *tasks.Record) { r.ID = first.ID })
	twice := rec()
	twin := rec(func(r *tasks.Record) { r.ID, r.Task = twice.ID, "twin" })
	enqueue(t, b, again, twice, twin)
	if !again.Duplicate || again.Queue != "default" || !again.EnqueuedAt.Equal(first.EnqueuedAt) {
		t.Errorf("the duplicate is %+v", again)
	}
	if twice.Duplicate || !twin.Duplicate || twin.Task != "task" {
		t.Errorf("in one batch: %v, %v, task %s", twice.Duplicate, twin.Duplicate, twin.Task)
	}
	if got := get(t, b, first.ID); got.Queue != "default" {
		t.Errorf("the stored record was changed: %+v", got)
	}
}

func TestEnqueueAllOrNone(t *testing.T) { // E1
	b := open(t)
	good, bad := rec(), rec(queue(strings.Repeat("q", 300)))
	if err := b.Enqueue(t.Context(), []*tasks.Record{good, bad}); !errors.Is(err, tasks.ErrInvalidTask) {
		t.Fatal(err)
	}
	if _, err := b.GetResult(t.Context(), good.ID); !errors.Is(err, tasks.ErrResultNotFound) {
		t.Errorf("half a batch was stored: %v", err)
	}
}

func TestGetResultOfAnyUnknownID(t *testing.T) { // R4
	b := open(t)
	for _, id := range []string{"", "\x00", "nope", strings.Repeat("x", 100_000), "\xff"} {
		if _, err := b.GetResult(t.Context(), id); !errors.Is(err, tasks.ErrResultNotFound) {
			t.Errorf("%.10q: %v", id, err)
		}
	}
}

func TestContextThatIsOver(t *testing.T) { // E4
	b := open(t)
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	r := rec()
	done := make(chan error, 1)
	b.AEnqueue(ctx, []*tasks.Record{r}, func(err error) { done <- err })
	if err := <-done; !errors.Is(err, context.Canceled) {
		t.Errorf("AEnqueue: %v", err)
	}
	if err := b.Enqueue(ctx, []*tasks.Record{r}); !errors.Is(err, context.Canceled) {
		t.Errorf("Enqueue: %v", err)
	}
	if _, err := b.Claim(ctx, tasks.ClaimRequest{Limit: 1, Lease: 1}); !errors.Is(err, context.Canceled) {
		t.Errorf("Claim: %v", err)
	}
	if _, err := b.GetResult(t.Context(), r.ID); !errors.Is(err, tasks.ErrResultNotFound) {
		t.Errorf("it was stored: %v", err)
	}
}

// A caller's own write transaction keeps the writer out: what waits for it hasn't
// been taken, so that an end of its ctx means "not stored", promptly.
func TestDeadlineWhileAnotherWrites(t *testing.T) { // E4
	b := open(t)
	tx, err := b.DB().Begin(true)
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), 30*time.Millisecond)
	defer cancel()
	sync, async := rec(), rec()
	done := make(chan error, 1)
	start := time.Now()
	b.AEnqueue(ctx, []*tasks.Record{async}, func(err error) { done <- err })
	err = b.Enqueue(ctx, []*tasks.Record{sync})
	if !errors.Is(err, context.DeadlineExceeded) || errors.Is(err, tasks.ErrUnknownOutcome) {
		t.Errorf("Enqueue: %v", err)
	}
	if err := <-done; !errors.Is(err, context.DeadlineExceeded) || errors.Is(err, tasks.ErrUnknownOutcome) {
		t.Errorf("AEnqueue: %v", err)
	}
	if d := time.Since(start); d > 280*time.Millisecond {
		t.Errorf("it took %v", d)
	}
	if err := tx.Rollback(); err != nil {
		t.Fatal(err)
	}
	later := rec()
	enqueue(t, b, later)
	wantIDs(t, claimedIDs(claim(t, b, 10)), later)
}

func TestAEnqueueStoresEverythingBeforeClose(t *testing.T) { // E5
	b := open(t)
	const n = 500
	done := make(chan error, n)
	var recs []*tasks.Record
	for range n {
		r := rec()
		recs = append(recs, r)
		b.AEnqueue(t.Context(), []*tasks.Record{r}, func(err error) { done <- err })
	}
	path := b.DB().Path()
	if err := b.Close(t.Context()); err != nil {
		t.Fatal(err)
	}
	for range n {
		select {
		case err := <-done:
			if err != nil {
				t.Fatal(err)
			}
		default:
			t.Fatal("Close returned before every done was called")
		}
	}
	db, err := bbolt.Open(path, 0o600, nil)
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close()
	again := borrow(t, db)
	for _, r := range recs {
		get(t, again, r.ID)
	}
	b.AEnqueue(t.Context(), []*tasks.Record{rec()}, func(err error) { done <- err })
	if err := <-done; !errors.Is(err, tasks.ErrClosed) {
		t.Errorf("after Close: %v", err)
	}
}

// A full store refuses what doesn't fit, keeps what it has and goes on.
func TestFullStore(t *testing.T) { // F2
	db := openDB(t, &bbolt.Options{MaxSize: 4 << 20, NoFreelistSync: true})
	b := borrow(t, db)
	small := rec()
	enqueue(t, b, small)
	err := b.Enqueue(t.Context(), []*tasks.Record{rec(args(make([]byte, 8<<20)))})
	if !errors.Is(err, tasks.ErrUnavailable) || errors.Is(err, tasks.ErrUnknownOutcome) {
		t.Fatalf("too much: %v", err)
	}
	if !strings.Contains(err.Error(), db.Path()) {
		t.Errorf("the error doesn't name the file: %v", err)
	}
	next := rec()
	enqueue(t, b, next)
	wantIDs(t, claimedIDs(claim(t, b, 10)), small, next)
	if err := b.Verify(); err != nil {
		t.Error(err)
	}
}

func TestUnknownOutcomeOnlyInFlight(t *testing.T) { // E4
	synctest.Test(t, func(t *testing.T) {
		b := open(t)
		for i := range 200 {
			ctx, cancel := context.WithCancel(t.Context())
			r := rec()
			done := make(chan error, 1)
			go func() { done <- b.Enqueue(ctx, []*tasks.Record{r}) }()
			if i%2 == 0 {
				cancel()
			}
			err := <-done
			cancel()
			_, stored := b.GetResult(t.Context(), r.ID)
			switch {
			case err == nil && stored != nil:
				t.Fatalf("no error, but not stored: %v", stored)
			case err != nil && !errors.Is(err, tasks.ErrUnknownOutcome) && stored == nil:
				t.Fatalf("stored in spite of %v", err)
			}
		}
	})
}
