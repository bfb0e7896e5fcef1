package tasks

import (
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"
)

// MaxName is the most bytes in the name of a task, a queue or an alias; ids and
// worker ids have at most MaxID.
const (
	MaxName = 128
	MaxID   = 63
)

// checkName reports why a task's, queue's or alias's name can't be used. Spaces,
// punctuation and emoji may be used; control characters and invalid UTF-8 may not.
func checkName(name string) error { return checkText(name, MaxName) }

func checkText(s string, most int) error {
	switch {
	case s == "":
		return errors.New("name is empty")
	case len(s) > most:
		return fmt.Errorf("name %s… has %d bytes, over the %d allowed", quote(s[:16]), len(s), most)
	case !utf8.ValidString(s):
		return fmt.Errorf("name %s is not valid UTF-8", quote(s))
	}
	for _, r := range s {
		// Emoji sequences are joined by U+200D, which IsGraphic doesn't count.
		if !unicode.IsGraphic(r) && r != '\u200d' {
			return fmt.Errorf("name %s has the unprintable character %U", quote(s), r)
		}
	}
	return nil
}

// check validates what doesn't depend on a backend.
func (s *settings) check() error {
	faults := slices.Clone(s.faults)
	add := func(format string, args ...any) {
		faults = append(faults, fmt.Errorf("%w: "+format, append([]any{ErrInvalidTask}, args...)...))
	}
	if err := checkName(s.queue); err != nil {
		add("queue: %w", err)
	}
	if err := checkName(s.alias); err != nil {
		add("backend: %w", err)
	}
	if s.priority < MinPriority || s.priority > MaxPriority {
		add("priority is %d, and must be from %d to %d", s.priority, MinPriority, MaxPriority)
	}
	if s.maxAttempts < 1 {
		add("max attempts is %d, and must be at least 1", s.maxAttempts)
	}
	if s.timeout < 0 {
		add("timeout is %v, and must not be negative", s.timeout)
	}
	if s.id != "" {
		if err := checkText(s.id, MaxID); err != nil {
			add("id: %w", err)
		}
	}
	if err := checkYear(s.runAfter); err != nil {
		add("run_after: %w", err)
	}
	if err := checkYear(s.expiresAt); err != nil {
		add("expires_at: %w", err)
	}
	for k, v := range s.metadata {
		if k == "" || !cleanText(k) {
			add("metadata key %s is empty, has a NUL byte, or is not valid UTF-8", quote(k))
		}
		if !cleanText(v) {
			add("metadata value of %s has a NUL byte or is not valid UTF-8", quote(k))
		}
	}
	return errors.Join(faults...)
}

// checkMetadata holds the size of metadata against AppOptions.MaxMetadata.
func (a *App) checkMetadata(metadata map[string]string) error {
	size := 0
	for k, v := range metadata {
		size += len(k) + len(v)
	}
	return checkSize("metadata", size, a.options.MaxMetadata)
}

// checkSize reports what has more than most bytes, if most isn't negative.
func checkSize(what string, size, most int) error {
	if most >= 0 && size > most {
		return fmt.Errorf("%w: %s of %d bytes, over the %d allowed", ErrTooLarge, what, size, most)
	}
	return nil
}

func cleanText(s string) bool { return utf8.ValidString(s) && !strings.ContainsRune(s, 0) }

// checkYear reports a time that doesn't survive JSON and PostgreSQL.
func checkYear(t time.Time) error {
	if y := t.UTC().Year(); y < 1 || y > 9999 {
		return fmt.Errorf("the year is %d, and must be from 1 to 9999", y)
	}
	return nil
}

// accepts reports why the backend doesn't take a task with these settings: a
// queue that isn't configured, or a capability that isn't declared.
func (s *slot) accepts(t *settings) error {
	var faults []error
	if s.queues != nil && !slices.Contains(s.queues, t.queue) {
		faults = append(faults, fmt.Errorf("%w: queue %s is not one of backend %s: %s",
			ErrInvalidTask, quote(t.queue), quote(s.alias), quoteAll(s.queues)))
	}
	need := func(c Capability, what string) {
		if !s.caps.Has(c) {
			faults = append(faults, fmt.Errorf("%w %s: %s needs the capability %s", ErrUnsupported, quote(s.alias), what, c))
		}
	}
	if !t.runAfter.IsZero() || t.delay > 0 {
		need(CapDefer, "run_after")
	}
	if !t.expiresAt.IsZero() || t.ttl > 0 {
		need(CapExpire, "expires_at")
	}
	if t.priority != 0 {
		need(CapPriority, "priority")
	}
	return errors.Join(faults...)
}

// quote makes any text safe to print on one line.
func quote(s string) string { return strconv.Quote(s) }

// quoteShort is quote for names that may be those that are refused for their length.
func quoteShort(s string) string {
	if len(s) > MaxName {
		return quote(s[:16]) + "…"
	}
	return quote(s)
}

func quoteAll(names []string) string {
	quoted := make([]string, len(names))
	for i, n := range names {
		quoted[i] = quote(n)
	}
	return strings.Join(quoted, ", ")
}
