package redis_test

import (
	"context"
	"errors"
	"slices"
	"strings"
	"testing"

	goredis "github.com/redis/go-redis/v9"

	"github.com/sideman-go/sideman/backends/redis"
	"github.com/sideman-go/sideman/conformance/containers"
	"github.com/sideman-go/sideman/tasks"
)

// ours returns the server, if it is ours to change, and a client past the proxy.
func ours(t *testing.T) (*containers.Server, *goredis.Client) {
	t.Helper()
	s := server.Get(t)
	if !s.Owned() {
		t.Skip("NOT TESTED: the server isn't ours to change")
	}
	return s, client(t, s)
}

// client connects past the proxy.
func client(t *testing.T, s *containers.Server) *goredis.Client {
	t.Helper()
	o, err := goredis.ParseURL(s.Direct())
	if err != nil {
		t.Fatal(err)
	}
	c := goredis.NewClient(o)
	t.Cleanup(func() { _ = c.Close() })
	return c
}

// set changes a setting of the server until the test ends.
func set(t *testing.T, c *goredis.Client, name, value string) {
	t.Helper()
	was, err := c.ConfigGet(t.Context(), name).Result()
	if err != nil {
		t.Fatal(err)
	}
	if err := c.ConfigSet(t.Context(), name, value).Err(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := c.ConfigSet(context.Background(), name, was[name]).Err(); err != nil {
			t.Errorf("setting %s back: %v", name, err)
		}
	})
}

// open opens a backend in a namespace of its own. It is to be closed, if by nobody else.
func open(t *testing.T, s *containers.Server) *redis.Backend {
	t.Helper()
	return openIn(t, s, newNamespace(t, s))
}

func openIn(t *testing.T, s *containers.Server, namespace string) *redis.Backend {
	t.Helper()
	b, err := redis.Open(t.Context(), redis.Options{URL: s.URL(), Namespace: namespace})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = b.Close(context.Background()) })
	return b
}

// finds wants Check to find that, and nothing else.
func finds(t *testing.T, b *redis.Backend, want ...string) {
	t.Helper()
	var got []string
	for _, f := range b.Check(t.Context()) {
		got = append(got, f.ID)
	}
	if slices.Sort(got); !slices.Equal(got, want) {
		t.Errorf("Check finds %v, want %v", b.Check(t.Context()), want)
	}
}

// refused wants a call to fail with an error that says that the store can't be used, and why.
func refused(t *testing.T, what string, err error, why string) {
	t.Helper()
	if !errors.Is(err, tasks.ErrUnavailable) || errors.Is(err, tasks.ErrUnknownOutcome) || !strings.Contains(err.Error(), why) {
		t.Errorf("%s: got error %v; want ErrUnavailable, with %q in it", what, err, why)
	}
}

func record(id string) *tasks.Record {
	return &tasks.Record{
		ID: id, Task: "task", Queue: tasks.DefaultQueue, Alias: tasks.DefaultAlias, MaxAttempts: 2, Args: []byte(`{"n":1}`),
	}
}
