package bolt

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"

	"github.com/sideman-go/sideman/tasks"
)

// The findings of Check; doc.go explains them.
const (
	findClosed     = "bolt.E001"
	findUnreadable = "bolt.E002"
	findReadOnly   = "bolt.E003"
	findMoved      = "bolt.E004"
	findDamaged    = "bolt.E005"
	findHeld       = "bolt.E006"
	findNetwork    = "bolt.W001"
	findNoSync     = "bolt.W002"
	findNoLog      = "bolt.W003"
)

// manyDamaged is how many damaged records Check counts at most.
const manyDamaged = 1000

// Check implements tasks.Backend.
func (b *Backend) Check(ctx context.Context) []tasks.Finding {
	if err := b.ready(ctx); err != nil {
		return []tasks.Finding{{
			ID: findClosed, Level: tasks.LevelError,
			Message: fmt.Sprintf("%s can't be checked: %v", b.path, err),
			Hint:    "open it again",
		}}
	}
	var all []tasks.Finding
	add := func(id string, level tasks.Level, hint, format string, args ...any) {
		all = append(all, tasks.Finding{ID: id, Level: level, Message: fmt.Sprintf(format, args...), Hint: hint})
	}
	damaged := 0
	err := b.view(func(t *txn) error {
		if err := b.checkFormat(t.tx.Bucket([]byte(topBucket))); err != nil {
			return err
		}
		c := t.cursor(inDamaged)
		for k, _ := c.first(); k != nil && damaged < manyDamaged; k, _ = c.next() {
			damaged++
		}
		return nil
	})
	switch {
	case errors.Is(err, tasks.ErrClosed):
		add(findClosed, tasks.LevelError, "open it again", "%s is closed", b.path)
		return all
	case b.journal.held() != nil:
		add(findHeld, tasks.LevelError, "make room or repair the disk, and leave the log where it is",
			"%s: %v", b.path, b.journal.held())
	case err != nil:
		add(findUnreadable, tasks.LevelError, "restore the file from a backup", "%s can't be read: %v", b.path, err)
		return all
	case damaged > 0:
		add(findDamaged, tasks.LevelError, "delete them by id once they aren't needed any more",
			"%s has %d records that can't be decoded and so aren't run", b.path, damaged)
	}
	b.checkFile(add)
	b.checkLog(add)
	if b.db.NoSync {
		add(findNoSync, tasks.LevelWarning, "open the database without NoSync",
			"%s is written without fsync: a crash loses tasks", b.path)
	}
	return all
}

func (b *Backend) checkFile(add func(id string, level tasks.Level, hint, format string, args ...any)) {
	// Opened for writing as well as b.db has it, and nothing written: the file may
	// have been made read-only, or its file system mounted so, since then.
	f, err := probe(b.path)
	switch {
	case errors.Is(err, os.ErrNotExist):
		add(findMoved, tasks.LevelError, "stop the program, and put the file back or start with a new one",
			"%s is not there any more: what is stored now is lost when the program ends", b.path)
		return
	case err != nil:
		add(findReadOnly, tasks.LevelError, "make the file and its file system writable", "%s can't be written: %v", b.path, err)
		return
	}
	if f == nil {
		return
	}
	defer f.Close()
	if b.file != nil {
		ours, err1 := b.file.Stat()
		now, err2 := f.Stat()
		if err1 == nil && err2 == nil && !os.SameFile(ours, now) {
			add(findMoved, tasks.LevelError, "stop the program, and put the file back or start with the new one",
				"%s is another file now: what is stored goes to the old one", b.path)
		}
	}
	if fs := networkFS(filepath.Clean(b.path)); fs != "" {
		add(findNetwork, tasks.LevelWarning, "keep the file on a local disk, or use a server backend",
			"%s is on %s, where locks and mapped files can't be relied on", b.path, fs)
	}
}

func (b *Backend) checkLog(add func(id string, level tasks.Level, hint, format string, args ...any)) {
	if b.lent.Load() {
		return // there is none, and the program may hold the writer up
	}
	b.writing.Lock()
	defer b.writing.Unlock()
	j := &b.journal
	switch {
	case j.fault != nil:
		add(findNoLog, tasks.LevelWarning, "make its folder writable and remove what is in the way, or set no_log, and open it again",
			"%s has no log, so that enqueues are slower: %v", b.path, j.fault)
	case j.file != nil && !j.file.there():
		add(findMoved, tasks.LevelError, "stop the program",
			"%s is not there any more, or another file: what is enqueued now is lost in a crash", j.file.f.Name())
	}
}
