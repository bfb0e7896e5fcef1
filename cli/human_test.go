package cli

import (
	"strings"
	"testing"
	"time"
)

func TestVisible(t *testing.T) {
	for text, want := range map[string]string{
		"":                          "",
		"mail/éà .%*🙂 日本":           "mail/éà .%*🙂 日本",
		"\x1b[31mred\x1b[0m":        `\x1b[31mred\x1b[0m`,
		"a\nb\tc\r\x00":             `a\nb\tc\r\x00`,
		"\u202Egnp.exe":             `\u202egnp.exe`, // which shows what follows backwards
		"a\u2066b\u2069":            `a\u2066b\u2069`,
		"\x9b31m":                   "\ufffd31m", // not UTF-8
		"\u009b31m":                 `\u009b31m`, // an escape of one byte in Latin 1
		"say 'it'":                  "say 'it'",
		"👩\u200d💻":                  "👩\u200d💻",
		string([]rune{0xFFFD, 'x'}): "\ufffdx",
	} {
		if got := visible(text); got != want {
			t.Errorf("visible(%q) is %q, want %q", text, got, want)
		}
	}
}

func TestShort(t *testing.T) {
	for _, tt := range []struct {
		text string
		most int
		want string
	}{{"", 3, ""}, {"abc", 3, "abc"}, {"abcd", 3, "ab…"}, {"日本語です", 4, "日本語…"}, {"🙂🙂🙂", 2, "🙂…"}} {
		if got := short(tt.text, tt.most); got != tt.want {
			t.Errorf("short(%q, %d) is %q, want %q", tt.text, tt.most, got, tt.want)
		}
	}
}

func TestSpan(t *testing.T) {
	const day = 24 * time.Hour
	for d, want := range map[time.Duration]string{
		0: "0ns", 999: "999ns", 1500: "1µs", 3 * time.Millisecond: "3ms", 999_999_999: "999ms",
		time.Second: "1s", 1500 * time.Millisecond: "1.5s", 42 * time.Second: "42s", time.Minute: "1m", 5*time.Minute + 12*time.Second: "5m12s",
		10 * time.Minute: "10m", 59*time.Minute + 59*time.Second: "59m", time.Hour: "1h", 3*time.Hour + 4*time.Minute: "3h4m",
		day: "1d", 3*day + 2*time.Hour: "3d2h", 12*day + 5*time.Hour: "12d", 400 * day: "400d", -90 * time.Second: "-1m30s",
		9990 * time.Millisecond: "10s",
	} {
		if got := span(d); got != want {
			t.Errorf("span(%d) is %q, want %q", d, got, want)
		}
	}
}

func TestAgo(t *testing.T) {
	now := time.Date(2026, 3, 29, 12, 0, 0, 0, time.UTC)
	for at, want := range map[time.Time]string{
		{}: "", now: "0ns ago", now.Add(-3 * time.Minute): "3m ago", now.Add(2 * time.Hour): "in 2h",
	} {
		if got := ago(at, now); got != want {
			t.Errorf("ago(%v) is %q, want %q", at, got, want)
		}
	}
}

func TestNumber(t *testing.T) {
	for n, want := range map[int64]string{0: "0", 999: "999", 1000: "1,000", 1234567: "1,234,567", -1234: "-1,234", -100: "-100", -1 << 63: "-9,223,372,036,854,775,808"} {
		if got := number(n); got != want {
			t.Errorf("number(%d) is %q, want %q", n, got, want)
		}
	}
}

func TestParseTime(t *testing.T) {
	old := time.Local
	t.Cleanup(func() { time.Local = old })
	time.Local = time.FixedZone("here", 3600)
	now := time.Date(2026, 3, 29, 12, 0, 0, 0, time.UTC)
	for text, want := range map[string]time.Time{
		"2026-01-02T15:04:05Z":      time.Date(2026, 1, 2, 15, 4, 5, 0, time.UTC),
		"2026-01-02T15:04:05+02:00": time.Date(2026, 1, 2, 13, 4, 5, 0, time.UTC),
		"2026-01-02T15:04:05":       time.Date(2026, 1, 2, 14, 4, 5, 0, time.UTC), // here
		"2026-01-02 15:04":          time.Date(2026, 1, 2, 14, 4, 0, 0, time.UTC),
		"2026-01-02":                time.Date(2026, 1, 1, 23, 0, 0, 0, time.UTC),
		"90s":                       now.Add(-90 * time.Second),
		"2h":                        now.Add(-2 * time.Hour),
		"7d":                        now.AddDate(0, 0, -7),
		"1d12h":                     now.Add(-36 * time.Hour),
		"0s":                        now,
	} {
		if got, err := parseTime(text, now, false); err != nil || !got.Equal(want) {
			t.Errorf("%q is %v, %v, want %v", text, got, err, want)
		}
	}
	if got, err := parseTime("2h", now, true); err != nil || !got.Equal(now.Add(2*time.Hour)) {
		t.Errorf("2h in the future is %v, %v", got, err)
	}
	for _, text := range []string{"", "yesterday", "2026-13-01", "5", "d", "-1d", "1d1", "99999d", "2026-01-02T25:00:00Z"} {
		if got, err := parseTime(text, now, false); err == nil || !strings.Contains(err.Error(), "2006-01-02") {
			t.Errorf("%q is %v, %v, want an error that says what is taken", text, got, err)
		}
	}
}

func TestParseSpan(t *testing.T) {
	for text, want := range map[string]time.Duration{"7d": 7 * 24 * time.Hour, "1d12h": 36 * time.Hour, "0d": 0, "90s": 90 * time.Second, "1h30m": 90 * time.Minute} {
		if got, err := parseSpan(text); err != nil || got != want {
			t.Errorf("%q is %v, %v, want %v", text, got, err, want)
		}
	}
	for _, text := range []string{"", "d", "1.5d", "7dd", "1d-1h", "65536d"} {
		if got, err := parseSpan(text); err == nil {
			t.Errorf("%q is %v, want an error", text, got)
		}
	}
}

func TestStamp(t *testing.T) {
	at := time.Date(2026, 3, 29, 3, 30, 0, 123456000, time.FixedZone("", 7200))
	if got := stamp(at); got != "2026-03-29T01:30:00.123456Z" {
		t.Errorf("stamp is %s", got)
	}
	if got := stamp(time.Time{}); got != "" {
		t.Errorf("the zero time is %q", got)
	}
}
