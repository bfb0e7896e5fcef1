package redis_test

import (
	"testing"
	"time"
)

// TestCPU has the server work for a while, which its processor time must show.
func TestCPU(t *testing.T) {
	s, c := ours(t)
	before, err := s.CPU(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	const work = 300 // milliseconds
	script := `local t = redis.call('TIME'); local from = t[1]*1000 + t[2]/1000; repeat t = redis.call('TIME') until t[1]*1000 + t[2]/1000 - from > tonumber(ARGV[1]) return 1`
	if err := c.Eval(t.Context(), script, nil, work).Err(); err != nil {
		t.Fatal(err)
	}
	after, err := s.CPU(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	// On a busy machine it has less than the time that went by.
	if took := after - before; took < work*time.Millisecond/10 || took > time.Minute {
		t.Errorf("the server took %v of processor time for a script of %d ms", took, work)
	}
}
