package bolt

import (
	"errors"
	"fmt"
	"os"

	"github.com/sideman-go/sideman/tasks"
)

// lend commits what is pending and ends the log, since the program gets the database.
func (b *Backend) lend() {
	b.writing.Lock()
	defer b.writing.Unlock()
	if b.lent.Load() {
		return
	}
	b.endLog(nil)
	_ = b.commitPending() // or else the next write does
	b.lent.Store(true)
}

// finishLog is lend for Close.
func (b *Backend) finishLog() error {
	b.writing.Lock()
	defer b.writing.Unlock()
	b.endLog(nil)
	if b.commitPending() != nil {
		if b.journal.file != nil {
			b.journal.file.close()
		}
		if held := b.journal.held(); held != nil {
			return fmt.Errorf("%w; the next Open tries it again", held)
		}
	}
	return nil
}

// replay brings the records into the database that are only in the log that a process
// has left behind, and removes it. The database's lock must be held. With keep, a new
// log may be made then.
func (b *Backend) replay(keep bool) error {
	path, err := logPath(b.path)
	if errors.Is(err, os.ErrNotExist) {
		return nil // a borrowed file that was removed, or isn't one
	}
	if err != nil {
		return fmt.Errorf("%w: %w", tasks.ErrUnavailable, err)
	}
	found, err := findLog(path)
	if err != nil {
		return err
	}
	j := &b.journal
	err = b.read(func(t *txn) error {
		j.stored = t.logState()
		return nil
	})
	if err != nil {
		return err
	}
	j.state = j.stored
	switch {
	case found.ok && found.id == j.stored.id:
		frames, err := found.after(j.stored.seq)
		if err != nil {
			return err
		}
		for _, f := range frames {
			all, err := f.entries()
			if err != nil {
				return fmt.Errorf("%w: %s: entry %d: %w", tasks.ErrDamaged, path, f.seq, err)
			}
			j.add(all, f.seq)
			j.state.seq = f.seq
		}
	case found.ok && found.used():
		aside := path + logAside
		if err := os.Rename(path, aside); err != nil {
			return fmt.Errorf("%w: %s belongs to another database: %w", tasks.ErrUnavailable, path, err)
		}
		b.remarks = append(b.remarks, fmt.Sprintf("%s belonged to another database and is now %s", path, aside))
	}
	if j.stored.open && (!found.ok || found.id != j.stored.id) {
		b.remarks = append(b.remarks, path+" is missing: what was enqueued just before the last process ended may be lost")
	}
	j.state.open = false
	if err := b.commitPending(); err != nil {
		return err
	}
	_ = os.Remove(path) // if it stays, no new one can be made: Check tells
	if keep {
		j.path = path
	}
	return nil
}
