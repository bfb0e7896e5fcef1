// Package id makes record ids.
package id

import (
	"crypto/rand"
	"encoding/binary"
	"encoding/hex"
	"sync"
	"time"
)

// Source makes UUIDv7s (RFC 9562) that ascend strictly within the source, also
// within a millisecond and when the clock steps back. Its zero value is ready,
// and it is safe for concurrent use.
type Source struct {
	mu   sync.Mutex
	last uint64 // milliseconds << 12 | sequence
	pool [1024]byte
	left int // unused bytes at the end of pool
}

// New returns the next id, in the usual 36-byte form.
func (s *Source) New() string {
	var u [16]byte
	s.mu.Lock()
	// The 12 bits after the time are a sequence number; more than 4096 ids in one
	// millisecond run into the next one's, which keeps them ascending.
	now := uint64(time.Now().UnixMilli()) << 12
	s.last = max(s.last+1, now)
	t := s.last
	if s.left < 8 {
		rand.Read(s.pool[:]) // never fails: crypto/rand crashes the program instead
		s.left = len(s.pool)
	}
	copy(u[8:], s.pool[len(s.pool)-s.left:])
	s.left -= 8
	s.mu.Unlock()

	binary.BigEndian.PutUint64(u[:8], t>>12<<16|0x7000|t&0xfff)
	u[8] = u[8]&0x3f | 0x80

	var out [36]byte
	hex.Encode(out[0:], u[0:4])
	hex.Encode(out[9:], u[4:6])
	hex.Encode(out[14:], u[6:8])
	hex.Encode(out[19:], u[8:10])
	hex.Encode(out[24:], u[10:16])
	out[8], out[13], out[18], out[23] = '-', '-', '-', '-'
	return string(out[:])
}
