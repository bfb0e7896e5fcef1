package bolt

import (
	"crypto/rand"
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"
	"io"
	"os"
	"path/filepath"

	"github.com/sideman-go/sideman/tasks"
)

// The log is a file beside the database, of a fixed size, written with zeros when
// it is made: to write into it and sync it is one write of the disk, without any of
// the file system's own.
//
//	0     magic 8, version 4, identity 16, CRC 4
//	4096  frames, each from a multiple of 4096 on
//
// A frame is what one sync makes durable, a batch of enqueues:
//
//	length of the payload 4, CRC 4, sequence number 8, payload
//
// The payload is, for each record: id, stored form and arguments kept apart, each
// with its length before it. Numbers are big-endian; the CRC (Castagnoli) is over the
// log's identity and everything in the frame but itself.
//
// No two frames share a page, so that a write that is cut short by a power cut can't
// hurt what an earlier one has stored. The frames' numbers are consecutive, also when
// the log is used again from its start. So what is left of earlier rounds behind the
// newest frame has lower numbers.
const (
	logSuffix  = "-log"
	logAside   = ".aside" // behind that: a log of another database, moved out of the way
	logMagic   = "sidemanL"
	logVersion = 1
	logPage    = 4 << 10
	logSize    = 1 << 20

	logHeader   = 32
	frameHeader = 16
	maxFrame    = 64 << 10 // larger batches gain nothing by the log
)

// sum goes on with a CRC, from 0 on.
func sum(crc uint32, b []byte) uint32 { return crc32.Update(crc, crc32.MakeTable(crc32.Castagnoli), b) }

type logID [16]byte

// logFile is a log that is open for writing.
type logFile struct {
	f  *os.File
	id logID
	at int64 // where the next frame goes
}

// logPath is where the log of a database is: beside the file itself, not beside a
// link to it, so that it is found whichever way the file is opened.
func logPath(path string) (string, error) {
	path, err := filepath.Abs(path)
	if err != nil {
		return "", err
	}
	if path, err = filepath.EvalSymlinks(path); err != nil {
		return "", err
	}
	return path + logSuffix, nil
}

// createLog makes an empty log. There must be none.
func createLog(path string) (l *logFile, err error) {
	f, err := os.OpenFile(path, os.O_RDWR|os.O_CREATE|os.O_EXCL, 0o600)
	if err != nil {
		return nil, err
	}
	l = &logFile{f: f, at: logPage}
	defer func() {
		if err != nil {
			l.remove()
		}
	}()
	_, _ = rand.Read(l.id[:]) // never fails
	b := append(make([]byte, 0, logSize), logMagic...)
	b = append(binary.BigEndian.AppendUint32(b, logVersion), l.id[:]...)
	b = binary.BigEndian.AppendUint32(b, sum(0, b))
	if _, err := f.Write(b[:logSize]); err != nil {
		return nil, err
	}
	if err := f.Sync(); err != nil {
		return nil, err
	}
	return l, syncDir(filepath.Dir(path))
}

// fits says whether a frame of records of that size has room.
func (l *logFile) fits(size int) bool { return l.at+int64(pages(frameHeader+size)) <= logSize }

// append stores a frame, for good once it has returned.
func (l *logFile) append(frame []byte) error {
	if _, err := l.f.WriteAt(frame, l.at); err != nil {
		return err
	}
	if err := datasync(l.f); err != nil {
		return err
	}
	l.at += int64(len(frame))
	return nil
}

// restart is for when all frames are in the database.
func (l *logFile) restart() { l.at = logPage }

// there says whether the file is still where it was made.
func (l *logFile) there() bool {
	ours, err1 := l.f.Stat()
	now, err2 := os.Stat(l.f.Name())
	return err1 == nil && err2 == nil && os.SameFile(ours, now)
}

func (l *logFile) close() { _ = l.f.Close() }

func (l *logFile) remove() {
	l.close()
	_ = os.Remove(l.f.Name())
}

// frameSize is how many bytes of a frame the records take.
func frameSize(all []fresh) (n int) {
	for i := range all {
		n += len(all[i].key) + len(all[i].buf) + len(all[i].args) + 3*binary.MaxVarintLen32
	}
	return n
}

// newFrame starts a frame in the memory of an earlier one.
func newFrame(old []byte) []byte { return append(old[:0], make([]byte, frameHeader)...) }

func appendEntry(frame []byte, f *fresh) []byte {
	for _, part := range [...][]byte{f.key, f.buf, f.args} {
		frame = append(binary.AppendUvarint(frame, uint64(len(part))), part...)
	}
	return frame
}

// seal completes a frame and fills its last page.
func seal(frame []byte, id logID, seq uint64) []byte {
	binary.BigEndian.PutUint32(frame, uint32(len(frame)-frameHeader))
	binary.BigEndian.PutUint64(frame[8:], seq)
	binary.BigEndian.PutUint32(frame[4:], frameSum(frame, id))
	return append(frame, make([]byte, pages(len(frame))-len(frame))...)
}

// pages rounds up to whole pages.
func pages(n int) int { return (n + logPage - 1) / logPage * logPage }

func frameSum(frame []byte, id logID) uint32 {
	return sum(sum(sum(0, id[:]), frame[:4]), frame[8:])
}

// frame is one that was read.
type frame struct {
	seq     uint64
	payload []byte
}

// readFrame reads the frame at the start of b.
func readFrame(b []byte, id logID) (frame, bool) {
	if len(b) < frameHeader {
		return frame{}, false
	}
	n := binary.BigEndian.Uint32(b)
	if n == 0 || n > maxFrame || int(n) > len(b)-frameHeader {
		return frame{}, false
	}
	b = b[:frameHeader+n]
	if binary.BigEndian.Uint32(b[4:]) != frameSum(b, id) {
		return frame{}, false
	}
	return frame{seq: binary.BigEndian.Uint64(b[8:]), payload: b[frameHeader:]}, true
}

// entries returns the records of a frame, as they were when they were appended.
func (f frame) entries() ([]fresh, error) {
	var all []fresh
	for p := (parts{b: f.payload}); len(p.b) > 0; {
		e := fresh{key: []byte(p.string()), buf: []byte(p.string()), args: []byte(p.string())}
		if p.err != nil {
			return nil, p.err
		}
		env, err := decode(string(e.key), e.buf)
		if err != nil {
			return nil, err
		}
		if env.farArgs != (len(e.args) > 0) {
			return nil, errNoArgs
		}
		e.out = env.rec
		all = append(all, e)
	}
	return all, nil
}

// openedLog is a log as it was found.
type openedLog struct {
	path string
	id   logID
	ok   bool // it has a valid header
	data []byte
}

// findLog reads the log at path. Without one, there is no error: ok is false.
func findLog(path string) (openedLog, error) {
	l := openedLog{path: path}
	f, err := os.Open(path)
	if errors.Is(err, os.ErrNotExist) {
		return l, nil
	}
	if err != nil {
		return l, fmt.Errorf("%w: %w", tasks.ErrUnavailable, err)
	}
	defer f.Close()
	if l.data, err = io.ReadAll(io.LimitReader(f, logSize)); err != nil {
		return l, fmt.Errorf("%w: %w", tasks.ErrUnavailable, err)
	}
	return l, l.header()
}

func (l *openedLog) header() error {
	if len(l.data) < logHeader || string(l.data[:8]) != logMagic ||
		binary.BigEndian.Uint32(l.data[28:]) != sum(0, l.data[:28]) {
		return nil // its making was cut short: it was never used
	}
	if v := binary.BigEndian.Uint32(l.data[8:]); v != logVersion {
		return fmt.Errorf("%w: %s has format %d, and this program knows format %d: use a newer version of it",
			tasks.ErrUnavailable, l.path, v, logVersion)
	}
	l.id, l.ok = logID(l.data[12:28]), true
	return nil
}

// used says whether it was ever written to.
func (l *openedLog) used() bool {
	if len(l.data) < logPage {
		return false
	}
	_, ok := readFrame(l.data[logPage:], l.id)
	return ok
}

// after returns the frames behind number applied, which is that of the last one in
// the database. The last write may have been cut short: nobody was told that it is
// stored. But one that is followed by a valid one was stored, and so if it can't be
// read any more, that is damage.
func (l *openedLog) after(applied uint64) (all []frame, err error) {
	at, last := logPage, uint64(0)
	for at < len(l.data) {
		f, ok := readFrame(l.data[at:], l.id)
		if !ok || (last > 0 && f.seq != last+1) || (last == 0 && f.seq > applied+1) {
			break
		}
		if last = f.seq; last > applied {
			all = append(all, f)
		}
		at += pages(frameHeader + len(f.payload))
	}
	for last = max(last, applied); at < len(l.data); at += logPage {
		if f, ok := readFrame(l.data[at:], l.id); ok && f.seq > last {
			return nil, fmt.Errorf("%w: %s: what follows entry %d can't be read, though entry %d can: "+
				"move the file away to go on without it and the tasks that are only there",
				tasks.ErrDamaged, l.path, last, f.seq)
		}
	}
	return all, nil
}
