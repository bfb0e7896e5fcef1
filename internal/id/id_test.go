package id_test

import (
	"regexp"
	"strconv"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/sideman-go/sideman/internal/id"
)

// RFC 9562: version 7 and the variant 10 in their places.
var form = regexp.MustCompile(`^[0-9a-f]{8}-[0-9a-f]{4}-7[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}$`)

func TestIDsHaveTheFormOfUUIDv7(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var s id.Source
		for range 5000 {
			got := s.New()
			if !form.MatchString(got) {
				t.Fatalf("New: got %q, want a UUIDv7", got)
			}
			time.Sleep(time.Millisecond / 2)
		}
	})
}

// millis is the time in an id.
func millis(t *testing.T, id string) int64 {
	t.Helper()
	ms, err := strconv.ParseInt(strings.ReplaceAll(id[:13], "-", ""), 16, 64)
	if err != nil {
		t.Fatalf("id %q: %v", id, err)
	}
	return ms
}

func TestIDsHaveTheTime(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var s id.Source
		time.Sleep(123 * time.Millisecond)
		if got, want := millis(t, s.New()), time.Now().UnixMilli(); got != want {
			t.Errorf("time: got %d, want %d", got, want)
		}
	})
}

func TestAMillionIDsAscend(t *testing.T) {
	var s id.Source
	last := ""
	for range 1_000_000 {
		got := s.New()
		if got <= last {
			t.Fatalf("New: got %q after %q, want a greater one", got, last)
		}
		last = got
	}
}

// More than 4096 ids in one millisecond run into the next one's, also while the
// clock stands still: as after a step back, until it has caught up.
func TestIDsAscendWhileTheClockStandsStill(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var s id.Source
		start := time.Now().UnixMilli()
		last := ""
		for i := range 3*4096 + 1 {
			got := s.New()
			if got <= last {
				t.Fatalf("New: got %q after %q, want a greater one", got, last)
			}
			if want := start + int64(i/4096); millis(t, got) != want {
				t.Fatalf("id %d: got time %d, want %d", i, millis(t, got), want)
			}
			last = got
		}
		time.Sleep(time.Millisecond) // still behind the ids
		if got := s.New(); got <= last || millis(t, got) != start+3 {
			t.Errorf("New: got %q after %q, want a greater one of that millisecond", got, last)
		}
		time.Sleep(time.Second)
		if got := millis(t, s.New()); got != time.Now().UnixMilli() {
			t.Errorf("time: got %d, want the clock's, %d", got, time.Now().UnixMilli())
		}
	})
}

func TestIDsOfGoroutinesAndSourcesAreUnique(t *testing.T) {
	const goroutines, each = 8, 5_000
	var shared id.Source
	var mu sync.Mutex
	seen := make(map[string]bool, 2*goroutines*each)
	var wg sync.WaitGroup
	for range goroutines {
		wg.Go(func() {
			var own id.Source // all of them within the same milliseconds
			ids := make([]string, 0, 2*each)
			last := ""
			for range each {
				next := shared.New()
				if next <= last {
					t.Errorf("New: got %q after %q, want a greater one", next, last)
				}
				last = next
				ids = append(ids, next, own.New())
			}
			mu.Lock()
			defer mu.Unlock()
			for _, id := range ids {
				if seen[id] {
					t.Errorf("%q is there twice", id)
				}
				seen[id] = true
			}
		})
	}
	wg.Wait()
}
