package redis

import (
	"context"
	"crypto/sha1" //nolint:gosec // it is how Redis names scripts
	"embed"
	"encoding/hex"
	"fmt"
	"strconv"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/sideman-go/sideman/tasks"
)

//go:embed lua/*.lua
var sources embed.FS

// script is a Lua program and its name on the server.
type script struct {
	name   string
	source string
	sha    any // a string, made an argument once
	mode   mode
	lib    bool // it begins with lib.lua, which has arguments of its own
}

// mode says what may be done when it isn't known whether the server has run something.
type mode int

const (
	once    mode = iota // nothing: running it twice would do harm
	again               // send it again: running it twice is as running it once
	reads               // the same, and it changes nothing that a caller asked for
	fetches             // it only reads, and go-redis has sent it again
)

type scripts struct {
	append, admit, enqueue                                          script
	claim, unclaim, renew, settle, sweep, alter, prune, quarantine  script
	look, watch, queues, list, gather, pause, beat, workers, layout script
}

func loadScripts() (*scripts, error) {
	var err error
	read := func(name string) string {
		text, e := sources.ReadFile("lua/" + name + ".lua")
		if e != nil {
			err = e
		}
		return string(text)
	}
	base, store, lib := read("base")+"\n", read("store")+"\n", read("lib")+"\n"
	load := func(name string, m mode) script {
		source, withLib := read(name), false
		switch name {
		case "append": // alone
		case "admit", "enqueue":
			source = base + store + source
		default:
			source, withLib = base+store+lib+source, true
		}
		sum := sha1.Sum([]byte(source)) //nolint:gosec // it is how Redis names scripts
		return script{name: name, source: source, sha: hex.EncodeToString(sum[:]), mode: m, lib: withLib}
	}
	s := &scripts{
		append:     load("append", again),
		admit:      load("admit", again),
		enqueue:    load("enqueue", again),
		claim:      load("claim", once),
		unclaim:    load("unclaim", again),
		renew:      load("renew", again),
		settle:     load("settle", once),
		sweep:      load("sweep", once),
		alter:      load("alter", once),
		prune:      load("prune", once),
		quarantine: load("quarantine", again),
		look:       load("look", reads),
		watch:      load("watch", reads),
		queues:     load("queues", reads),
		list:       load("list", reads),
		gather:     load("gather", reads),
		pause:      load("pause", again),
		beat:       load("beat", again),
		workers:    load("workers", reads),
		layout:     load("layout", reads),
	}
	return s, err
}

// onceCmd is a command that go-redis sends once, whatever the client's MaxRetries: whether
// to send again is for the one who knows what it does. It is still sent on where the server
// says that another has the slot.
type onceCmd struct{ *redis.Cmd }

// NoRetry implements redis.Cmder.
func (onceCmd) NoRetry() bool { return true }

// What isn't known to have been run is sent maxTries times at most. What was refused for
// a passing reason (a fail-over, a slot on the move) is sent again for patience.
const (
	maxTries  = 4
	patience  = 2 * time.Second
	firstWait = 15 * time.Millisecond
	maxWait   = 200 * time.Millisecond
)

// eval runs a script on a shard. Its error is one of classify's.
func (b *Backend) eval(ctx context.Context, s *script, shard int, args ...any) (any, error) {
	if err := b.layOut(ctx); err != nil {
		return nil, err
	}
	return b.send(ctx, b.client, s, shard, args)
}

// send is eval without looking at the layout.
func (b *Backend) send(ctx context.Context, c processor, s *script, shard int, args []any) (reply any, err error) {
	err = b.patiently(ctx, s.mode, func() (err error) {
		reply, err = b.sendOnce(ctx, c, s, shard, args)
		return err
	})
	return reply, err
}

// patiently calls fn, whose error is go-redis's, and returns one of classify's. What the server has
// refused to run for a passing reason is called again; that of which it isn't known only if it
// does no harm.
func (b *Backend) patiently(ctx context.Context, m mode, fn func() error) error {
	var maybe error     // why an earlier try may have been run
	var start time.Time // of the first failure
	maybes := 0
	for wait := firstWait; ; wait = min(wait*2, maxWait) {
		err := fn()
		if err == nil {
			return nil
		}
		if start.IsZero() {
			start = time.Now()
		}
		f := classify(err)
		if f.maybe {
			maybes++
			if maybe == nil && (m == once || m == again) {
				maybe = err
			}
		}
		retry := f.passing && time.Since(start) < patience || f.maybe && (m == again || m == reads) && maybes < maxTries
		if retry && ctx.Err() == nil && sleep(ctx, b.done, wait) == nil {
			continue
		}
		if maybe != nil {
			return unknown(maybe)
		}
		return f.err
	}
}

// sendOnce sends a script, and again for as long as it has only indexed what enqueues have left
// it to.
func (b *Backend) sendOnce(ctx context.Context, c processor, s *script, shard int, args []any) (any, error) {
	for {
		reply, err := b.call(ctx, c, s, shard, args)
		if err == nil || !redis.HasErrorPrefix(err, "AGAIN") {
			return reply, err
		}
	}
}

func (b *Backend) call(ctx context.Context, c processor, s *script, shard int, args []any) (any, error) {
	all := make([]any, 0, 9+len(args))
	all = append(all, "evalsha", s.sha, 2)
	all = append(all, b.routes[shard][:]...)
	if s.lib {
		all = append(all, b.keep[0], b.keep[1], b.keep[2])
	}
	all = append(all, args...)
	reply, err := process(ctx, c, all)
	if err != nil && redis.HasErrorPrefix(err, "NOSCRIPT") {
		// The server is new, or was restarted, or is another one by now.
		all[0], all[1] = "eval", s.source
		reply, err = process(ctx, c, all)
	}
	return reply, err
}

// processor runs commands: a client, or an express.
type processor interface {
	Process(ctx context.Context, cmd redis.Cmder) error
}

func process(ctx context.Context, c processor, args []any) (any, error) {
	cmd := redis.NewCmd(ctx, args...)
	if err := c.Process(ctx, onceCmd{cmd}); err != nil {
		return nil, err
	}
	return cmd.Result()
}

// layOut makes sure, once, that this namespace is laid out as this program thinks.
func (b *Backend) layOut(ctx context.Context) error {
	if b.laidOut.Load() {
		return nil
	}
	reply, err := b.send(ctx, b.client, &b.scripts.layout, 0, []any{layoutVersion, b.shards})
	if err != nil {
		return err
	}
	if err := b.checkLayout(texts(reply)); err != nil {
		return err
	}
	b.laidOut.Store(true)
	return nil
}

// layoutVersion is the version of the keys and of the head.
const layoutVersion = 5

func (b *Backend) checkLayout(fields []string) error {
	switch {
	case len(fields) != 2:
		return fmt.Errorf("%w: the layout of namespace %q", tasks.ErrDamaged, b.namespace)
	case len(fields[0]) == 1 && fields[0] >= "1" && fields[0] < strconv.Itoa(layoutVersion):
		return fmt.Errorf("%w: namespace %q has layout %s, of before the first release, and this program knows %d: "+
			"have its tasks run by the version that stored them, or use another namespace",
			tasks.ErrUnavailable, b.namespace, fields[0], layoutVersion)
	case fields[0] != strconv.Itoa(layoutVersion):
		return fmt.Errorf("%w: namespace %q has layout %s, and this program knows %d: use a newer version of it, or another namespace",
			tasks.ErrUnavailable, b.namespace, fields[0], layoutVersion)
	case fields[1] != strconv.Itoa(b.shards):
		return fmt.Errorf("%w: shards: namespace %q was made with %s, not %d", tasks.ErrInvalidConfig, b.namespace, fields[1], b.shards)
	}
	return nil
}

func sleep(ctx context.Context, done <-chan struct{}, d time.Duration) error {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
		return nil
	case <-done:
		return tasks.ErrClosed
	case <-ctx.Done():
		return ctx.Err()
	}
}

// list returns a reply that is a list, or nothing.
func list(reply any) []any {
	l, _ := reply.([]any)
	return l
}

func text(v any) string {
	s, _ := v.(string)
	return s
}

func number(v any) int64 {
	n, _ := v.(int64)
	return n
}

// texts returns a reply that is a list of strings.
func texts(reply any) []string {
	l := list(reply)
	all := make([]string, len(l))
	for i := range l {
		all[i] = text(l[i])
	}
	return all
}

// pairs returns a reply of HGETALL, or nil if there is nothing.
func pairs(reply any) map[string]string {
	l := list(reply)
	if len(l) == 0 {
		return nil
	}
	m := make(map[string]string, len(l)/2)
	for i := 0; i+1 < len(l); i += 2 {
		m[text(l[i])] = text(l[i+1])
	}
	return m
}
