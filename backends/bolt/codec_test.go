package bolt

import (
	"bytes"
	"reflect"
	"testing"
	"time"

	"github.com/sideman-go/sideman/tasks"
)

func fullEnvelope() *envelope {
	retain := -time.Second
	at := time.Date(2026, 3, 1, 12, 0, 0, 123456000, time.UTC)
	e := &envelope{
		rec: tasks.Record{
			ID: "id", Alias: "default", Task: "Resize/ä", Queue: "a/b%*😀", Priority: -7,
			Args: []byte(`{"n":9007199254740993}`), Metadata: map[string]string{"trace": "x", "": ""},
			MaxAttempts: 3, Timeout: time.Minute, Retain: &retain, ExpiresAt: at.Add(time.Hour),
			Status: tasks.Running, EnqueuedAt: at, RunAfter: at.Add(1), StartedAt: at.Add(time.Second),
			LastAttemptedAt: at.Add(2 * time.Second), WorkerIDs: []string{"w1", "", "w1"},
			Errors:          []tasks.AttemptError{{Attempt: 1, Type: "*x.E", Message: "m", Stack: "s", At: at, Worker: "w1"}, {}},
			CancelRequested: true, CancelReason: "why", Value: []byte("null"),
		},
		token: [16]byte{1, 2, 3},
		until: at.Add(30 * time.Second),
		extra: []byte{200, 1, 'x'},
	}
	e.rec.RunAfter = at // to the microsecond
	return e
}

func TestCodecKeepsEverything(t *testing.T) {
	final := fullEnvelope()
	final.rec.Status, final.token = tasks.Failed, [16]byte{}
	final.rec.FinishedAt = final.rec.EnqueuedAt.Add(time.Hour)
	noArgs := fullEnvelope()
	noArgs.rec.Args = nil
	emptyArgs := fullEnvelope()
	emptyArgs.rec.Args = []byte{}
	for _, e := range []*envelope{fullEnvelope(), final, noArgs, emptyArgs, {rec: tasks.Record{ID: "id", Status: tasks.Ready}}} {
		got, err := decode("id", e.encode(nil))
		if err != nil {
			t.Fatal(err)
		}
		if e.rec.Errors != nil && !got.rec.Errors[1].At.IsZero() {
			t.Errorf("a zero time became %v", got.rec.Errors[1].At)
		}
		if !reflect.DeepEqual(got, e) {
			t.Errorf("got  %+v\nwant %+v", got, e)
		}
	}
}

func TestCodecRefusesWhatItDoesNotKnow(t *testing.T) {
	good := fullEnvelope().encode(nil)
	for name, b := range map[string][]byte{
		"empty":   nil,
		"version": append([]byte{9}, good[1:]...),
		"tag":     append(bytes.Clone(good), 63, 0),
		"status":  append([]byte{good[0], 9}, good[2:]...),
	} {
		if _, err := decode("id", b); err == nil {
			t.Errorf("%s: no error", name)
		}
	}
	for n := range len(good) {
		_, _ = decode("id", good[:n]) // must not panic
	}
}

func FuzzDecode(f *testing.F) {
	f.Add(fullEnvelope().encode(nil))
	f.Add((&envelope{rec: tasks.Record{Status: tasks.Ready}, farArgs: true}).encode(nil))
	f.Fuzz(func(t *testing.T, b []byte) {
		e, err := decode("id", b)
		if h, herr := readHead(b); herr == nil {
			_, _, _ = h.queueTask()
			_, _ = h.find(tagReason)
		}
		if err != nil {
			return
		}
		again, err := decode("id", e.encode(nil))
		if err != nil {
			t.Fatalf("what was encoded doesn't decode: %v", err)
		}
		if !reflect.DeepEqual(e, again) {
			t.Fatalf("got  %+v\nwant %+v", again, e)
		}
	})
}
