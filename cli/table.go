package cli

import (
	"iter"
	"strings"

	"github.com/mattn/go-runewidth"
)

// style is how a terminal shows a text: a code of SGR, or "".
type style string

// The styles.
const (
	plain  style = ""
	bold   style = "1"
	faint  style = "2"
	red    style = "31"
	green  style = "32"
	yellow style = "33"
	blue   style = "34"
)

func (p *printer) paint(s style, text string) string {
	if s == plain || !p.color || text == "" {
		return text
	}
	return "\x1b[" + string(s) + "m" + text + "\x1b[0m"
}

// tablePiece is how many rows are measured together: the first ones decide on the widths, so
// that a list of any length is shown as it comes.
const tablePiece = 200

func printTable[T any](p *printer, v view[T], all iter.Seq2[T, error]) error {
	var columns []column[T]
	for _, c := range v.columns {
		if !c.wide || p.form == asWide {
			columns = append(columns, c)
		}
	}
	t := &table{p: p, widths: make([]int, len(columns)), right: make([]bool, len(columns))}
	head := make([]cell, len(columns))
	for i, c := range columns {
		head[i] = cell{c.head, bold}
		t.right[i] = c.right
	}
	t.add(head)
	for one, err := range all {
		if err != nil {
			t.flush()
			return err
		}
		row := make([]cell, len(columns))
		for i, c := range columns {
			row[i].text = c.cell(one)
			if c.paint != nil {
				row[i].style = c.paint(one)
			}
		}
		t.add(row)
	}
	t.end()
	return nil
}

type cell struct {
	text  string
	style style
}

// table lays out rows.
type table struct {
	p      *printer
	widths []int
	right  []bool
	rows   [][]cell
	begun  bool
}

func (t *table) add(row []cell) {
	for i := range row {
		row[i].text = visible(row[i].text)
	}
	t.rows = append(t.rows, row)
	if len(t.rows) >= tablePiece {
		t.flush()
	}
}

// flush prints the rows so far.
func (t *table) flush() {
	for _, row := range t.rows {
		for i, c := range row {
			t.widths[i] = max(t.widths[i], runewidth.StringWidth(c.text))
		}
	}
	for _, row := range t.rows {
		if t.p.terminal && !t.begun {
			t.rule("╭", "┬", "╮")
		}
		t.print(row)
		if t.p.terminal && !t.begun {
			t.rule("├", "┼", "┤")
		}
		t.begun = true
	}
	t.rows = t.rows[:0]
}

func (t *table) end() {
	t.flush()
	if t.p.terminal {
		t.rule("╰", "┴", "╯")
	}
}

func (t *table) rule(left, middle, right string) {
	parts := make([]string, len(t.widths))
	for i, w := range t.widths {
		parts[i] = strings.Repeat("─", w+2)
	}
	t.p.line("%s", t.p.paint(faint, left+strings.Join(parts, middle)+right))
}

func (t *table) print(row []cell) {
	var b strings.Builder
	for i, c := range row {
		space := strings.Repeat(" ", max(0, t.widths[i]-runewidth.StringWidth(c.text)))
		text := t.p.paint(c.style, c.text)
		if t.right[i] {
			text = space + text
		} else {
			text += space
		}
		switch {
		case t.p.terminal:
			b.WriteString(t.p.paint(faint, "│") + " " + text + " ")
		case i > 0:
			b.WriteString("  " + text)
		default:
			b.WriteString(text)
		}
	}
	if t.p.terminal {
		b.WriteString(t.p.paint(faint, "│"))
	}
	t.p.line("%s", strings.TrimRight(b.String(), " "))
}

// field is a name and a value, for people.
type field struct {
	name, value string
	style       style
}

// fields prints names and values, those that have one.
func (p *printer) fields(all []field) {
	width := 0
	for _, f := range all {
		if f.value != "" {
			width = max(width, runewidth.StringWidth(f.name))
		}
	}
	for _, f := range all {
		if f.value == "" {
			continue
		}
		lines := strings.Split(f.value, "\n")
		for i, line := range lines {
			name := f.name
			if i > 0 {
				name = ""
			}
			p.line("%s  %s", p.paint(bold, name+strings.Repeat(" ", width-runewidth.StringWidth(name))), p.paint(f.style, visible(line)))
		}
	}
}
