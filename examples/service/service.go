package main

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net/http"
	"os"
	"path/filepath"
	"time"

	"github.com/sideman-go/sideman/backends/bolt"
	"github.com/sideman-go/sideman/examples/configfile"
	"github.com/sideman-go/sideman/tasks"
	"github.com/sideman-go/sideman/worker"
)

// service is what the handlers and the tasks share.
type service struct {
	options

	app     *tasks.App
	signups signups // the service's own rows
	uploads string  // a folder that all processes of the service see

	analyse *tasks.Task[string, Analysis]
	welcome *tasks.Task[string, string]
}

// open makes a service on the backend that the flags choose; without them it's a bolt file
// in the data folder.
func open(ctx context.Context, flags *configfile.Flags, o options) (*service, error) {
	s := &service{app: tasks.NewApp(), uploads: filepath.Join(o.data, "uploads"), options: o}
	// An attempt that is cut off by a kill counts, so there must be more than one.
	s.analyse = tasks.Define(s.app, "analyse_upload", s.analyseUpload,
		tasks.MaxAttempts(10), tasks.Backoff(tasks.Exponential(100*time.Millisecond, 5*time.Second)), tasks.Timeout(time.Minute))
	s.welcome = tasks.Define(s.app, "welcome", s.sendWelcome, tasks.MaxAttempts(10))

	if err := os.MkdirAll(s.uploads, 0o750); err != nil {
		return nil, err
	}
	path, err := json.Marshal(bolt.Options{Path: filepath.Join(o.data, "tasks.db")})
	if err != nil {
		return nil, err
	}
	inFolder := tasks.Config{tasks.DefaultAlias: {Backend: "bolt", Options: path}}
	if err := flags.Open(ctx, s.app, inFolder); err != nil {
		return nil, err
	}
	if err := s.begin(ctx); err != nil {
		return nil, errors.Join(err, s.close(ctx))
	}
	return s, nil
}

// begin looks at what the backend can do, and opens the rows that are beside its tasks.
func (s *service) begin(ctx context.Context) error {
	backend, err := s.app.Backend(tasks.DefaultAlias)
	if err != nil {
		return err
	}
	if s.signups, err = openSignups(ctx, backend); err != nil {
		return err
	}
	if s.role != roleBoth && !backend.Capabilities().Has(tasks.CapShared) {
		return fmt.Errorf("%w: -role %s is for several processes, and the backend's file is locked by one; "+
			"leave -role out, or take PostgreSQL: -config %s", tasks.ErrUnsupported, s.role, exampleConfig)
	}
	return nil
}

// close ends the App, also when ctx has ended, as it has when the service stops.
func (s *service) close(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), 10*time.Second)
	defer cancel()
	return s.app.Close(ctx)
}

// work runs the tasks until ctx ends.
func (s *service) work(ctx context.Context) error {
	return worker.New(s.app, worker.Options{Concurrency: 4, Lease: s.lease}).Run(ctx)
}

// save stores an upload and returns its key. It is complete when the key is given
// out: a crash leaves at most a temporary file.
func (s *service) save(body io.Reader) (key string, err error) {
	tmp, err := os.CreateTemp(s.uploads, ".upload-*")
	if err != nil {
		return "", err
	}
	defer os.Remove(tmp.Name())
	hash := sha256.New()
	if _, err := io.Copy(io.MultiWriter(tmp, hash), body); err != nil {
		return "", errors.Join(err, tmp.Close())
	}
	if err := errors.Join(tmp.Sync(), tmp.Close()); err != nil {
		return "", err
	}
	key = hex.EncodeToString(hash.Sum(nil))
	return key, os.Rename(tmp.Name(), filepath.Join(s.uploads, key))
}

// analyseUpload is the task behind POST /files. It is given the upload's key, and
// can be run again: it only reads.
func (s *service) analyseUpload(ctx context.Context, key string) (Analysis, error) {
	content, err := os.ReadFile(filepath.Join(s.uploads, filepath.Base(key)))
	if errors.Is(err, fs.ErrNotExist) {
		return Analysis{}, tasks.NoRetry(err) // it won't come back
	}
	if err != nil {
		return Analysis{}, err
	}
	if s.slow > 0 {
		select {
		case <-time.After(s.slow):
		case <-ctx.Done():
			return Analysis{}, context.Cause(ctx)
		}
	}
	return analyse(content)
}

// sendWelcome is the task behind POST /signups. A real one would send a mail; this
// one marks the row, which it may do twice without harm.
func (s *service) sendWelcome(ctx context.Context, email string) (string, error) {
	err := s.signups.welcomed(ctx, email)
	if errors.Is(err, errNoSignup) {
		return "", tasks.NoRetry(err)
	}
	return "welcomed " + email, err
}

// signUp stores the row and the task in one transaction: tip 2 of Django's guide.
func (s *service) signUp(ctx context.Context, email string) (*tasks.Result[string], error) {
	return s.signups.add(ctx, email, s.welcome.With(email))
}

func (s *service) routes() http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("POST /files", s.postFile)
	mux.HandleFunc("POST /signups", s.postSignup)
	mux.HandleFunc("GET /tasks/{id}", s.getTask)
	return mux
}
