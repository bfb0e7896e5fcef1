package redis_test

import (
	"errors"
	"fmt"
	"strings"
	"testing"

	"github.com/sideman-go/sideman/backends/redis"
	"github.com/sideman-go/sideman/tasks"
)

func TestDriver(t *testing.T) {
	for _, c := range []struct {
		cfg  tasks.BackendConfig
		text string // of the error
	}{
		{tasks.BackendConfig{URL: "redis://h:1/x"}, "not the number of a database"},
		{tasks.BackendConfig{URL: "redis://h:1/0?namespce=x"}, "namespce"},
		{tasks.BackendConfig{URL: "redis://:sec%2Fret@h:1/0?namespace=a%7Bb"}, "brace"},
		{tasks.BackendConfig{URL: "redis://h", Options: []byte(`{"url":"redis://i"}`)}, "there is a url"},
		{tasks.BackendConfig{Backend: "redis", Options: []byte(`{"shards":-1}`)}, "shards"},
		{tasks.BackendConfig{Backend: "redis", Options: []byte(`{"url":"http://h"}`)}, "scheme"},
		{tasks.BackendConfig{Backend: "redis", Options: []byte(`{"url":"redis://u:se#cret@h"}`)}, "not a URL"},
		{tasks.BackendConfig{Backend: "redis", Options: []byte(`{"master":"m"}`)}, "addrs"},
		{tasks.BackendConfig{Backend: "redis", Options: []byte(`{"addrs":["a:1","b:1"],"db":2}`)}, "\ndefault.options.db: "},
		{tasks.BackendConfig{URL: "redis://:se%2Fcret@h/x"}, "\ndefault.url: "},
	} {
		err := tasks.NewApp().Open(t.Context(), tasks.Config{"default": c.cfg}, tasks.Drivers{redis.Driver()})
		if !errors.Is(err, tasks.ErrInvalidConfig) || !strings.Contains(fmt.Sprint(err), c.text) {
			t.Errorf("%+v: %v", c.cfg, err)
		}
		if strings.Contains(fmt.Sprint(err), "cret") {
			t.Errorf("%+v: the error has the password: %v", c.cfg, err)
		}
	}
	url := serverURL(t)
	app := tasks.NewApp()
	cfg := tasks.BackendConfig{URL: url + "?retain_failed=1h&namespace=" + freshNamespace(t, url)}
	if err := app.Open(t.Context(), tasks.Config{"default": cfg}, tasks.Drivers{redis.Driver()}); err != nil {
		t.Fatal(err)
	}
	if err := app.Close(t.Context()); err != nil {
		t.Error(err)
	}
}

func TestOpenAway(t *testing.T) {
	_, err := redis.Open(t.Context(), redis.Options{URL: "redis://user:secret@127.0.0.1:1/0"})
	if !errors.Is(err, tasks.ErrUnavailable) || strings.Contains(err.Error(), "secret") {
		t.Error(err)
	}
}

func TestOtherLayoutIsRefused(t *testing.T) {
	var o redis.Options
	b := open(t, func(p *redis.Options) { o = *p })
	o.Shards = 3
	if _, err := redis.Open(t.Context(), o); !errors.Is(err, tasks.ErrInvalidConfig) {
		t.Errorf("with other shards: %v", err)
	}
	c := rawClient(o.URL)
	defer c.Close()
	other, err := redis.New(c, &redis.Options{Namespace: o.Namespace, Shards: 3})
	if err != nil {
		t.Fatal(err)
	}
	if err := other.Enqueue(t.Context(), []*tasks.Record{rec()}); !errors.Is(err, tasks.ErrInvalidConfig) {
		t.Errorf("with other shards: %v", err)
	}
	if !found(other.Check(t.Context()), "redis.E008") {
		t.Errorf("Check says %v", other.Check(t.Context()))
	}
	o.Shards = 0
	for _, version := range []string{"1", "2", "3", "4", "6"} {
		c.HSet(t.Context(), "{"+o.Namespace+":0}:layout", "version", version)
		if _, err := redis.Open(t.Context(), o); !errors.Is(err, tasks.ErrUnavailable) || !strings.Contains(err.Error(), "has layout "+version) {
			t.Errorf("with layout %s: %v", version, err)
		}
	}
	c.HSet(t.Context(), "{"+o.Namespace+":0}:layout", "version", "5")
	enqueue(t, b, rec())
}
