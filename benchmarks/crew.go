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

// pace is how long so many tasks took.
type pace struct {
	tasks int64
	took  time.Duration
}

// perSecond is how many tasks that is a second.
func (p pace) perSecond() float64 { return float64(p.tasks) / p.took.Seconds() }

// run gives the word to begin, waits until n tasks are done, and returns how long the second half of them
// took: in the first the processes and their connections get going, which is the same work for each of them,
// whatever there is to do. Of a few tasks, all of
// which are done at once, it is how long all took.
func (c *crew) run(n int) (pace, error) {
	for _, m := range c.members {
		if err := m.words.Encode("begin"); err != nil {
			return pace{}, err
		}
	}
	limit := time.After(5 * time.Minute)
	from, before := time.Now(), int64(0) // of what is measured
	for done := int64(0); ; {
		select {
		case h := <-c.heard:
			if c.note(h).err != nil {
				return pace{}, fmt.Errorf("a process has ended early: %w", h.err)
			}
			switch done = c.done(); {
			case done >= int64(n):
				return pace{done - before, time.Since(from)}, nil
			case before == 0 && 2*done >= int64(n):
				from, before = time.Now(), done
			}
		case <-limit:
			return pace{}, fmt.Errorf("after 5 minutes %d of %d tasks are done", done, n)
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
