package filestore

import (
	"encoding/base32"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"github.com/sideman-go/sideman/tasks"
)

// The files beside those of records and pauses.
const (
	lockName    = "lock"
	journalName = "journal"
	tempSuffix  = ".tmp"
)

// Names may hold anything, and file systems don't keep "A" and "a" apart: base32 has one case.
func names() *base32.Encoding { return base32.HexEncoding.WithPadding(base32.NoPadding) }

func recordName(id string) string   { return names().EncodeToString([]byte(id)) + ".json" }
func pauseName(queue string) string { return names().EncodeToString([]byte(queue)) + ".paused" }

// parseName returns whose file it is.
func parseName(name string) (key string, isRecord bool, err error) {
	name, isRecord = strings.CutSuffix(name, ".json")
	name, isPause := strings.CutSuffix(name, ".paused")
	if isRecord == isPause {
		return "", false, errors.New("not a record, nor a pause")
	}
	data, err := names().DecodeString(name)
	return string(data), isRecord, err
}

// A disk is a directory whose files change all together or not at all.
type disk struct {
	dir  string
	lock *os.File
	sync bool
}

func openDisk(dir string, sync bool) (*disk, error) {
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return nil, fmt.Errorf("%w: %w", tasks.ErrUnavailable, err)
	}
	lock, err := os.OpenFile(filepath.Join(dir, lockName), os.O_CREATE|os.O_RDWR, 0o600)
	if err != nil {
		return nil, fmt.Errorf("%w: %w", tasks.ErrUnavailable, err)
	}
	if err := lockFile(lock); err != nil {
		err = fmt.Errorf("%w: %s is locked: %w", tasks.ErrUnavailable, lock.Name(), err)
		return nil, errors.Join(err, lock.Close())
	}
	return &disk{dir: dir, lock: lock, sync: sync}, nil
}

// close ends the lock too, as the end of the process would.
func (d *disk) close() { _ = d.lock.Close() }

// check reports whether the directory is still there.
func (d *disk) check() error {
	_, err := os.Stat(d.dir)
	return err
}

// guide:begin disk

// commit stores and removes (nil) files, all or none. More than one go into a journal
// first: from when that is there they are stored, as load does what it says. After
// tasks.ErrUnknownOutcome the directory must be loaded anew.
func (d *disk) commit(files map[string][]byte) error {
	if len(files) == 1 {
		return d.apply(files)
	}
	journal, err := json.Marshal(files)
	if err != nil {
		return err
	}
	if err := d.apply(map[string][]byte{journalName: journal}); err != nil {
		return err
	}
	if err := d.redo(files); err != nil {
		return fmt.Errorf("%w: %w", tasks.ErrUnknownOutcome, err)
	}
	return nil
}

// redo does what the journal says, and only then removes it: doing it again is harmless.
func (d *disk) redo(files map[string][]byte) error {
	if err := d.apply(files); err != nil {
		return err
	}
	return d.apply(map[string][]byte{journalName: nil})
}

// apply stores and removes files, each whole or not at all.
func (d *disk) apply(files map[string][]byte) error {
	for name, data := range files {
		path := filepath.Join(d.dir, name)
		var err error
		if data == nil {
			if err = os.Remove(path); errors.Is(err, fs.ErrNotExist) {
				err = nil // it was removed before, by a redo
			}
		} else if err = d.write(path+tempSuffix, data); err == nil {
			err = os.Rename(path+tempSuffix, path)
		}
		if err != nil {
			return fmt.Errorf("%w: %w", tasks.ErrUnavailable, err)
		}
	}
	// A rename or removal is on disk when its directory is.
	if err := d.syncDir(); err != nil {
		return fmt.Errorf("%w: %w", tasks.ErrUnknownOutcome, err)
	}
	return nil
}

// guide:end disk

func (d *disk) write(path string, data []byte) error {
	f, err := os.OpenFile(path, os.O_CREATE|os.O_TRUNC|os.O_WRONLY, 0o600)
	if err != nil {
		return err
	}
	_, err = f.Write(data)
	if d.sync && err == nil {
		err = f.Sync()
	}
	return errors.Join(err, f.Close())
}

func (d *disk) syncDir() error {
	if !d.sync {
		return nil
	}
	f, err := os.Open(d.dir)
	if err != nil {
		return err
	}
	return errors.Join(f.Sync(), f.Close())
}

// guide:begin load

// load does what a journal still asks for, and returns every file.
func (d *disk) load() (map[string][]byte, error) {
	journal, err := os.ReadFile(filepath.Join(d.dir, journalName))
	if err == nil {
		var files map[string][]byte
		if err = json.Unmarshal(journal, &files); err != nil {
			return nil, fmt.Errorf("%w: %s: %w", tasks.ErrDamaged, journalName, err)
		}
		err = d.redo(files)
	} else if errors.Is(err, fs.ErrNotExist) {
		err = nil
	}
	if err != nil {
		return nil, fmt.Errorf("%w: %w", tasks.ErrUnavailable, err)
	}
	listed, err := os.ReadDir(d.dir)
	if err != nil {
		return nil, fmt.Errorf("%w: %w", tasks.ErrUnavailable, err)
	}
	files := map[string][]byte{}
	for _, file := range listed {
		path := filepath.Join(d.dir, file.Name())
		if strings.HasSuffix(path, tempSuffix) {
			err = os.Remove(path) // of a write that was cut short
		} else if file.Type().IsRegular() {
			files[file.Name()], err = os.ReadFile(path)
		}
		if err != nil {
			return nil, fmt.Errorf("%w: %w", tasks.ErrUnavailable, err)
		}
	}
	return files, nil
}

// guide:end load
