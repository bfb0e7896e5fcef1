package main

import (
	"bufio"
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"image"
	_ "image/gif"  // decoders register themselves with package image
	_ "image/jpeg" // (the standard library's way, not ours)
	_ "image/png"
	"io"
	"io/fs"
	"net/http"
	"os"
	"path/filepath"
	"time"
	"unicode/utf8"

	"go.etcd.io/bbolt"

	"github.com/sideman-go/sideman/backends/bolt"
	"github.com/sideman-go/sideman/tasks"
	"github.com/sideman-go/sideman/worker"
)

// service is what the handlers and the tasks share.
type service struct {
	app     *tasks.App
	db      *bbolt.DB // the tasks' file has the service's own rows too
	uploads string
	slow    time.Duration

	analyse *tasks.Task[string, Analysis]
	welcome *tasks.Task[string, string]
}

// Analysis is what the task finds out about an upload.
type Analysis struct {
	Kind   string `json:"kind"` // "image", "text" or "binary"
	Bytes  int    `json:"bytes"`
	SHA256 string `json:"sha256"`
	// Of images:
	Format string `json:"format,omitempty"`
	Width  int    `json:"width,omitempty"`
	Height int    `json:"height,omitempty"`
	// Mean is the mean brightness of an image, 0 to 255.
	Mean int `json:"mean,omitempty"`
	// Of texts:
	Lines int `json:"lines,omitempty"`
	Words int `json:"words,omitempty"`
}

var signups = []byte("signups")

func open(ctx context.Context, data string, slow time.Duration) (*service, error) {
	uploads := filepath.Join(data, "uploads")
	if err := os.MkdirAll(uploads, 0o750); err != nil {
		return nil, err
	}
	backend, err := bolt.Open(ctx, bolt.Options{Path: filepath.Join(data, "tasks.db")})
	if err != nil {
		return nil, err
	}
	s := &service{app: tasks.NewApp(), db: backend.DB(), uploads: uploads, slow: slow}
	if err := s.app.Use(tasks.DefaultAlias, backend); err != nil {
		return nil, errors.Join(err, backend.Close(ctx))
	}
	// An attempt that is cut off by a kill counts, so there must be more than one.
	s.analyse = tasks.Define(s.app, "analyse_upload", s.analyseUpload,
		tasks.MaxAttempts(10), tasks.Backoff(tasks.Exponential(100*time.Millisecond, 5*time.Second)), tasks.Timeout(time.Minute))
	s.welcome = tasks.Define(s.app, "welcome", s.sendWelcome, tasks.MaxAttempts(10))
	err = s.db.Update(func(tx *bbolt.Tx) error {
		_, err := tx.CreateBucketIfNotExists(signups)
		return err
	})
	if err := errors.Join(err, s.app.Validate()); err != nil {
		return nil, errors.Join(err, s.close(ctx))
	}
	return s, nil
}

// close ends the App, also when ctx has ended, as it has when the service stops.
func (s *service) close(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), 10*time.Second)
	defer cancel()
	return s.app.Close(ctx)
}

// work runs the tasks until ctx ends.
func (s *service) work(ctx context.Context) error {
	return worker.New(s.app, worker.Options{Concurrency: 4}).Run(ctx)
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

func analyse(content []byte) (Analysis, error) {
	sum := sha256.Sum256(content)
	a := Analysis{Kind: "binary", Bytes: len(content), SHA256: hex.EncodeToString(sum[:])}
	switch img, format, err := image.Decode(bytes.NewReader(content)); {
	case err == nil:
		a.Kind, a.Format = "image", format
		a.Width, a.Height = img.Bounds().Dx(), img.Bounds().Dy()
		a.Mean = brightness(img)
	case !errors.Is(err, image.ErrFormat):
		return a, tasks.NoRetry(fmt.Errorf("a damaged image: %w", err))
	case utf8.Valid(content):
		a.Kind = "text"
		a.Lines = bytes.Count(content, []byte("\n"))
		words := bufio.NewScanner(bytes.NewReader(content))
		words.Buffer(nil, max(len(content), bufio.MaxScanTokenSize))
		words.Split(bufio.ScanWords)
		for words.Scan() {
			a.Words++
		}
		return a, words.Err()
	}
	return a, nil
}

func brightness(img image.Image) int {
	b := img.Bounds()
	var sum, n uint64
	for y := b.Min.Y; y < b.Max.Y; y++ {
		for x := b.Min.X; x < b.Max.X; x++ {
			r, g, bl, _ := img.At(x, y).RGBA()
			sum += uint64(299*r+587*g+114*bl) / 1000 >> 8
			n++
		}
	}
	if n == 0 {
		return 0
	}
	return int(sum / n)
}

// sendWelcome is the task behind POST /signups. A real one would send a mail; this
// one marks the row, which it may do twice without harm.
func (s *service) sendWelcome(ctx context.Context, email string) (string, error) {
	return "welcomed " + email, s.db.Update(func(tx *bbolt.Tx) error {
		if tx.Bucket(signups).Get([]byte(email)) == nil {
			return tasks.NoRetry(fmt.Errorf("no sign-up of %s", email))
		}
		return tx.Bucket(signups).Put([]byte(email), []byte("welcomed"))
	})
}

// signUp writes the row and the task in one transaction: tip 2 of Django's guide.
func (s *service) signUp(ctx context.Context, email string) (res *tasks.Result[string], err error) {
	err = s.db.Update(func(tx *bbolt.Tx) error {
		if tx.Bucket(signups).Get([]byte(email)) != nil {
			return errExists
		}
		if err := tx.Bucket(signups).Put([]byte(email), []byte("new")); err != nil {
			return err
		}
		res, err = bolt.EnqueueTx(ctx, tx, s.welcome.With(email))
		return err
	})
	return res, err
}

var errExists = errors.New("that e-mail address has signed up already")

func (s *service) routes() http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("POST /files", s.postFile)
	mux.HandleFunc("POST /signups", s.postSignup)
	mux.HandleFunc("GET /tasks/{id}", s.getTask)
	return mux
}
