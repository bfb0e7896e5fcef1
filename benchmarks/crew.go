package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"strings"
	"time"
)

// crew are processes of this program that have a job each, and wait for the word to begin.
type crew struct {
	members []*member
	heard   chan heard
}

// member is one of those processes.
type member struct {
	cmd   *exec.Cmd
	in    io.WriteCloser
	words *json.Encoder
	trace strings.Builder // what it said on its standard error
	done  int64
	spent *spent
	over  error // why nothing more is heard of it, which is io.EOF in good order
}

// heard is what a member has said; an error is the last of it.
type heard struct {
	by *member
	news
	err error
}

// startCrew starts n processes with the same job and returns when all have opened the store. They
// are killed when ctx ends.
func startCrew(ctx context.Context, n int, j job) (*crew, error) {
	c := &crew{heard: make(chan heard, 64*n)}
	for range n {
		m, err := c.start(ctx, j)
		if err != nil {
			return nil, errors.Join(err, c.kill())
		}
		c.members = append(c.members, m)
	}
	for range n {
		if h := c.note(<-c.heard); !h.Ready {
			return nil, errors.Join(errors.New("a process didn't get ready"), c.kill())
		}
	}
	return c, nil
}

func (c *crew) start(ctx context.Context, j job) (*member, error) {
	self, err := os.Executable()
	if err != nil {
		return nil, err
	}
	m := &member{cmd: exec.CommandContext(ctx, self)}
	m.cmd.Env = append(os.Environ(), childEnv+"=1")
	m.cmd.Stderr = &m.trace
	if m.in, err = m.cmd.StdinPipe(); err != nil {
		return nil, err
	}
	out, err := m.cmd.StdoutPipe()
	if err != nil {
		return nil, err
	}
	if err := m.cmd.Start(); err != nil {
		return nil, err
	}
	go m.listen(out, c.heard)
	m.words = json.NewEncoder(m.in)
	if err := m.words.Encode(j); err != nil {
		return nil, errors.Join(err, m.cmd.Process.Kill(), m.cmd.Wait())
	}
	return m, nil
}

func (m *member) listen(out io.Reader, to chan<- heard) {
	lines := json.NewDecoder(out)
	for {
		h := heard{by: m}
		h.err = lines.Decode(&h.news)
		to <- h
		if h.err != nil {
			return
		}
	}
}

// run gives the word to begin and returns how long it took until n tasks were done.
func (c *crew) run(n int) (time.Duration, error) {
	from := time.Now()
	for _, m := range c.members {
		if err := m.words.Encode("begin"); err != nil {
			return 0, err
		}
	}
	limit := time.After(5 * time.Minute)
	for done := int64(0); ; {
		select {
		case h := <-c.heard:
			if c.note(h).err != nil {
				return 0, fmt.Errorf("a process has ended early: %w", h.err)
			}
			if done = c.done(); done >= int64(n) {
				return time.Since(from), nil
			}
		case <-limit:
			return 0, fmt.Errorf("after 5 minutes %d of %d tasks are done", done, n)
		}
	}
}

// note keeps what was heard.
func (c *crew) note(h heard) heard {
	if h.Done > 0 {
		h.by.done = h.Done
	}
	if h.Spent != nil {
		h.by.spent = h.Spent
	}
	h.by.over = h.err
	return h
}

func (c *crew) done() (all int64) {
	for _, m := range c.members {
		all += m.done
	}
	return all
}

// finish has all end and returns what they have spent together.
func (c *crew) finish() (all spent, err error) {
	for _, m := range c.members {
		_ = m.in.Close()
	}
	for _, m := range c.members {
		for m.over == nil {
			c.note(<-c.heard)
		}
		err = errors.Join(err, m.end())
		if m.spent != nil {
			all.CPU, all.Allocs, all.Bytes = all.CPU+m.spent.CPU, all.Allocs+m.spent.Allocs, all.Bytes+m.spent.Bytes
		}
	}
	return all, err
}

// end waits for a process that has said its last.
func (m *member) end() error {
	err := m.cmd.Wait()
	switch {
	case err != nil:
		return fmt.Errorf("a process: %w: %s", err, m.trace.String())
	case !errors.Is(m.over, io.EOF):
		return m.over
	case m.spent == nil:
		return errors.New("a process hasn't said what it has spent")
	}
	return nil
}

// kill ends all at once, and says what each has to say about that.
func (c *crew) kill() error {
	for _, m := range c.members {
		_ = m.cmd.Process.Kill() // it may have ended
	}
	_, err := c.finish()
	return err
}
