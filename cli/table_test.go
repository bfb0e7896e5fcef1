package cli

import (
	"bufio"
	"bytes"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/mattn/go-runewidth"
)

// row is what the tables of these tests show.
type row struct{ name, count, more string }

func rowView() view[row] {
	return view[row]{
		doc:  func(r row) any { return r.name },
		name: func(r row) string { return r.name },
		columns: []column[row]{
			{head: "NAME", cell: func(r row) string { return r.name }, paint: func(row) style { return red }},
			{head: "COUNT", right: true, cell: func(r row) string { return r.count }},
			{head: "MORE", wide: true, cell: func(r row) string { return r.more }},
		},
	}
}

func rows(all []row, fault error) func(func(row, error) bool) {
	return func(yield func(row, error) bool) {
		for _, r := range all {
			if !yield(r, nil) {
				return
			}
		}
		if fault != nil {
			yield(row{}, fault)
		}
	}
}

// tabled prints rows and returns the lines.
func tabled(t *testing.T, p *printer, all []row, fault error) []string {
	t.Helper()
	var b bytes.Buffer
	p.w = bufio.NewWriter(&b)
	if err := printAll(p, rowView(), rows(all, fault)); !errors.Is(err, fault) {
		t.Fatalf("printing: %v", err)
	}
	if err := p.flush(); err != nil {
		t.Fatal(err)
	}
	return strings.Split(strings.TrimSuffix(b.String(), "\n"), "\n")
}

func mixedRows() []row {
	return []row{{"plain", "1", "a"}, {"日本語", "22", ""}, {"🙂🙂", "333", "b"}, {"é", "4", ""}, {"\x1b[31mred", "5", "c\nd"}}
}

// Columns stand below each other however wide their letters are.
func TestTableWidths(t *testing.T) {
	lines := tabled(t, &printer{form: asTable}, mixedRows(), nil)
	if len(lines) != 6 {
		t.Fatalf("got %d lines: %q", len(lines), lines)
	}
	for _, line := range lines {
		if got := runewidth.StringWidth(line); got != runewidth.StringWidth(lines[0]) {
			t.Errorf("%q is %d columns wide, the head %d", line, got, runewidth.StringWidth(lines[0]))
		}
		if strings.Contains(line, "\x1b") {
			t.Errorf("a control character came through: %q", line)
		}
	}
	if !strings.Contains(lines[5], `\x1b[31mred`) {
		t.Errorf("the control characters aren't shown: %q", lines[5])
	}
	if !strings.HasSuffix(lines[3], "  333") || !strings.HasSuffix(lines[1], "    1") {
		t.Errorf("numbers aren't aligned to the right: %q", lines)
	}
	if wide := tabled(t, &printer{form: asWide}, mixedRows(), nil); !strings.HasSuffix(wide[0], "MORE") || !strings.HasSuffix(wide[5], `c\nd`) {
		t.Errorf("wide: %q", wide)
	}
	// No line ends with spaces.
	for _, line := range tabled(t, &printer{form: asWide}, mixedRows(), nil) {
		if strings.HasSuffix(line, " ") {
			t.Errorf("%q ends with a space", line)
		}
	}
}

// Colour and boxes are for terminals that want them.
func TestTableOnATerminal(t *testing.T) {
	boxed := tabled(t, &printer{form: asTable, terminal: true}, mixedRows(), nil)
	if len(boxed) != 9 || !strings.HasPrefix(boxed[0], "╭") || !strings.HasPrefix(boxed[2], "├") || !strings.HasPrefix(boxed[8], "╰") {
		t.Errorf("no box: %q", boxed)
	}
	for _, line := range boxed {
		if strings.Contains(line, "\x1b") {
			t.Errorf("colour though it isn't asked for: %q", line)
		}
		if runewidth.StringWidth(line) != runewidth.StringWidth(boxed[0]) {
			t.Errorf("%q isn't as wide as the box", line)
		}
	}
	colour := tabled(t, &printer{form: asTable, terminal: true, color: true}, mixedRows(), nil)
	if !strings.Contains(strings.Join(colour, ""), "\x1b[31mplain\x1b[0m") {
		t.Errorf("no colour: %q", colour)
	}
	empty := tabled(t, &printer{form: asTable, terminal: true}, nil, nil)
	if len(empty) != 4 {
		t.Errorf("an empty table: %q", empty)
	}
}

// A table as long as it likes is printed piece by piece, and what came before an error stays.
func TestTableInPieces(t *testing.T) {
	many := make([]row, tablePiece+5)
	for i := range many {
		many[i] = row{"n", "1", ""}
	}
	many[tablePiece+2].name = "longer than all before"
	fault := errors.New("the store is gone")
	lines := tabled(t, &printer{form: asTable}, many, fault)
	if len(lines) != len(many)+1 {
		t.Errorf("got %d lines, want %d", len(lines), len(many)+1)
	}
	if boxed := tabled(t, &printer{form: asTable, terminal: true}, many, nil); len(boxed) != len(many)+4 {
		t.Errorf("got %d lines in a box, want %d", len(boxed), len(many)+4)
	}
}

func TestFields(t *testing.T) {
	var b bytes.Buffer
	p := &printer{w: bufio.NewWriter(&b), form: asTable}
	p.fields([]field{{name: "Name", value: "a\x1b[0m"}, {name: "Nothing at all"}, {name: "日本", value: "one\ntwo"}})
	if err := p.flush(); err != nil {
		t.Fatal(err)
	}
	if want := "Name  a\\x1b[0m\n日本  one\n      two\n"; b.String() != want {
		t.Errorf("got %q, want %q", b.String(), want)
	}
}

// What isn't a terminal gets no colour, whatever the environment says.
func TestPrinterOfAFile(t *testing.T) {
	f, err := os.Create(filepath.Join(t.TempDir(), "out"))
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	p, err := newPrinter(f, asTable, false)
	if err != nil || p.terminal || p.color || p.width != 0 {
		t.Errorf("got %+v, %v", p, err)
	}
	if _, err := newPrinter(f, "xml", false); ExitCode(err) != ExitUsage || !strings.Contains(err.Error(), "jsonl") {
		t.Errorf("an unknown form: %v", err)
	}
}
