package cli_test

import (
	"context"
	"io"
	"net"
	"net/url"
	"slices"
	"sync"
	"testing"

	"github.com/sideman-go/sideman/backends"
	"github.com/sideman-go/sideman/cli"
	"github.com/sideman-go/sideman/tasks"
)

// hooked is a store that tells of operators' calls before it does them. An error of the hook's is
// the answer.
type hooked struct {
	tasks.Store

	hook func(ctx context.Context, op string) error
}

func (h *hooked) List(ctx context.Context, req tasks.ListRequest) (tasks.Page, error) {
	if err := h.hook(ctx, "list"); err != nil {
		return tasks.Page{}, err
	}
	return h.Store.List(ctx, req)
}

func (h *hooked) Alter(ctx context.Context, change tasks.Change, ids []string) ([]tasks.Altered, error) {
	if err := h.hook(ctx, "alter"); err != nil {
		return nil, err
	}
	return h.Store.Alter(ctx, change, ids)
}

func (h *hooked) Prune(ctx context.Context, req tasks.PruneRequest) (tasks.Pruned, error) {
	if err := h.hook(ctx, "prune"); err != nil {
		return tasks.Pruned{}, err
	}
	return h.Store.Prune(ctx, req)
}

// hookedProgram has the backends that there are, and the hook in each.
func hookedProgram(hook func(ctx context.Context, op string) error) *cli.Program {
	drivers := slices.Clone(backends.All())
	for i := range drivers {
		configure := drivers[i].Configure
		drivers[i].Configure = func(s tasks.Settings) (tasks.Opener, error) {
			open, err := configure(s)
			if err != nil {
				return nil, err
			}
			return func(ctx context.Context) (tasks.Backend, error) {
				b, err := open(ctx)
				if store, ok := b.(tasks.Store); ok && err == nil {
					return &hooked{store, hook}, nil
				}
				return b, err
			}, nil
		}
	}
	return &cli.Program{App: newApp(), Name: "app", Drivers: drivers}
}

// nth is a hook that does something before the n-th call of an operation, once.
func nth(op string, n int, do func(context.Context) error) func(context.Context, string) error {
	return func(ctx context.Context, called string) error {
		if called != op {
			return nil
		}
		if n--; n != 0 {
			return nil
		}
		return do(ctx)
	}
}

// proxy stands between a command and its server.
type proxy struct {
	to string

	mu      sync.Mutex
	away    bool // cut, and takes no connection
	deafen  bool // is cut by the next reply, which nobody gets
	clients map[net.Conn]struct{}
	servers map[net.Conn]struct{}
}

// newProxy returns a proxy to the server of a store, and the store through it.
func newProxy(t *testing.T, store, port string) (*proxy, string) {
	t.Helper()
	u, err := url.Parse(store)
	if err != nil {
		t.Fatal(err)
	}
	l, err := new(net.ListenConfig).Listen(t.Context(), "tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	p := &proxy{to: u.Host, clients: make(map[net.Conn]struct{}), servers: make(map[net.Conn]struct{})}
	if u.Port() == "" {
		p.to = net.JoinHostPort(u.Hostname(), port)
	}
	var done sync.WaitGroup
	done.Go(func() {
		for {
			client, err := l.Accept()
			if err != nil {
				return
			}
			done.Go(func() { p.serve(client) })
		}
	})
	t.Cleanup(func() {
		_ = l.Close()
		p.cut()
		done.Wait()
	})
	u.Host = l.Addr().String()
	return p, u.String()
}

func (p *proxy) serve(client net.Conn) {
	defer client.Close()
	server, err := new(net.Dialer).DialContext(context.Background(), "tcp", p.to)
	if err != nil {
		return
	}
	defer server.Close()
	p.mu.Lock()
	if p.away {
		p.mu.Unlock()
		return
	}
	p.clients[client], p.servers[server] = struct{}{}, struct{}{}
	p.mu.Unlock()
	var done sync.WaitGroup
	done.Go(func() {
		_, _ = io.Copy(server, client)
		_ = server.Close()
	})
	buf := make([]byte, 32<<10)
	for {
		n, err := server.Read(buf)
		if n > 0 && p.deaf() {
			p.cut()
			break
		}
		if n > 0 {
			if _, err := client.Write(buf[:n]); err != nil {
				break
			}
		}
		if err != nil {
			break
		}
	}
	_ = client.Close()
	done.Wait()
}

func (p *proxy) deaf() bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.deafen
}

// cut ends every connection, and takes none until heal.
func (p *proxy) cut() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.away, p.deafen = true, false
	for c := range p.clients {
		_ = c.Close()
	}
	for c := range p.servers {
		_ = c.Close()
	}
}

// loseReply cuts when the server answers next: it has done what it was asked to.
func (p *proxy) loseReply() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.deafen = true
}

func (p *proxy) heal() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.away = false
}
