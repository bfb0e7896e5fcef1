package main

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"image"
	"image/color"
	"image/png"
	"io"
	"net/http"
	"os"
	"os/exec"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/sideman-go/sideman/tasks"
)

// TestMain lets the test binary be the service itself, as a process of its own.
func TestMain(m *testing.M) {
	if os.Getenv("SERVICE_CHILD") != "" {
		main()
		return
	}
	os.Exit(m.Run())
}

// child is a process of the service.
type child struct {
	cmd *exec.Cmd
	url string // of a web process
	id  string // of a worker process
}

// start starts a service that is one process.
func start(t *testing.T, data string, slow time.Duration) *child {
	t.Helper()
	return launch(t, "", "-data", data, "-slow", slow.String())
}

// launch starts a process of the service and returns when it listens or, if it is a worker,
// works.
func launch(t *testing.T, server string, args ...string) *child {
	t.Helper()
	cmd := command(t, server, args...)
	log, err := cmd.StderrPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	c := &child{cmd: cmd}
	t.Cleanup(c.kill)
	started := regexp.MustCompile(`Listening address=(\S+)`)
	if slices.Contains(args, roleWorker) {
		started = regexp.MustCompile(`Starting worker worker_id=(\S+)`)
	}
	lines := bufio.NewScanner(log)
	var seen strings.Builder
	for c.id == "" && lines.Scan() {
		fmt.Fprintln(&seen, lines.Text())
		if m := started.FindStringSubmatch(lines.Text()); m != nil {
			c.id, c.url = m[1], "http://"+m[1]
		}
	}
	if c.id == "" {
		t.Fatalf("the service didn't start:\n%s", seen.String())
	}
	go io.Copy(io.Discard, log) //nolint:errcheck // ends with the process
	return c
}

// command is a process of the service; a server is the URL of one that takes the place of its
// configuration's.
func command(t *testing.T, server string, args ...string) *exec.Cmd {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), os.Args[0], append([]string{"-addr", "127.0.0.1:0"}, args...)...)
	cmd.Env = append(os.Environ(), "SERVICE_CHILD=1", "SERVICE_URL="+server)
	return cmd
}

// kill is kill -9.
func (c *child) kill() {
	_ = c.cmd.Process.Kill()
	_ = c.cmd.Wait()
}

type answer struct {
	ID       string          `json:"id"`
	Status   tasks.Status    `json:"status"`
	Attempts int             `json:"attempts"`
	Result   json.RawMessage `json:"result"`
	Error    string          `json:"error"`
}

// ask makes a request and returns the answer and its status code.
func (c *child) ask(ctx context.Context, method, path string, body []byte) (a answer, code int, err error) {
	req, err := http.NewRequestWithContext(ctx, method, c.url+path, bytes.NewReader(body))
	if err != nil {
		return a, 0, err
	}
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		return a, 0, err
	}
	defer resp.Body.Close()
	return a, resp.StatusCode, json.NewDecoder(resp.Body).Decode(&a)
}

func (c *child) do(t *testing.T, method, path string, body []byte, want int) answer {
	t.Helper()
	a, code, err := c.ask(t.Context(), method, path, body)
	if err != nil {
		t.Fatalf("%s %s: %v", method, path, err)
	}
	if code != want {
		t.Fatalf("%s %s: status %d, want %d (%s)", method, path, code, want, a.Error)
	}
	return a
}

// finished polls until the task is final.
func (c *child) finished(t *testing.T, id string) answer {
	t.Helper()
	deadline := time.Now().Add(30 * time.Second)
	for {
		a := c.do(t, http.MethodGet, "/tasks/"+id, nil, http.StatusOK)
		if a.Status.Final() {
			return a
		}
		if time.Now().After(deadline) {
			t.Fatalf("task %s is still %s after 30 s", id, a.Status)
		}
		<-time.After(10 * time.Millisecond)
	}
}

func picture(t *testing.T) []byte {
	t.Helper()
	img := image.NewGray(image.Rect(0, 0, 30, 20))
	for i := range img.Pix {
		img.Pix[i] = 200
	}
	img.SetGray(0, 0, color.Gray{})
	var buf bytes.Buffer
	if err := png.Encode(&buf, img); err != nil {
		t.Fatal(err)
	}
	return buf.Bytes()
}

func TestService(t *testing.T) {
	c := start(t, t.TempDir(), 0)

	a := c.finished(t, c.do(t, http.MethodPost, "/files", picture(t), http.StatusAccepted).ID)
	var got Analysis
	if err := json.Unmarshal(a.Result, &got); err != nil {
		t.Fatalf("result %s: %v", a.Result, err)
	}
	if a.Status != tasks.Successful || got.Kind != "image" || got.Format != "png" || got.Width != 30 || got.Height != 20 || got.Mean != 199 {
		t.Errorf("image: status %s, result %+v; want SUCCESSFUL, a png of 30×20 with mean 199", a.Status, got)
	}

	a = c.finished(t, c.do(t, http.MethodPost, "/files", []byte("two words\nand three more\n"), http.StatusAccepted).ID)
	got = Analysis{}
	if err := json.Unmarshal(a.Result, &got); err != nil {
		t.Fatalf("result %s: %v", a.Result, err)
	}
	if got.Kind != "text" || got.Lines != 2 || got.Words != 5 {
		t.Errorf("text: result %+v; want 2 lines and 5 words", got)
	}

	a = c.finished(t, c.do(t, http.MethodPost, "/files", picture(t)[:60], http.StatusAccepted).ID)
	if a.Status != tasks.Failed || !strings.Contains(a.Error, "damaged image") || a.Attempts != 1 {
		t.Errorf("half an image: %s after %d attempts, error %q; want FAILED after 1, a damaged image", a.Status, a.Attempts, a.Error)
	}

	signup := []byte(`{"email":"ada@example.com"}`)
	a = c.finished(t, c.do(t, http.MethodPost, "/signups", signup, http.StatusAccepted).ID)
	if want := `"welcomed ada@example.com"`; string(a.Result) != want {
		t.Errorf("sign-up: result %s, want %s", a.Result, want)
	}
	c.do(t, http.MethodPost, "/signups", signup, http.StatusConflict)
	c.do(t, http.MethodPost, "/signups", []byte(`{`), http.StatusBadRequest)
	c.do(t, http.MethodGet, "/tasks/nonsense", nil, http.StatusNotFound)
}

// TestKill kills the service with -9 while tasks run, again and again, and wants
// every accepted task to finish.
func TestKill(t *testing.T) {
	data := t.TempDir()
	var ids []string
	const rounds, perRound = 4, 12
	for round := range rounds {
		// Longer than it takes to send and to look, also on a slow machine.
		c := start(t, data, time.Second)
		for i := range perRound {
			text := fmt.Appendf(nil, "round %d upload %d", round, i)
			ids = append(ids, c.do(t, http.MethodPost, "/files", text, http.StatusAccepted).ID)
		}
		signup := fmt.Appendf(nil, `{"email":"user-%d@example.com"}`, round)
		ids = append(ids, c.do(t, http.MethodPost, "/signups", signup, http.StatusAccepted).ID)
		running := 0
		for _, id := range ids {
			if c.do(t, http.MethodGet, "/tasks/"+id, nil, http.StatusOK).Status == tasks.Running {
				running++
			}
		}
		if running == 0 {
			t.Errorf("round %d: nothing was running when the service was killed", round)
		}
		c.kill()
	}

	c := start(t, data, 0)
	again := 0
	for _, id := range ids {
		a := c.finished(t, id)
		if a.Status != tasks.Successful {
			t.Errorf("task %s is %s after %d attempts: %s", id, a.Status, a.Attempts, a.Error)
		}
		if a.Attempts > 1 {
			again++
		}
	}
	if again == 0 {
		t.Error("no task needed a second attempt, so no kill hit a running one")
	}
}
