package bolt

import (
	"context"
	"errors"
	"path/filepath"
	"testing"
)

// An op that has written when it fails leaves no trace, and those that share its
// transaction are stored all the same, once each.
func TestOpThatFailsHalfway(t *testing.T) {
	t.Parallel()
	b, err := Open(t.Context(), Options{Path: filepath.Join(t.TempDir(), "tasks.db")})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = b.Close(context.WithoutCancel(t.Context())) })
	failure := errors.New("halfway")
	told := make([]error, 3)
	ops := make([]*op, len(told))
	for i := range ops {
		ops[i] = &op{
			finish: func(err error) { told[i] = err },
			apply: func(tx *txn) error {
				n := len(tx.get(inPaused, []byte("all")))
				if err := tx.put(inPaused, []byte("all"), make([]byte, n+1)); err != nil {
					return err
				}
				if i == 1 {
					return failure
				}
				return nil
			},
		}
	}
	b.flush(ops)
	if told[0] != nil || !errors.Is(told[1], failure) || told[2] != nil {
		t.Errorf("the ops were told %v, want an error for the second only", told)
	}
	err = b.view(func(tx *txn) error {
		if got := len(tx.get(inPaused, []byte("all"))); got != 2 {
			t.Errorf("%d ops have left a trace, want 2", got)
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
}
