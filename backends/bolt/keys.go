package bolt

import (
	"encoding/binary"
	"time"

	"github.com/sideman-go/sideman/tasks"
)

// Everything is in one bucket, and the first byte of a key, its space, says what
// it is. The rest of it sorts as bytes, so numbers are big-endian.
//
//	final     prune at, id → status, finished at, queue; every final record
//	leases    deadline, id → nothing; every RUNNING record
//	ready     queue, level, due, id → nothing; every READY record, due or not
//	expiry    expires, id → nothing; READY records that haven't started and can expire
//	args      id → arguments that are too large to be rewritten with the record
//	records   id → record
//	counts    queue, status, task → number of records
//	damaged   id → why; records that couldn't be decoded when they were to be claimed
//	workers   worker id → heartbeat
//	paused    queue → since when
//	meta      format, created, log
//
// A level is 100 - priority, so that the most urgent comes first. The head of each
// level of a queue is its record that is due first: no record needs to be moved
// from a "deferred" to a "ready" place, and the time of the next one is known.
//
// One bucket rather than one for each, because a commit writes every page on the
// way to what has changed: the spaces share those. Their order makes neighbours of
// what changes together. The counters follow the newest records, which is where an
// enqueue writes; a claim takes from the front of ready and adds to leases, a
// settle takes from leases and adds to the end of final.
const topBucket = "sideman"

// formatVersion is the version of this layout. A file with a newer one is refused.
const formatVersion = 1

// space is the first byte of a key. The values are part of the format.
type space byte

const (
	inFinal   space = 0x10
	inLeases  space = 0x18
	inReady   space = 0x20
	inExpiry  space = 0x28
	inArgs    space = 0x30
	inRecords space = 0x40
	inCounts  space = 0x48
	inDamaged space = 0x50
	inWorkers space = 0x58
	inPaused  space = 0x60
	inMeta    space = 0x68
)

const (
	keyFormat  = "format"
	keyCreated = "created"
	keyLog     = "log" // a logState
)

// maxLevel is that of the lowest priority. A key of a higher one is damaged.
const maxLevel = tasks.MaxPriority - tasks.MinPriority

func levelOf(priority int) byte { return byte(tasks.MaxPriority - priority) }

// stamp makes micros sort as bytes also before 1970.
func stamp(us uint64) uint64 { return us ^ 1<<63 }

func appendTime(b []byte, t time.Time) []byte {
	return binary.BigEndian.AppendUint64(b, stamp(micros(t)))
}

func keyTime(b []byte) time.Time { return fromMicros(stamp(binary.BigEndian.Uint64(b))) }

// timeKey is the key of leases, expiry and final.
func timeKey(t time.Time, id string) []byte {
	return append(appendTime(make([]byte, 0, 8+len(id)), t), id...)
}

// splitTimeKey returns ok false for a key that no version of this package wrote.
func splitTimeKey(k []byte) (t time.Time, id []byte, ok bool) {
	if len(k) <= 8 {
		return time.Time{}, nil, false
	}
	return keyTime(k), k[8:], true
}

// queuePrefix starts the ready and counts keys of a queue. The length comes first
// so that no name is a prefix of another.
func queuePrefix(queue string) []byte {
	return append([]byte{byte(len(queue))}, queue...)
}

func readyKey(queue string, level byte, due time.Time, id string) []byte {
	b := make([]byte, 0, 1+len(queue)+9+len(id))
	b = append(append(b, byte(len(queue))), queue...)
	b = appendTime(append(b, level), due)
	return append(b, id...)
}

// splitReadyKey returns the parts of a ready key, which alias it.
func splitReadyKey(k []byte) (queue []byte, level byte, due time.Time, id []byte, ok bool) {
	if len(k) < 1 || len(k) <= 1+int(k[0])+9 || k[1+int(k[0])] > maxLevel {
		return nil, 0, time.Time{}, nil, false
	}
	n := 1 + int(k[0])
	return k[1:n], k[n], keyTime(k[n+1:]), k[n+9:], true
}

func countKey(queue string, status byte, task string) []byte {
	b := make([]byte, 0, 2+len(queue)+len(task))
	b = append(append(b, byte(len(queue))), queue...)
	return append(append(b, status), task...)
}

func splitCountKey(k []byte) (queue []byte, status byte, task []byte, ok bool) {
	if len(k) < 1 || len(k) < 2+int(k[0]) {
		return nil, 0, nil, false
	}
	n := 1 + int(k[0])
	return k[1:n], k[n], k[n+1:], true
}

// after turns a prefix into the first key behind all that start with it, or nil.
func after(prefix []byte) []byte {
	for i := len(prefix) - 1; i >= 0; i-- {
		if prefix[i] != 0xff {
			b := append([]byte(nil), prefix[:i+1]...)
			b[i]++
			return b
		}
	}
	return nil
}

func finalValue(r *tasks.Record) []byte {
	b := make([]byte, 0, 9+len(r.Queue))
	b = append(b, statusCode(r.Status))
	b = appendTime(b, r.FinishedAt)
	return append(b, r.Queue...)
}

func splitFinalValue(v []byte) (status byte, finished time.Time, queue []byte, ok bool) {
	if len(v) < 9 {
		return 0, time.Time{}, nil, false
	}
	return v[0], keyTime(v[1:]), v[9:], true
}
