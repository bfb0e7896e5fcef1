package bolt

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"hash/fnv"
	"io"
	"os"

	"github.com/sideman-go/sideman/tasks"
)

// bbolt trusts its file: a page that isn't what it should be is a panic, or a
// fault of the mapped memory, on a goroutine of its own when it looks for free
// pages. So before it gets the file, everything it will read then is looked at
// here: the two meta pages, that the file is as long as they say, and, if the list
// of free pages isn't stored because the last process didn't close the file, every
// page of the tree.

// What bbolt's file format, version 2, has where. It is in the byte order of the
// machine that wrote it.
const (
	boltMagic   = 0xED0CDAED
	boltVersion = 2

	pageHeader = 16 // id 8, flags 2, count 2, overflow 4
	pageBranch = 0x01
	pageLeaf   = 0x02
	pageFree   = 0x10
	elemSize   = 16 // of branches and leaves
	leafBucket = 0x01
	bucketSize = 16 // root 8, sequence 8
	metaSize   = 64
	noFreelist = ^uint64(0)
	minPage    = 1 << 10
	maxPage    = 16 << 20
	maxDepth   = 100
)

type boltMeta struct {
	pageSize             int64
	root, freelist, high uint64
	txid                 uint64
}

// inspectFile returns an ErrDamaged that says what is wrong with the file.
func inspectFile(f *os.File) error {
	info, err := f.Stat()
	if err != nil {
		return err
	}
	size := info.Size()
	if size == 0 {
		return nil // new
	}
	meta, ok, err := readMeta(f, size)
	if err != nil {
		return err
	}
	if !ok {
		if size < 4*minPage {
			return damage("not a bolt file, or a truncated one: it has %d bytes", size)
		}
		return damage("not a bolt file: it has no valid meta page")
	}
	if need := int64(meta.high) * meta.pageSize; need > size || int64(meta.high) < 0 || need/meta.pageSize != int64(meta.high) {
		return damage("truncated: it has %d bytes and should have %d", size, need)
	}
	w := &walk{f: f, meta: meta, seen: make([]uint64, meta.high/64+1)}
	if meta.freelist != noFreelist {
		return w.freelist()
	}
	return w.tree(meta.root, 0, nil, nil)
}

func damage(format string, args ...any) error {
	return fmt.Errorf("%w: %s", tasks.ErrDamaged, fmt.Sprintf(format, args...))
}

// readMeta returns the valid meta page with the higher transaction id.
func readMeta(f *os.File, size int64) (best boltMeta, ok bool, err error) {
	try := func(at int64) (boltMeta, bool, error) {
		var page [pageHeader + metaSize]byte
		if _, err := f.ReadAt(page[:], at); errors.Is(err, io.EOF) {
			return boltMeta{}, false, nil
		} else if err != nil {
			return boltMeta{}, false, err
		}
		m, ok := parseMeta(page[pageHeader:])
		return m, ok, nil
	}
	keep := func(m boltMeta) {
		if !ok || m.txid > best.txid {
			best, ok = m, true
		}
	}
	first, valid, err := try(0)
	if err != nil {
		return best, false, err
	}
	if valid {
		keep(first)
		second, valid, err := try(first.pageSize)
		if err != nil {
			return best, false, err
		}
		if valid && second.pageSize == first.pageSize {
			keep(second)
		}
		return best, ok, nil
	}
	// Without the first, the size of a page isn't known: look where the second may be.
	for at := int64(minPage); at <= maxPage && at < size; at <<= 1 {
		second, valid, err := try(at)
		if err != nil {
			return best, false, err
		}
		if valid && second.pageSize == at {
			keep(second)
			break
		}
	}
	return best, ok, nil
}

func parseMeta(b []byte) (boltMeta, bool) {
	n := binary.NativeEndian
	sum := fnv.New64a()
	_, _ = sum.Write(b[:metaSize-8])
	m := boltMeta{
		pageSize: int64(n.Uint32(b[8:])),
		root:     n.Uint64(b[16:]),
		freelist: n.Uint64(b[32:]),
		high:     n.Uint64(b[40:]),
		txid:     n.Uint64(b[48:]),
	}
	ok := n.Uint32(b) == boltMagic && n.Uint32(b[4:]) == boltVersion && n.Uint64(b[56:]) == sum.Sum64() &&
		m.pageSize >= minPage && m.pageSize <= maxPage && m.pageSize&(m.pageSize-1) == 0
	return m, ok
}

// walk visits pages.
type walk struct {
	f    *os.File
	meta boltMeta
	seen []uint64 // a bit per page
	free [][]byte
}

// page reads a page with its overflow, which must be of one of the types.
func (w *walk) page(id uint64, flags uint16) (b []byte, err error) {
	if id < 2 || id >= w.meta.high {
		return nil, damage("page %d is outside of the file's %d pages", id, w.meta.high)
	}
	b = w.buffer(int(w.meta.pageSize))
	if err := w.read(b, id); err != nil {
		return nil, err
	}
	n := binary.NativeEndian
	overflow := uint64(n.Uint32(b[12:]))
	switch kind := n.Uint16(b[8:]); {
	case n.Uint64(b) != id:
		return nil, damage("page %d says that it is page %d", id, n.Uint64(b))
	case kind&flags == 0 || kind&(kind-1) != 0:
		return nil, damage("page %d has the unexpected type %#x", id, kind)
	case id+overflow >= w.meta.high:
		return nil, damage("page %d reaches over the end", id)
	}
	for i := id; i <= id+overflow; i++ {
		if w.seen[i/64]&(1<<(i%64)) != 0 {
			return nil, damage("page %d is used twice", i)
		}
		w.seen[i/64] |= 1 << (i % 64)
	}
	if overflow > 0 {
		b = make([]byte, w.meta.pageSize*int64(overflow+1))
		if err := w.read(b, id); err != nil {
			return nil, err
		}
	}
	return b, nil
}

func (w *walk) read(b []byte, id uint64) error {
	_, err := w.f.ReadAt(b, int64(id)*w.meta.pageSize)
	if err != nil {
		return damage("page %d can't be read: %v", id, err)
	}
	return nil
}

// buffer and done keep a stack of page buffers, as deep as the tree.
func (w *walk) buffer(n int) []byte {
	if last := len(w.free) - 1; last >= 0 {
		b := w.free[last]
		w.free = w.free[:last]
		return b
	}
	return make([]byte, n)
}

func (w *walk) done(b []byte) {
	if int64(len(b)) == w.meta.pageSize {
		w.free = append(w.free, b)
	}
}

func (w *walk) freelist() error {
	b, err := w.page(w.meta.freelist, pageFree)
	if err != nil {
		return err
	}
	n := binary.NativeEndian
	count, first := uint64(n.Uint16(b[10:])), uint64(pageHeader)
	if count == 0xffff {
		count, first = n.Uint64(b[pageHeader:]), pageHeader+8
	}
	if count > (uint64(len(b))-first)/8 {
		return damage("the list of free pages is longer than its page")
	}
	for i := range count {
		if id := n.Uint64(b[first+8*i:]); id < 2 || id >= w.meta.high {
			return damage("the list of free pages has page %d of %d", id, w.meta.high)
		}
	}
	return nil
}

// tree visits a page and all below. Its keys are at least from and below to.
func (w *walk) tree(id uint64, depth int, from, to []byte) error {
	if depth > maxDepth {
		return damage("the tree is too deep at page %d", id)
	}
	b, err := w.page(id, pageBranch|pageLeaf)
	if err != nil {
		return err
	}
	defer w.done(b)
	n := binary.NativeEndian
	leaf := n.Uint16(b[8:]) == pageLeaf
	count := int(n.Uint16(b[10:]))
	if pageHeader+elemSize*count > len(b) {
		return damage("page %d has more entries than room", id)
	}
	if !leaf && count == 0 {
		return damage("branch page %d is empty", id)
	}
	last := from
	for i := range count {
		e, ok := element(b, i, leaf)
		if !ok {
			return damage("entry %d of page %d reaches over its end", i, id)
		}
		if (last != nil && bytes.Compare(last, e.key) > 0) || (i > 0 && bytes.Equal(last, e.key)) ||
			(to != nil && bytes.Compare(e.key, to) >= 0) {
			return damage("the keys of page %d are out of order", id)
		}
		last = e.key
		switch {
		case !leaf:
			end := to
			if i+1 < count {
				next, ok := element(b, i+1, leaf)
				if !ok {
					return damage("entry %d of page %d reaches over its end", i+1, id)
				}
				end = next.key
			}
			if err := w.tree(e.child, depth+1, e.key, end); err != nil {
				return err
			}
		case e.bucket:
			if len(e.value) < bucketSize {
				return damage("entry %d of page %d is no bucket", i, id)
			}
			root := n.Uint64(e.value)
			if root == 0 {
				if !inlineOK(e.value[bucketSize:]) {
					return damage("entry %d of page %d is no bucket", i, id)
				}
			} else if err := w.tree(root, depth+1, nil, nil); err != nil {
				return err
			}
		}
	}
	return nil
}

// inlineOK looks at the page of a bucket that is kept in its parent's value.
func inlineOK(b []byte) bool {
	if len(b) < pageHeader {
		return false
	}
	n := binary.NativeEndian
	count := int(n.Uint16(b[10:]))
	if n.Uint16(b[8:]) != pageLeaf || pageHeader+elemSize*count > len(b) {
		return false
	}
	for i := range count {
		if e, ok := element(b, i, true); !ok || e.bucket {
			return false
		}
	}
	return true
}

type boltElement struct {
	key, value []byte
	child      uint64
	bucket     bool
}

// element returns entry i, whose header is in b. Positions count from the header.
func element(b []byte, i int, leaf bool) (boltElement, bool) {
	n := binary.NativeEndian
	at := uint64(pageHeader + elemSize*i)
	h := b[at:]
	if !leaf { // pos 4, key size 4, child 8
		from := at + uint64(n.Uint32(h))
		to := from + uint64(n.Uint32(h[4:]))
		if to > uint64(len(b)) {
			return boltElement{}, false
		}
		return boltElement{key: b[from:to], child: n.Uint64(h[8:])}, true
	}
	// flags 4, pos 4, key size 4, value size 4
	from := at + uint64(n.Uint32(h[4:]))
	mid := from + uint64(n.Uint32(h[8:]))
	to := mid + uint64(n.Uint32(h[12:]))
	if to > uint64(len(b)) {
		return boltElement{}, false
	}
	return boltElement{key: b[from:mid], value: b[mid:to], bucket: n.Uint32(h)&leafBucket != 0}, true
}
