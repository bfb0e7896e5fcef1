package cli_test

import (
	"regexp"
	"strings"
	"testing"

	"github.com/sideman-go/sideman/cli"
	"github.com/sideman-go/sideman/tasks"
)

// The codes of a plugin.
const (
	nagiosOK = iota
	nagiosWarning
	nagiosCritical
	nagiosUnknown
)

// perf is one value of performance data, as the guidelines have it.
var perf = regexp.MustCompile(`^('[^'=]+'|[^ '=]+)=-?[0-9.]+(s|us|ms|%|[KMGT]?B|c)?(;[0-9.:~@-]*){0,4}$`)

func TestNagios(t *testing.T) {
	onEach(t, func(t *testing.T, store string) {
		enqueue(t, store, "fail", []string{`"a|b"`})
		work(t, store)
		enqueue(t, store, "greet", []string{`"1"`, `"2"`}, tasks.RunIn(1<<40), tasks.Queue("a|b"))
		for _, tt := range []struct {
			args  string
			code  int
			begin string
		}{
			{"", nagiosOK, "SIDEMAN OK - 2 ready, 0 running, 1 failed, 0 workers | "},
			{"--max-ready 1,5", nagiosWarning, "SIDEMAN WARNING - 2 tasks ready | "},
			{"--max-ready 1", nagiosCritical, "SIDEMAN CRITICAL - 2 tasks ready | "},
			{"--max-ready 1,5 --max-failed 0", nagiosCritical, "SIDEMAN CRITICAL - 1 task failed (and 1 more) | "},
			{"--min-workers 1 --fail-level never -q", nagiosCritical, "SIDEMAN CRITICAL - 0 workers alive | "},
			{"--max-ready x", nagiosUnknown, "SIDEMAN UNKNOWN - --max-ready: "},
			{"--bogus", nagiosUnknown, "SIDEMAN UNKNOWN - unknown flag: --bogus"},
		} {
			r := run(t, store, append([]string{"check", "--nagios"}, strings.Fields(tt.args)...)...)
			line, more, _ := strings.Cut(r.out, "\n")
			if strings.Contains(r.out, "redis.W001") { // the test's server may keep nothing on disk
				continue
			}
			if r.code != tt.code || !strings.HasPrefix(line, tt.begin) {
				t.Errorf("%s: exit code %d, want %d; got %q, want %q", tt.args, r.code, tt.code, line, tt.begin)
			}
			if r.err != "" {
				t.Errorf("%s: standard error has %q", tt.args, r.err)
			}
			if tt.code == nagiosUnknown {
				continue
			}
			_, data, _ := strings.Cut(line, " | ")
			labels := 0
			for one := range strings.FieldsSeq(data) {
				labels++
				if !perf.MatchString(one) {
					t.Errorf("%s: %q isn't performance data", tt.args, one)
				}
			}
			if labels != 5 || strings.Contains(more, "|") {
				t.Errorf("%s: %d values in %q and %q", tt.args, labels, data, more)
			}
		}
	})
}

func TestNagiosPerformance(t *testing.T) {
	store := boltStore(t)
	r := run(t, store, "check", "--nagios", "--max-ready", "10,20", "--max-oldest", "1m,1h", "--min-workers", "0", "--max-failed", "3")
	if want := "| oldest=0s;60;3600;0 ready=0;10;20;0 running=0;;;0 failed=0;;3;0 workers=0;;0:;0\n"; r.code != 0 || !strings.HasSuffix(r.out, want) {
		t.Errorf("exit code %d, got %q, want %q", r.code, r.out, want)
	}
	other := boltStore(t)
	inFolder(t, map[string]string{"sideman.yaml": "backends: {default: {url: '" + store + "'}, \"o'th=er\": {url: '" + other + "'}}\n"})
	r = plainRun(t, "check", "--nagios")
	if r.code != 0 || !strings.Contains(r.out, " 'default ready'=0;;;0 ") || !strings.Contains(r.out, " 'other ready'=0;;;0 ") {
		t.Errorf("two backends: exit code %d: %s%s", r.code, r.out, r.err)
	}
}

// What goes wrong is UNKNOWN or CRITICAL, in one line on standard output.
func TestNagiosFaults(t *testing.T) {
	inFolder(t, map[string]string{"bad.yaml": "outptu: x\n"})
	for _, tt := range []struct {
		code int
		args []string
	}{
		{nagiosUnknown, []string{"--config", "bad.yaml"}},
		{nagiosUnknown, []string{"--config", "none.yaml"}},
		{nagiosUnknown, []string{"--url", "mysql://x"}},
		{nagiosCritical, []string{"--url", "redis://127.0.0.1:1"}},
		{nagiosCritical, []string{"--url", "bolt:none.db"}},
		{nagiosCritical, []string{"--url", "postgres://127.0.0.1:1/x", "--timeout", "1ns"}},
	} {
		r := plainRun(t, append([]string{"check", "--nagios"}, tt.args...)...)
		line, _, _ := strings.Cut(r.out, "\n")
		state := map[int]string{nagiosUnknown: "SIDEMAN UNKNOWN - ", nagiosCritical: "SIDEMAN CRITICAL - "}[tt.code]
		if r.code != tt.code || !strings.HasPrefix(line, state) || r.err != "" {
			t.Errorf("%q: exit code %d, want %d: %s%s", tt.args, r.code, tt.code, r.out, r.err)
		}
	}
	if r := plainRun(t, "check", "--url", "redis://127.0.0.1:1"); r.code != cli.ExitUnreachable {
		t.Errorf("without --nagios: exit code %d", r.code)
	}
}
