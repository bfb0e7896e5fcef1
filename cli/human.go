package cli

import (
	"fmt"
	"strconv"
	"strings"
	"time"
	"unicode"
)

// visible makes what a terminal would obey, such as the codes in a task's name or error,
// something that it shows.
func visible(s string) string {
	if !strings.ContainsFunc(s, hidden) {
		return s
	}
	var b strings.Builder
	for _, r := range s {
		if hidden(r) {
			b.WriteString(strings.Trim(strconv.QuoteRune(r), "'"))
		} else {
			b.WriteRune(r)
		}
	}
	return b.String()
}

// hidden: control characters, and those that change the direction of what follows.
func hidden(r rune) bool {
	return unicode.IsControl(r) || (r >= 0x202a && r <= 0x202e) || (r >= 0x2066 && r <= 0x2069) || r == unicode.ReplacementChar
}

// short cuts a text to so many characters.
func short(s string, most int) string {
	if runes := []rune(s); len(runes) > most {
		return string(runes[:most-1]) + "…"
	}
	return s
}

// ago says how long before now a time was, or how long after: "3m ago", "in 2h". The zero
// time is "".
func ago(t, now time.Time) string {
	switch d := now.Sub(t); {
	case t.IsZero():
		return ""
	case d < 0:
		return "in " + span(-d)
	default:
		return span(d) + " ago"
	}
}

// span is a duration in one unit or two, about: "3ms", "42s", "5m12s", "3h4m", "12d".
func span(d time.Duration) string {
	const day = 24 * time.Hour
	switch {
	case d < 0:
		return "-" + span(-d)
	case d < time.Microsecond:
		return strconv.FormatInt(d.Nanoseconds(), 10) + "ns"
	case d < time.Millisecond:
		return strconv.FormatInt(d.Microseconds(), 10) + "µs"
	case d < time.Second:
		return strconv.FormatInt(d.Milliseconds(), 10) + "ms"
	case d < 10*time.Second:
		return strings.TrimSuffix(strconv.FormatFloat(d.Seconds(), 'f', 1, 64), ".0") + "s"
	case d < time.Minute:
		return strconv.Itoa(int(d.Seconds())) + "s"
	case d < 10*time.Minute:
		return units(d, time.Minute, "m", time.Second, "s")
	case d < time.Hour:
		return strconv.Itoa(int(d.Minutes())) + "m"
	case d < day:
		return units(d, time.Hour, "h", time.Minute, "m")
	case d < 10*day:
		return units(d, day, "d", time.Hour, "h")
	}
	return strconv.Itoa(int(d/day)) + "d"
}

func units(d, big time.Duration, bigUnit string, small time.Duration, smallUnit string) string {
	s := strconv.Itoa(int(d/big)) + bigUnit
	if rest := d % big / small; rest > 0 {
		s += strconv.Itoa(int(rest)) + smallUnit
	}
	return s
}

// number groups digits: 1,234,567.
func number(n int64) string {
	s := strconv.FormatInt(n, 10)
	sign := ""
	if n < 0 {
		sign, s = "-", s[1:]
	}
	for i := len(s) - 3; i > 0; i -= 3 {
		s = s[:i] + "," + s[i:]
	}
	return sign + s
}

// stamp is a time as programs get it: RFC 3339 in UTC; the zero time is "".
func stamp(t time.Time) string {
	if t.IsZero() {
		return ""
	}
	return t.UTC().Format(time.RFC3339Nano)
}

// clock is a time for people, in their zone.
func clock(t, now time.Time) string {
	if t.IsZero() {
		return ""
	}
	return t.Local().Format("2006-01-02 15:04:05.000 MST") + " (" + ago(t, now) + ")"
}

// parseTime reads a time as RFC 3339, a date, or a duration before now: "2h" is two hours
// ago. Days are taken too: "7d".
func parseTime(s string, now time.Time, future bool) (time.Time, error) {
	for _, layout := range []string{time.RFC3339Nano, "2006-01-02T15:04:05", "2006-01-02 15:04:05", "2006-01-02 15:04", time.DateOnly} {
		if t, err := time.ParseInLocation(layout, s, time.Local); err == nil {
			return t, nil
		}
	}
	d, err := parseSpan(s)
	if err != nil {
		return time.Time{}, fmt.Errorf("%q is neither a time such as 2006-01-02T15:04:05Z or 2006-01-02, nor a duration such as 90s, 2h or 7d", s)
	}
	if future {
		return now.Add(d), nil
	}
	return now.Add(-d), nil
}

// parseSpan is time.ParseDuration with days: "7d", "1d12h".
func parseSpan(s string) (time.Duration, error) {
	days, rest, ok := strings.Cut(s, "d")
	if !ok {
		return time.ParseDuration(s)
	}
	n, err := strconv.ParseUint(days, 10, 16)
	if err != nil {
		return 0, fmt.Errorf("%q isn't a duration", s)
	}
	d := time.Duration(n) * 24 * time.Hour
	if rest == "" {
		return d, nil
	}
	more, err := time.ParseDuration(rest)
	if err == nil && more < 0 {
		err = fmt.Errorf("%q isn't a duration", s)
	}
	return d + more, err
}
