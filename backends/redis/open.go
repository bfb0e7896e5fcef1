package redis

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"net"
	"net/url"
	"strconv"
	"strings"
	"sync/atomic"
	"time"

	"github.com/redis/go-redis/v9"
	"github.com/redis/go-redis/v9/maintnotifications"

	"github.com/sideman-go/sideman/internal/batch"
	"github.com/sideman-go/sideman/tasks"
)

// defaultTimeout is what an Options.Timeout of 0 means.
const defaultTimeout = 3 * time.Second

// Open connects to a server, Sentinels or a Cluster and owns the connections: Close closes
// them. It fails if nothing answers, if the server is too old, or if the namespace is laid
// out in another way.
func Open(ctx context.Context, o Options) (*Backend, error) {
	if err := o.check(true); err != nil {
		return nil, err
	}
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	to, err := o.universal()
	if err != nil {
		return nil, err
	}
	b, err := newBackend(redis.NewUniversalClient(to), &o)
	if err != nil {
		return nil, err
	}
	b.owned = true
	if c, ok := b.client.(*redis.Client); ok && o.Master == "" {
		b.express = newExpress(c)
	}
	_, err = run(ctx, b, false, func(ctx context.Context) (struct{}, error) { return struct{}{}, b.greet(ctx) })
	if err != nil {
		_ = b.Close(context.WithoutCancel(ctx))
		return nil, err
	}
	return b, nil
}

// New uses a client that the program has, and leaves it open: close the backend first and
// then the client. A nil o means the defaults. It does no I/O.
//
// Set ContextTimeoutEnabled on the client: without it go-redis doesn't pass deadlines on, and
// commands whose callers have left go on waiting for the client's ReadTimeout. Check warns
// where it can see that it isn't set. The client's MaxRetries doesn't matter: what may be sent
// twice is decided here.
func New(client redis.UniversalClient, o *Options) (*Backend, error) {
	if o == nil {
		o = &Options{}
	}
	if err := o.check(false); err != nil {
		return nil, err
	}
	switch c := client.(type) {
	case nil:
		return nil, fmt.Errorf("%w: redis.New needs a client", tasks.ErrInvalidConfig)
	case *redis.Ring:
		return nil, fmt.Errorf("%w: a Ring spreads keys without the servers' knowledge; use a Cluster and Options.Shards", tasks.ErrInvalidConfig)
	case *redis.ClusterClient:
		if opts := c.Options(); opts.ReadOnly || opts.RouteByLatency || opts.RouteRandomly {
			return nil, fmt.Errorf("%w: the client reads from replicas, which may not have what was just stored; unset ReadOnly, RouteByLatency and RouteRandomly", tasks.ErrInvalidConfig)
		}
	}
	return newBackend(client, o)
}

func newBackend(client redis.UniversalClient, o *Options) (*Backend, error) {
	programs, err := loadScripts()
	if err != nil {
		return nil, err
	}
	keep := o.retention()
	b := &Backend{
		client:    client,
		namespace: o.namespace(),
		shards:    max(o.Shards, 1),
		keep:      [3]string{formatKeep(keep.Successful), formatKeep(keep.Failed), formatKeep(keep.Cancelled)},
		scripts:   programs,
		done:      make(chan struct{}),
		released:  make(chan struct{}),
	}
	b.channel = b.namespace + ":news"
	b.hub.init()
	for shard := range b.shards {
		prefix := b.prefix(shard)
		b.routes = append(b.routes, [3]any{prefix, prefix + "never", b.channel})
	}
	b.appended = make([]atomic.Int64, b.shards)
	b.tidy.most = maxAppended
	b.writes = batch.New(maxBatchBytes, func(w *write) int { return w.size }, b.flush)
	return b, nil
}

// greet looks at the server before it is used.
func (b *Backend) greet(ctx context.Context) error {
	info, err := b.client.Info(ctx, "server").Result()
	if err != nil {
		return classify(err).err
	}
	if v, old := tooOld(parseInfo(info)); old {
		return fmt.Errorf("%w: the server is Redis %s, and %s is the least", tasks.ErrUnavailable, v, minVersion)
	}
	return b.layOut(ctx)
}

// universal returns the options of the client.
func (o *Options) universal() (*redis.UniversalOptions, error) {
	timeout := o.Timeout
	if timeout == 0 {
		timeout = defaultTimeout
	}
	to := &redis.UniversalOptions{
		Addrs:            []string{DefaultAddr},
		ReadTimeout:      timeout,
		WriteTimeout:     timeout,
		DialTimeout:      timeout,
		DialerRetries:    1,
		PoolSize:         o.PoolSize,
		IsClusterMode:    o.Cluster,
		MasterName:       o.Master,
		SentinelUsername: o.SentinelUsername,
		SentinelPassword: o.SentinelPassword,

		ContextTimeoutEnabled:    true,
		MaintNotificationsConfig: &maintnotifications.Config{Mode: maintnotifications.ModeDisabled},
	}
	if o.URL != "" {
		u, err := url.Parse(o.URL)
		if err != nil {
			return nil, errors.New("not a URL") // the parser's words may have the password in them
		}
		at, err := o.server(u)
		if err != nil {
			return nil, err
		}
		to.Addrs, to.Username, to.Password, to.DB, to.TLSConfig = []string{at.addr}, at.user, at.password, at.db, at.tls
	}
	if len(o.Addrs) > 0 {
		to.Addrs = o.Addrs
	}
	if o.Username != "" {
		to.Username = o.Username
	}
	if o.Password != "" {
		to.Password = o.Password
	}
	if o.DB != 0 {
		to.DB = o.DB
	}
	if o.TLS && to.TLSConfig == nil {
		to.TLSConfig = &tls.Config{MinVersion: tls.VersionTLS12}
		if len(to.Addrs) == 1 && o.Master == "" {
			to.TLSConfig.ServerName, _, _ = net.SplitHostPort(to.Addrs[0])
		}
	}
	return to, nil
}

// address is what a URL says.
type address struct {
	addr, user, password string
	db                   int
	tls                  *tls.Config
}

// schemes are those of the URLs, and whether they mean TLS.
func schemes() map[string]bool {
	return map[string]bool{"redis": false, "rediss": true, "valkey": false, "valkeys": true}
}

// server takes a URL apart. Its errors don't have the URL in them.
func (o *Options) server(u *url.URL) (address, error) {
	var a address
	encrypted, known := schemes()[u.Scheme]
	host, port := u.Hostname(), u.Port()
	switch {
	case !known:
		return a, fmt.Errorf("the scheme is %q, and must be redis, or rediss for TLS", u.Scheme)
	case u.Opaque != "":
		return a, fmt.Errorf("write %s://host:port/0", u.Scheme)
	case u.RawQuery != "" || u.Fragment != "":
		return a, errors.New("it has a query or fragment; options go beside the url")
	}
	if host == "" {
		host = "127.0.0.1"
	}
	if port == "" {
		port = "6379"
	}
	a.addr = net.JoinHostPort(host, port)
	if u.User != nil {
		a.user = u.User.Username()
		a.password, _ = u.User.Password()
	}
	if db := strings.Trim(u.Path, "/"); db != "" {
		n, err := strconv.Atoi(db)
		if err != nil || n < 0 {
			return a, fmt.Errorf("its path %q is not the number of a database", u.Path)
		}
		a.db = n
	}
	if encrypted {
		a.tls = &tls.Config{MinVersion: tls.VersionTLS12, ServerName: host}
	}
	return a, nil
}
