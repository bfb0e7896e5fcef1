package bolt

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"slices"
	"testing"

	"github.com/sideman-go/sideman/tasks"
)

var testID = logID{1, 2, 3}

// encoded returns records as an enqueue has them.
func encoded(tb testing.TB, ids ...string) []fresh {
	tb.Helper()
	var recs []*tasks.Record
	for i, id := range ids {
		recs = append(recs, &tasks.Record{ID: id, Task: "t", Queue: "q", MaxAttempts: 1, Args: bytes.Repeat([]byte("1"), 1+1500*(i%2))})
	}
	all, _, err := prepare(recs)
	if err != nil {
		tb.Fatal(err)
	}
	return all
}

func frameOf(all []fresh, id logID, seq uint64) []byte {
	b := newFrame(nil)
	for i := range all {
		b = appendEntry(b, &all[i])
	}
	return seal(b, id, seq)
}

// logOf is a log with a valid header and the frames.
func logOf(frames ...[]byte) openedLog {
	b := append([]byte(logMagic), 0, 0, 0, logVersion)
	b = append(b, testID[:]...)
	b = binary.BigEndian.AppendUint32(b, sum(0, b))
	b = append(b, make([]byte, logPage-len(b))...)
	return openedLog{path: "x" + logSuffix, data: append(b, bytes.Join(frames, nil)...)}
}

// seqs reads a log as replay does.
func (l openedLog) seqs(applied uint64) (seqs []uint64, err error) {
	if err := l.header(); err != nil || !l.ok {
		return nil, err
	}
	all, err := l.after(applied)
	for _, f := range all {
		if _, err := f.entries(); err != nil {
			return nil, err
		}
		seqs = append(seqs, f.seq)
	}
	return seqs, err
}

func TestLogEntries(t *testing.T) {
	all := encoded(t, "a", "b", "c")
	f, ok := readFrame(frameOf(all, testID, 7), testID)
	if !ok || f.seq != 7 {
		t.Fatalf("frame %d, %v", f.seq, ok)
	}
	got, err := f.entries()
	if err != nil || len(got) != 3 {
		t.Fatalf("%d entries, %v", len(got), err)
	}
	for i := range got {
		if !bytes.Equal(got[i].key, all[i].key) || !bytes.Equal(got[i].buf, all[i].buf) || !bytes.Equal(got[i].args, all[i].args) || got[i].out.ID != string(all[i].key) {
			t.Errorf("entry %d is another", i)
		}
	}
	if _, ok := readFrame(frameOf(all, testID, 7), logID{}); ok {
		t.Error("a frame of another log counts")
	}
}

// Whatever a cut leaves of the log is either a whole frame or none.
func TestLogCutAtEveryByte(t *testing.T) {
	var frames [][]byte
	var ends []int // of what a frame needs, without the rest of its page
	at := logPage
	for seq := range 4 {
		all := encoded(t, fmt.Sprint("a", seq), fmt.Sprint("b", seq))[:1+seq%2]
		f := frameOf(all, testID, uint64(seq)+1)
		ends = append(ends, at+frameHeader+int(binary.BigEndian.Uint32(f)))
		frames = append(frames, f)
		at += len(f)
	}
	whole := logOf(frames...)
	for n := range len(whole.data) + 1 {
		want := 0
		for want < len(ends) && ends[want] <= n {
			want++
		}
		short, zeros := whole, whole
		short.data = whole.data[:n]
		zeros.data = append(bytes.Clone(whole.data[:n]), make([]byte, len(whole.data)-n)...)
		for _, l := range []openedLog{short, zeros} {
			got, err := l.seqs(0)
			// Bytes that are zero anyway may be missing.
			if err != nil || len(got) < want || (len(got) > want && l.data[len(l.data)-1] != 0) {
				t.Fatalf("of the first %d bytes: %v, %v; want %d", n, got, err, want)
			}
		}
	}
}

func TestLogRounds(t *testing.T) {
	f := func(seq uint64) []byte { return frameOf(encoded(t, fmt.Sprint("r", seq)), testID, seq) }
	torn := bytes.Clone(f(3))
	torn[frameHeader]++
	for _, c := range []struct {
		name    string
		frames  [][]byte
		applied uint64
		want    []uint64
		damaged bool
	}{
		{"empty", nil, 0, nil, false},
		{"all new", [][]byte{f(1), f(2)}, 0, []uint64{1, 2}, false},
		{"one is in the database", [][]byte{f(1), f(2)}, 1, []uint64{2}, false},
		{"all are", [][]byte{f(1), f(2)}, 2, nil, false},
		{"a second round over the first", [][]byte{f(5), f(2), f(3), f(4)}, 4, []uint64{5}, false},
		{"the first write of a round was cut", [][]byte{torn, f(1), f(2)}, 2, nil, false},
		{"the last write was cut", [][]byte{f(1), f(2), torn}, 0, []uint64{1, 2}, false},
		{"a hole", [][]byte{f(1), f(2), torn, f(4)}, 0, nil, true},
		{"a frame that isn't there", [][]byte{f(1), f(3)}, 0, nil, true},
		{"a hole at the start", [][]byte{torn, f(4)}, 2, nil, true},
		{"a database of an earlier time", [][]byte{f(5), f(6)}, 3, nil, true},
	} {
		got, err := logOf(c.frames...).seqs(c.applied)
		if !slices.Equal(got, c.want) || errors.Is(err, tasks.ErrDamaged) != c.damaged {
			t.Errorf("%s: %v, %v; want %v", c.name, got, err, c.want)
		}
	}
	newer := logOf()
	newer.data[11]++
	binary.BigEndian.PutUint32(newer.data[28:], sum(0, newer.data[:28]))
	if _, err := newer.seqs(0); !errors.Is(err, tasks.ErrUnavailable) {
		t.Errorf("a newer format: %v", err)
	}
}

// Whatever the file holds, what is read is consecutive and new, and nothing panics.
func FuzzLog(f *testing.F) {
	f.Add(logOf(frameOf(encoded(f, "a", "b"), testID, 1), frameOf(encoded(f, "c"), testID, 2)).data, uint64(0))
	f.Add(logOf().data[:logPage], uint64(9))
	f.Add([]byte{}, uint64(0))
	f.Fuzz(func(t *testing.T, data []byte, applied uint64) {
		// With the right sum, so that more than the sum is tested.
		if len(data) > logPage+frameHeader {
			b := data[logPage:]
			if n := binary.BigEndian.Uint32(b); n > 0 && n <= maxFrame && int(n) <= len(b)-frameHeader {
				binary.BigEndian.PutUint32(b[4:], frameSum(b[:frameHeader+n], testID))
			}
		}
		l := openedLog{data: data, id: testID, ok: true}
		all, err := l.after(applied)
		if err != nil {
			return
		}
		for i, fr := range all {
			if fr.seq <= applied || (i > 0 && fr.seq != all[i-1].seq+1) {
				t.Errorf("frame %d has number %d, applied are %d", i, fr.seq, applied)
			}
			_, _ = fr.entries()
		}
	})
}
