package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"regexp"
	"strings"
	"time"
)

// tmux is a server of terminals.
type tmux struct {
	socket, dir string
	env         []string
}

// pane is one terminal, with a shell in it.
type pane struct {
	server *tmux
	name   string
}

const prompt = "$ "

func (t *tmux) command(ctx context.Context, args ...string) (string, error) {
	cmd := exec.CommandContext(ctx, "tmux", append([]string{"-L", t.socket, "-f", "/dev/null"}, args...)...)
	cmd.Dir = t.dir
	cmd.Env = append(os.Environ(), append(t.env, "TERM=xterm-256color", "LANG=C.UTF-8", "LC_ALL=C.UTF-8", "PS1="+prompt)...)
	var out, errs bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &errs
	if err := cmd.Run(); err != nil {
		if errors.Is(err, exec.ErrNotFound) {
			return "", errors.New("tmux isn't there: install the package tmux")
		}
		return "", fmt.Errorf("tmux %s: %w: %s", args[0], err, errs.String())
	}
	return out.String(), nil
}

// open opens a terminal with a shell that reads no files of the user's.
func (t *tmux) open(ctx context.Context, name string) (*pane, error) {
	if _, err := t.command(ctx, "new-session", "-d", "-s", name, "-x", "132", "-y", "60", "env", "PS1="+prompt, "sh"); err != nil {
		return nil, err
	}
	p := &pane{t, name}
	return p, p.ready(ctx)
}

func (t *tmux) kill(ctx context.Context) {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), 10*time.Second)
	defer cancel()
	_, _ = t.command(ctx, "kill-server") // it's gone if there was no terminal
}

// do types a command and waits until it has ended.
func (p *pane) do(ctx context.Context, line string) error {
	if err := p.write(ctx, line); err != nil {
		return err
	}
	return p.ready(ctx)
}

// write types a command and sees it begin.
func (p *pane) write(ctx context.Context, line string) error {
	before, err := p.show(ctx)
	if err != nil {
		return err
	}
	if _, err := p.server.command(ctx, "send-keys", "-t", p.name, "-l", line); err != nil {
		return err
	}
	if _, err := p.server.command(ctx, "send-keys", "-t", p.name, "Enter"); err != nil {
		return err
	}
	return p.wait(ctx, "the command to begin", func(shown string) bool { return strings.Count(shown, "\n") > strings.Count(before, "\n") })
}

// interrupt presses Ctrl+C and waits for the prompt.
func (p *pane) interrupt(ctx context.Context) error {
	if _, err := p.server.command(ctx, "send-keys", "-t", p.name, "C-c"); err != nil {
		return err
	}
	return p.ready(ctx)
}

// ready waits for the prompt.
func (p *pane) ready(ctx context.Context) error {
	return p.wait(ctx, "the prompt", func(shown string) bool {
		return strings.HasSuffix("\n"+strings.TrimRight(shown, " \n"), "\n"+strings.TrimRight(prompt, " "))
	})
}

func (p *pane) until(ctx context.Context, text string) error {
	return p.wait(ctx, text, func(shown string) bool { return strings.Contains(shown, text) })
}

func (p *pane) wait(ctx context.Context, what string, done func(string) bool) error {
	ctx, cancel := context.WithTimeout(ctx, 30*time.Second)
	defer cancel()
	look := time.NewTicker(50 * time.Millisecond)
	defer look.Stop()
	last := ""
	for {
		shown, err := p.show(ctx)
		if err == nil && done(shown+"\n") {
			return nil
		}
		if err == nil {
			last = shown
		}
		select {
		case <-ctx.Done():
			return fmt.Errorf("waiting for %s in terminal %s: %w; it shows:\n%s", what, p.name, ctx.Err(), last)
		case <-look.C:
		}
	}
}

// show is what the terminal shows and has shown, without the last prompt's line end.
func (p *pane) show(ctx context.Context) (string, error) {
	text, err := p.server.command(ctx, "capture-pane", "-p", "-J", "-S", "-", "-t", p.name)
	if err != nil {
		return "", err
	}
	lines := strings.Split(text, "\n")
	for i := range lines {
		lines[i] = strings.TrimRight(lines[i], " ")
	}
	return strings.TrimRight(strings.Join(lines, "\n"), "\n"), nil
}

func idPattern() *regexp.Regexp {
	return regexp.MustCompile(`[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}`)
}
