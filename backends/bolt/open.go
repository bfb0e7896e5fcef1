package bolt

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"runtime/debug"
	"time"

	"go.etcd.io/bbolt"
	bolterrors "go.etcd.io/bbolt/errors"

	"github.com/sideman-go/sideman/tasks"
)

// Open opens the file at o.Path, or creates it, and owns it: Close closes it. One
// process at a time can have it open. Another that tries gets an error that wraps
// tasks.ErrUnavailable within o.LockTimeout.
//
// Records that were RUNNING when the last process ended without settling them are
// taken back at once, as if their leases had run out; Recovered counts them.
func Open(ctx context.Context, o Options) (*Backend, error) {
	if err := o.check(true); err != nil {
		return nil, err
	}
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	db, file, err := openFile(ctx, &o)
	if err != nil {
		return nil, err
	}
	b := newBackend(db, o.Path, &o)
	b.file = file
	if err := b.start(ctx, !o.NoLog); err != nil {
		_ = b.Close(context.WithoutCancel(ctx))
		return nil, err
	}
	return b, nil
}

// New uses a database that is open, and leaves it open: close the backend first
// and then the database. A nil o means the defaults.
//
// Several backends may use one database; each sees what the others do within half
// a second. Whether a RUNNING record was left behind by a process that is gone
// can't be known here, so the leases of such records have to run out.
//
// The durability is the database's: with NoSync set on it, a crash loses writes.
// Its NoFreelistSync and FreelistMapType options make writes faster.
func New(db *bbolt.DB, o *Options) (*Backend, error) {
	if o == nil {
		o = &Options{}
	}
	if err := o.check(false); err != nil {
		return nil, err
	}
	if db == nil {
		return nil, fmt.Errorf("%w: bolt.New needs a database", tasks.ErrInvalidConfig)
	}
	if db.IsReadOnly() {
		return nil, fmt.Errorf("%w: the database %s was opened read-only", tasks.ErrInvalidConfig, db.Path())
	}
	b := newBackend(db, db.Path(), o)
	if err := b.layout(); err != nil {
		return nil, err
	}
	if err := b.replay(false); err != nil {
		return nil, err
	}
	return b, nil
}

// start prepares a file that is ours alone.
func (b *Backend) start(ctx context.Context, log bool) error {
	if err := b.layout(); err != nil {
		return err
	}
	if err := b.replay(log); err != nil {
		return err
	}
	return b.recover(ctx)
}

// layout makes the bucket of a new file, and refuses a file that this program
// doesn't understand.
func (b *Backend) layout() error {
	defer debug.SetPanicOnFault(debug.SetPanicOnFault(true))
	there := false
	err := b.view(func(t *txn) error {
		top := t.tx.Bucket([]byte(topBucket))
		there = top != nil
		if !there {
			return nil
		}
		return b.checkFormat(top)
	})
	if err != nil || there {
		return err
	}
	t, err := b.begin(true)
	if err != nil {
		return err
	}
	err = b.guard(func() error {
		if err := create(t); err != nil {
			return err
		}
		return t.tx.Commit()
	})
	_ = b.rollback(t)
	return b.explain(err)
}

func (b *Backend) checkFormat(top *bbolt.Bucket) error {
	if top == nil {
		return fmt.Errorf("%w: %s: the bucket %q is missing", tasks.ErrDamaged, b.path, topBucket)
	}
	v := top.Get(append([]byte{byte(inMeta)}, keyFormat...))
	if len(v) != 4 {
		return fmt.Errorf("%w: %s: the bucket %q has no format version", tasks.ErrDamaged, b.path, topBucket)
	}
	version := binary.BigEndian.Uint32(v)
	if version > formatVersion {
		return fmt.Errorf("%w: %s has format %d, and this program knows up to format %d: use a newer version of it",
			tasks.ErrUnavailable, b.path, version, formatVersion)
	}
	return nil
}

func create(t *txn) error {
	if _, err := t.tx.CreateBucketIfNotExists([]byte(topBucket)); err != nil {
		return err
	}
	if err := t.put(inMeta, []byte(keyFormat), binary.BigEndian.AppendUint32(nil, formatVersion)); err != nil {
		return err
	}
	return t.put(inMeta, []byte(keyCreated), []byte(t.now.UTC().Format(time.RFC3339Nano)))
}

// openFile opens the database. bbolt would wait for the lock without regard to
// ctx, and looks at damaged pages on a goroutine whose panics nobody can stop; so
// both are done before it comes to that.
func openFile(ctx context.Context, o *Options) (db *bbolt.DB, file *os.File, err error) {
	defer debug.SetPanicOnFault(debug.SetPanicOnFault(true))
	defer func() {
		if p := recover(); p != nil {
			db, err = nil, fmt.Errorf("%w: %s: %v", tasks.ErrDamaged, o.Path, p)
		}
		if err != nil && file != nil {
			_ = file.Close() // lets go of the lock too
		}
	}()
	if err := pathFault(o.Path); err != nil {
		return nil, nil, err
	}
	options := &bbolt.Options{
		Timeout:        max(o.lockTimeout(), time.Millisecond),
		NoFreelistSync: true,
		FreelistType:   bbolt.FreelistMapType,
		MaxSize:        int(o.MaxSize),
		NoStatistics:   true,
		OpenFile: func(name string, flag int, mode os.FileMode) (*os.File, error) {
			f, err := os.OpenFile(name, flag, mode)
			if err != nil {
				return nil, err
			}
			if err = lockFile(ctx, f, o.lockTimeout()); err == nil {
				err = inspectFile(f)
			}
			if err != nil {
				_ = f.Close()
				return nil, err
			}
			file = f
			return f, nil
		},
	}
	db, err = bbolt.Open(o.Path, 0o600, options)
	switch {
	case err == nil:
		return db, file, nil
	case errors.Is(err, errLocked), errors.Is(err, bolterrors.ErrTimeout):
		return nil, file, lockedBy(o.Path, holder(o.Path))
	case errors.Is(err, tasks.ErrDamaged), errors.Is(err, bolterrors.ErrInvalid),
		errors.Is(err, bolterrors.ErrVersionMismatch), errors.Is(err, bolterrors.ErrChecksum):
		return nil, file, fmt.Errorf("%w: %s: %w", tasks.ErrDamaged, o.Path, err)
	case ctx.Err() != nil:
		return nil, file, ctx.Err()
	}
	return nil, file, fmt.Errorf("%w: %w", tasks.ErrUnavailable, err)
}

// pathFault explains what the system's own errors would leave in the dark.
func pathFault(path string) error {
	info, err := os.Stat(path)
	switch {
	case err == nil && info.IsDir():
		return fmt.Errorf("%w: %s is a directory, not a file", tasks.ErrUnavailable, path)
	case err == nil && !info.Mode().IsRegular():
		return fmt.Errorf("%w: %s is not a regular file", tasks.ErrUnavailable, path)
	case errors.Is(err, os.ErrNotExist):
		dir := filepath.Dir(path)
		if _, err := os.Stat(dir); errors.Is(err, os.ErrNotExist) {
			return fmt.Errorf("%w: %s can't be created: there is no directory %s", tasks.ErrUnavailable, path, dir)
		}
	}
	return nil
}

var errLocked = errors.New("locked")

// process is one that has a file locked, as far as that can be known.
type process struct {
	pid     int    // 0 if it isn't known
	command string // empty if it isn't known
	self    bool   // it is this one
}

// lockedBy says who has the file, and what to do.
func lockedBy(path string, p process) error {
	if p.self {
		return fmt.Errorf("%w: %s is locked: this process has it open already, and one backend is enough for all of it", tasks.ErrUnavailable, path)
	}
	who := "another process"
	switch {
	case p.pid > 0 && p.command != "":
		who += fmt.Sprintf(" (pid %d, %s)", p.pid, p.command)
	case p.pid > 0:
		who += fmt.Sprintf(" (pid %d)", p.pid)
	}
	return fmt.Errorf("%w: %s is locked: %s has it open, and a file is for one process at a time: "+
		"stop that one first, or keep the tasks in PostgreSQL or Redis, which any number can use", tasks.ErrUnavailable, path, who)
}
