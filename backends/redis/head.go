package redis

import (
	"errors"
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/sideman-go/sideman/tasks"
)

// The head of a record is text, which scripts take apart and put together again; lua/base.lua says what
// its times look like. It is written three times in a task's life and mostly unset in part, so what is
// unset in it is short.
//
//	0       version, "3"
//	1       status: R, W (RUNNING), S, F, C
//	2..5    level: 100 - priority
//	5       1 if its cancellation is requested
//	6       1 if it is RUNNING and its lease was renewed
//	7..25   when it was enqueued
//	25..29  the length of what follows:
//	29..32  the length of the queue's name; then that name, and the task's
//
// Behind that come, each "." if it is unset: when it finished; till, the deadline of a RUNNING
// record, or when a final one is pruned; run after; expires; started; last attempt, "=" if that is
// the same; how long it is kept once it is final; and the nonce of the claim that made a RUNNING
// record so. Then attempts, ",", max attempts, "+" if there may be more of the record than its head,
// what never changes and its value, or else ";"; its workers, from the oldest to the newest, each followed by
// its length in 6 digits; ";".
const (
	headVersion  = '3'
	headEnqueued = 7
	headTail     = headEnqueued + sizeTime
	sizeTail     = 4
	sizeHead     = headTail + sizeTail // and more
	sizeToken    = 32
)

// noTime is what stands for an unset time, duration or token in a head, and sameTime for the time before.
const (
	noTime   = '.'
	sameTime = '='
)

// appendHead appends the head of a READY record that was never enqueued. Its delay and its
// time to live are for the script to count from the server's time.
func appendHead(b []byte, r *tasks.Record) ([]byte, error) {
	runAfter, err1 := formatTime(r.RunAfter)
	expires, err2 := formatTime(r.ExpiresAt)
	if err := errors.Join(err1, err2); err != nil {
		return nil, err
	}
	if r.Delay > 0 {
		runAfter = fromNow(r.Delay)
	}
	if r.TTL > 0 {
		expires = fromNow(r.TTL)
	}
	retain := unset
	if r.Retain != nil {
		retain = formatKeep(*r.Retain)
	}
	b = append(b, headVersion, 'R')
	b = appendDigits(b, tasks.MaxPriority-r.Priority, 3)
	b = append(append(b, "00"...), unset...)
	b = appendDigits(b, 3+len(r.Queue)+len(r.Task), sizeTail)
	b = appendDigits(b, len(r.Queue), 3)
	b = append(append(b, r.Queue...), r.Task...)
	b = append(b, noTime, noTime)
	b = appendShort(appendShort(b, runAfter), expires)
	b = append(b, noTime, noTime)
	b = appendShort(b, retain)
	b = append(b, noTime, '0', ',')
	return append(strconv.AppendInt(b, int64(max(r.MaxAttempts, 0)), 10), ";;"...), nil
}

// appendShort appends a time or duration as heads have it.
func appendShort(b []byte, t string) []byte {
	if t == unset {
		return append(b, noTime)
	}
	return append(b, t...)
}

// fromNow is a time that the script counts from its own.
func fromNow(d time.Duration) string { return "+" + formatDuration(d)[1:] }

// appendDigits appends a number that isn't negative, in so many digits.
func appendDigits(b []byte, n, digits int) []byte {
	at := len(b)
	for range digits {
		b = append(b, '0')
	}
	for i := at + digits - 1; n > 0 && i >= at; i-- {
		b[i] = byte('0' + n%10)
		n /= 10
	}
	return b
}

// decodeHead reads what a head has.
func decodeHead(h string) (s stored, err error) {
	r := &s.rec
	switch {
	case len(h) > 0 && h[0] != headVersion:
		return s, fmt.Errorf("its head is of version %q, and this program knows %q", h[0], headVersion)
	case len(h) < sizeHead:
		return s, errHead
	}
	if r.Status = statusOf(h[1]); r.Status == "" {
		return s, fmt.Errorf("it has no known status: %q", h[1])
	}
	r.CancelRequested = h[5] == '1'
	level, err1 := strconv.Atoi(h[2:5])
	r.Priority = tasks.MaxPriority - level
	enqueued, err2 := parseTime(h[headEnqueued:headTail])
	r.EnqueuedAt = enqueued
	n, err3 := strconv.Atoi(h[headTail:sizeHead])
	if err := errors.Join(err1, err2, err3); err != nil {
		return s, errHead
	}
	if n < 3 || sizeHead+n > len(h) {
		return s, errHead
	}
	tail := h[sizeHead : sizeHead+n]
	q, err := strconv.Atoi(tail[:3])
	if err != nil || q < 0 || 3+q > n {
		return s, errHead
	}
	r.Queue, r.Task = tail[3:3+q], tail[3+q:]
	rest := heading{s: h[sizeHead+n:]}
	r.FinishedAt, s.till = rest.time(), rest.time()
	r.RunAfter, r.ExpiresAt = rest.time(), rest.time()
	r.StartedAt = rest.time()
	if r.LastAttemptedAt = r.StartedAt; !rest.same() {
		r.LastAttemptedAt = rest.time()
	}
	rest.take(sizeTime) // how long it is kept is in what never changes, too
	s.token = rest.take(sizeToken)
	attempts, behind, _ := strings.Cut(rest.s, ",")
	stop := strings.IndexAny(behind, ";+")
	if stop < 0 || stop == len(behind)-1 || behind[len(behind)-1] != ';' || rest.short {
		return s, errHead
	}
	s.more = behind[stop] == '+'
	_, err1 = strconv.Atoi(attempts)
	r.MaxAttempts, err2 = strconv.Atoi(behind[:stop])
	r.WorkerIDs, err3 = decodeWorkers(behind[stop+1 : len(behind)-1])
	if err1 != nil || err2 != nil || err3 != nil {
		return s, errHead
	}
	return s, nil
}

var errHead = errors.New("its head is cut or has no number where one belongs")

// heading is the part of a head in which what is unset is short.
type heading struct {
	s     string
	short bool // it ends too early, or a time is none
}

// take returns so many bytes, or nothing if they are unset.
func (h *heading) take(size int) string {
	switch {
	case h.s != "" && h.s[0] == noTime:
		h.s = h.s[1:]
		return ""
	case len(h.s) < size:
		h.s, h.short = "", true
		return ""
	}
	v := h.s[:size]
	h.s = h.s[size:]
	return v
}

func (h *heading) time() time.Time {
	t, err := parseTime(h.take(sizeTime))
	h.short = h.short || err != nil
	return t
}

// same reports whether a time is that before, and takes it.
func (h *heading) same() bool {
	if h.s == "" || h.s[0] != sameTime {
		return false
	}
	h.s = h.s[1:]
	return true
}
