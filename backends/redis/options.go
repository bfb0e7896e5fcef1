package redis

import (
	"errors"
	"fmt"
	"net/url"
	"strings"
	"time"

	"github.com/sideman-go/sideman/tasks"
	"github.com/sideman-go/sideman/tasks/lifecycle"
)

// The defaults of Options.
const (
	DefaultNamespace = "sideman"
	DefaultAddr      = "127.0.0.1:6379"
)

// MaxShards is the most that Options.Shards may be.
const MaxShards = 256

// Options are the settings of a backend. The zero value has the documented defaults.
type Options struct {
	// Namespace comes before every key, so that several programs can use one server. The
	// default is DefaultNamespace. It has no braces.
	Namespace string `json:"namespace,omitempty"`
	// Shards is over how many hash slots the records are spread. The default, 0, means 1, in
	// which every promise holds across all records. More spread the load over the nodes of a
	// Cluster; the package documentation says what they cost. It can't be changed while
	// there are records, and all programs that share the namespace have the same.
	Shards int `json:"shards,omitempty"`

	// URL is where the server is, for Open: redis://user:password@host:6379/0, or rediss://
	// for TLS. The default is DefaultAddr.
	URL string `json:"url,omitempty"`
	// Addrs are host:port of several servers, for Open, instead of the URL's: the nodes of
	// a Cluster, or the Sentinels if Master is set.
	Addrs []string `json:"addrs,omitempty"`
	// Master is the name by which the Sentinels know the server.
	Master string `json:"master,omitempty"`
	// Cluster says that the one address given is of a Cluster; with several it's clear.
	Cluster bool `json:"cluster,omitempty"`
	// Username, Password and DB, if the URL doesn't have them.
	Username string `json:"username,omitempty"`
	Password string `json:"password,omitempty"`
	DB       int    `json:"db,omitempty"`
	// SentinelUsername and SentinelPassword are for the Sentinels themselves.
	SentinelUsername string `json:"sentinel_username,omitempty"`
	SentinelPassword string `json:"sentinel_password,omitempty"`
	// TLS encrypts the connections, as rediss:// does.
	TLS bool `json:"tls,omitempty"`
	// PoolSize is how many connections are kept at most to each server. The default is
	// go-redis's: ten for each CPU. Beside them there is one that listens, and, with one
	// server, one for calls of Enqueue that come alone.
	PoolSize int `json:"pool_size,omitempty"`
	// Timeout is for how long Open's connections wait for the server's answer. The default
	// is 3 seconds. Contexts that end sooner are obeyed.
	Timeout time.Duration `json:"timeout,omitempty"`

	// RetainSuccessful, RetainFailed and RetainCancelled are how long final records are
	// kept that don't say so themselves. The defaults are those of lifecycle.Retention: 24
	// hours, 7 days and 24 hours. Negative means for ever. A change applies to records
	// that finish from then on.
	RetainSuccessful time.Duration `json:"retain_successful,omitempty"`
	RetainFailed     time.Duration `json:"retain_failed,omitempty"`
	RetainCancelled  time.Duration `json:"retain_cancelled,omitempty"`
}

// check returns every fault of the options, joined.
func (o *Options) check(own bool) error {
	faults := o.faults(own, func(option string) string { return option })
	for i, fault := range faults {
		faults[i] = fmt.Errorf("%w: %w", tasks.ErrInvalidConfig, fault)
	}
	return errors.Join(faults...)
}

// faults returns what is wrong with the options; at says where an option is.
func (o *Options) faults(own bool, at func(option string) string) (faults []error) {
	fault := func(option, format string, args ...any) {
		faults = append(faults, fmt.Errorf("%s: %s", at(option), fmt.Sprintf(format, args...)))
	}
	switch {
	case strings.ContainsAny(o.Namespace, "{}"):
		fault("namespace", "%q has a brace, which Redis Cluster would take for a hash tag", o.Namespace)
	case len(o.Namespace) > tasks.MaxName:
		fault("namespace", "has %d bytes, over the %d allowed", len(o.Namespace), tasks.MaxName)
	}
	if o.Shards < 0 || o.Shards > MaxShards {
		fault("shards", "is %d, and must be from 1 to %d", o.Shards, MaxShards)
	}
	if !own {
		if o.URL != "" || len(o.Addrs) > 0 || o.Master != "" || o.Cluster || o.Username != "" || o.Password != "" || o.DB != 0 ||
			o.SentinelUsername != "" || o.SentinelPassword != "" || o.TLS || o.PoolSize != 0 || o.Timeout != 0 {
			fault("url", "what concerns the connection is for Open; New takes a client that has it")
		}
		return faults
	}
	if o.URL != "" {
		if u, err := url.Parse(o.URL); err != nil {
			fault("url", "not a URL; in user and password %%, /, ?, # and @ are written as %%25, %%2F, %%3F, %%23 and %%40")
		} else if _, err := o.server(u); err != nil {
			fault("url", "%v", err)
		}
	}
	switch {
	case o.Master != "" && o.Cluster:
		fault("master", "is for Sentinel, and cluster for a Cluster: choose one")
	case o.Master != "" && len(o.Addrs) == 0:
		fault("addrs", "is missing: the addresses of the Sentinels that know the master %q", o.Master)
	case o.Master == "" && (o.SentinelUsername != "" || o.SentinelPassword != ""):
		fault("master", "is missing: the name by which the Sentinels know the server")
	case o.Master == "" && o.DB != 0 && (o.Cluster || len(o.Addrs) > 1):
		fault("db", "is %d, but a Cluster has only 0", o.DB)
	}
	if o.DB < 0 {
		fault("db", "is negative: %d", o.DB)
	}
	if o.PoolSize < 0 {
		fault("pool_size", "is negative: %d", o.PoolSize)
	}
	if o.Timeout < 0 {
		fault("timeout", "is negative: %v", o.Timeout)
	}
	return faults
}

func (o *Options) namespace() string {
	if o.Namespace == "" {
		return DefaultNamespace
	}
	return o.Namespace
}

func (o *Options) retention() lifecycle.Retention {
	return lifecycle.Retention{
		Successful: o.RetainSuccessful,
		Failed:     o.RetainFailed,
		Cancelled:  o.RetainCancelled,
	}.Default()
}
