package cli

import (
	"bufio"
	"bytes"
	"fmt"
	"iter"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/mattn/go-runewidth"
)

// statsColumn is a column that is left out on a narrow terminal, those of the highest rank
// first; rank 0 stays.
type statsColumn struct {
	column[QueueStatsDoc]

	rank int
}

// statsColumns are those of the table of queues; rates are of no use without a sample before.
func statsColumns(rates bool) []statsColumn {
	count := func(head string, rank int, wide bool, n func(QueueStatsDoc) int64, paint func(QueueStatsDoc) style) statsColumn {
		return statsColumn{column[QueueStatsDoc]{
			head: head, wide: wide, right: true, paint: paint,
			cell: func(q QueueStatsDoc) string { return number(n(q)) },
		}, rank}
	}
	perSecond := func(head string, rank int, r func(QueueStatsDoc) *float64, s style) statsColumn {
		return statsColumn{column[QueueStatsDoc]{
			head: head, right: true,
			cell: func(q QueueStatsDoc) string { return rateText(r(q)) },
			paint: func(q QueueStatsDoc) style {
				if v := r(q); v != nil && *v > 0 {
					return s
				}
				return plain
			},
		}, rank}
	}
	all := []statsColumn{
		{column[QueueStatsDoc]{
			head: "QUEUE",
			cell: func(q QueueStatsDoc) string {
				if isTotal(q) {
					return "total"
				}
				return short(q.Queue, 32)
			},
			paint: func(q QueueStatsDoc) style {
				if isTotal(q) {
					return bold
				}
				return plain
			},
		}, 0},
		count("READY", 0, false, func(q QueueStatsDoc) int64 { return q.Ready }, func(q QueueStatsDoc) style {
			if q.Ready > 0 {
				return yellow
			}
			return plain
		}),
		count("RUNNING", 1, false, func(q QueueStatsDoc) int64 { return q.Running }, func(q QueueStatsDoc) style {
			if q.Running > 0 {
				return blue
			}
			return plain
		}),
		{column[QueueStatsDoc]{head: "OLDEST", right: true, cell: func(q QueueStatsDoc) string {
			if q.OldestSeconds == 0 {
				return ""
			}
			return span(time.Duration(q.OldestSeconds * float64(time.Second)))
		}}, 2},
	}
	if rates {
		all = append(all,
			perSecond("ENQ/S", 4, func(q QueueStatsDoc) *float64 { return q.EnqueuedPerSecond }, plain),
			perSecond("DONE/S", 3, func(q QueueStatsDoc) *float64 { return q.FinishedPerSecond }, green),
			perSecond("FAIL/S", 5, func(q QueueStatsDoc) *float64 { return q.FailedPerSecond }, red),
		)
	}
	return append(all,
		count("SUCCESSFUL", 8, true, func(q QueueStatsDoc) int64 { return q.Successful }, nil),
		count("CANCELLED", 7, true, func(q QueueStatsDoc) int64 { return q.Cancelled }, nil),
		count("FAILED", 6, false, func(q QueueStatsDoc) int64 { return q.Failed }, func(q QueueStatsDoc) style {
			if q.Failed > 0 {
				return red
			}
			return plain
		}),
		statsColumn{column[QueueStatsDoc]{
			head: "WORKERS", right: true, cell: func(q QueueStatsDoc) string { return strconv.Itoa(q.Workers) },
			paint: func(q QueueStatsDoc) style {
				if q.Workers == 0 && q.Ready > 0 {
					return red
				}
				return plain
			},
		}, 3},
		statsColumn{column[QueueStatsDoc]{
			head: "NOTE", cell: func(q QueueStatsDoc) string { return statsNote(q) },
			paint: func(QueueStatsDoc) style { return yellow },
		}, 9},
	)
}

// isTotal: it's the line of sums, which has no name.
func isTotal(q QueueStatsDoc) bool { return q.Queue == "" }

func statsNote(q QueueStatsDoc) string {
	switch {
	case isTotal(q):
	case q.Paused:
		return "paused"
	case q.Workers == 0 && q.Ready > 0:
		return "no worker"
	}
	return ""
}

// rateText is a rate with as many digits as matter.
func rateText(r *float64) string {
	switch {
	case r == nil:
		return ""
	case *r == 0:
		return "0"
	case *r < 10:
		return strconv.FormatFloat(*r, 'f', 1, 64)
	}
	return number(int64(*r + 0.5))
}

// printStats prints one document in the form that is asked for.
func (c *call) printStats(doc StatsDoc) error {
	v := view[StatsDoc]{doc: func(d StatsDoc) any { return d }}
	switch {
	case c.out.people():
		for _, line := range c.statsLines(doc, 0) {
			c.out.line("%s", line)
		}
		return nil
	case c.out.form == asName:
		for _, q := range doc.Queues {
			c.out.line("%s", q.Queue)
		}
		return nil
	}
	return printOne(c.out, v, doc, nil)
}

// statsLines is the table, in lines that fit the terminal. Queues are left out if there are more
// than most of them, unless that is 0.
func (c *call) statsLines(doc StatsDoc, most int) []string {
	rows := slices.Clone(doc.Queues)
	left := 0
	if most > 0 && len(rows) > most {
		// What is left out is where the least goes on, so that trouble is seen.
		slices.SortStableFunc(rows, func(a, b QueueStatsDoc) int { return int(min(max(busy(b)-busy(a), -1), 1)) })
		left = len(rows) - most
		rows = rows[:most]
		slices.SortFunc(rows, func(a, b QueueStatsDoc) int { return strings.Compare(a.Queue, b.Queue) })
	}
	rows = append(rows, *doc.Total)
	columns := statsColumns(c.bool("watch"))
	var lines []string
	for rank := 9; rank >= 0; rank-- {
		columns = slices.DeleteFunc(columns, func(col statsColumn) bool { return col.rank > rank })
		lines = c.tableLines(columns, rows)
		if c.out.width == 0 || widest(lines) <= c.out.width {
			break
		}
	}
	if left > 0 {
		lines = append(lines, fmt.Sprintf("and %d more queues", left))
	}
	return lines
}

func busy(q QueueStatsDoc) int64 { return q.Ready + q.Running + q.Failed }

// tableLines is what printTable prints.
func (c *call) tableLines(columns []statsColumn, rows []QueueStatsDoc) []string {
	var b bytes.Buffer
	p := *c.out
	p.w = bufio.NewWriter(&b)
	v := view[QueueStatsDoc]{}
	for _, col := range columns {
		v.columns = append(v.columns, col.column)
	}
	_ = printTable(&p, v, iter.Seq2[QueueStatsDoc, error](func(yield func(QueueStatsDoc, error) bool) {
		for _, q := range rows {
			if !yield(q, nil) {
				return
			}
		}
	})) // the rows have no errors
	_ = p.flush() // nor does a buffer
	return strings.Split(strings.TrimSuffix(b.String(), "\n"), "\n")
}

// widest is how many columns of a terminal lines take.
func widest(lines []string) (width int) {
	for _, line := range lines {
		width = max(width, runewidth.StringWidth(unpainted(line)))
	}
	return width
}

// unpainted takes the codes of paint out of a line.
func unpainted(line string) string {
	var b strings.Builder
	for {
		before, rest, found := strings.Cut(line, "\x1b[")
		b.WriteString(before)
		if !found {
			return b.String()
		}
		_, line, _ = strings.Cut(rest, "m")
	}
}
