package cli

import (
	"bufio"
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"iter"
	"os"
	"regexp"
	"slices"
	"strings"

	"github.com/goccy/go-yaml"
	"github.com/goccy/go-yaml/ast"
	"github.com/goccy/go-yaml/token"
	"golang.org/x/term"
)

// The forms of output.
const (
	asTable = "table"
	asWide  = "wide"
	asJSON  = "json"
	asJSONL = "jsonl"
	asYAML  = "yaml"
	asName  = "name"
)

func forms() []string { return []string{asTable, asWide, asJSON, asJSONL, asYAML, asName} }

// printer writes data in the form that is asked for.
type printer struct {
	w    *bufio.Writer
	form string
	// terminal: colour and boxes; width is how many columns it has, or 0.
	terminal bool
	width    int
	color    bool
	// file is the terminal, if it is one.
	file *os.File
}

func newPrinter(w io.Writer, form string, plain bool) (*printer, error) {
	if !slices.Contains(forms(), form) {
		return nil, usage("--output: there is no form %q; there are %s", form, strings.Join(forms(), ", "))
	}
	p := &printer{w: bufio.NewWriter(w), form: form}
	if f, ok := w.(*os.File); ok && term.IsTerminal(int(f.Fd())) {
		p.terminal = !plain
		p.color = !plain && os.Getenv("NO_COLOR") == "" && os.Getenv("TERM") != "dumb"
		p.width, _, _ = term.GetSize(int(f.Fd()))
		p.file = f
	}
	return p, nil
}

// flush writes what is buffered. Nobody reads any more if it fails.
func (p *printer) flush() error {
	if p == nil {
		return nil
	}
	return p.w.Flush()
}

// people: the form is for them, and not for programs.
func (p *printer) people() bool { return p.form == asTable || p.form == asWide }

func (p *printer) line(format string, args ...any) { _, _ = fmt.Fprintf(p.w, format+"\n", args...) }

// view says how things of a type are shown.
type view[T any] struct {
	columns []column[T]
	// doc is the thing as programs get it: something with stable JSON.
	doc func(T) any
	// name is what names it in other commands.
	name func(T) string
}

// column is one of a table.
type column[T any] struct {
	head string
	// wide: only shown in the form wide.
	wide bool
	// right: numbers, aligned to the right.
	right bool
	cell  func(T) string
	// paint colours a cell of a terminal's table; nil doesn't.
	paint func(T) style
}

// printAll prints a list as it comes, so that it's as long as it likes. After an error what
// was printed stays, and the JSON isn't closed.
func printAll[T any](p *printer, v view[T], all iter.Seq2[T, error]) error {
	switch p.form {
	case asTable, asWide:
		return printTable(p, v, all)
	case asName:
		for one, err := range all {
			if err != nil {
				return err
			}
			p.line("%s", v.name(one))
		}
		return nil
	}
	n := 0
	for one, err := range all {
		if err != nil {
			return err
		}
		if err := p.item(v.doc(one), n); err != nil {
			return err
		}
		n++
	}
	switch {
	case p.form == asJSON && n == 0, p.form == asYAML && n == 0:
		p.line("[]")
	case p.form == asJSON:
		p.line("\n]")
	}
	return nil
}

// item prints the n-th of a list.
func (p *printer) item(doc any, n int) error {
	switch p.form {
	case asJSONL:
		data, err := encode(doc, "")
		if err != nil {
			return err
		}
		p.line("%s", data)
	case asJSON:
		data, err := encode(doc, "  ")
		if err != nil {
			return err
		}
		_, _ = fmt.Fprintf(p.w, "%s\n  %s", map[bool]string{true: "[", false: ","}[n == 0], bytes.ReplaceAll(data, []byte("\n"), []byte("\n  ")))
	case asYAML:
		data, err := toYAML(doc)
		if err != nil {
			return err
		}
		for i, line := range strings.Split(strings.TrimSuffix(string(data), "\n"), "\n") {
			p.line("%s%s", map[bool]string{true: "- ", false: "  "}[i == 0], line)
		}
	}
	return nil
}

// printOne prints one thing: for people as lines of names and values.
func printOne[T any](p *printer, v view[T], one T, fields []field) error {
	switch p.form {
	case asTable, asWide:
		p.fields(fields)
	case asName:
		p.line("%s", v.name(one))
	case asYAML:
		data, err := toYAML(v.doc(one))
		if err != nil {
			return err
		}
		_, err = p.w.Write(data)
		return err
	default:
		indent := "  "
		if p.form == asJSONL {
			indent = ""
		}
		data, err := encode(v.doc(one), indent)
		if err != nil {
			return err
		}
		p.line("%s", data)
	}
	return nil
}

// stream prints the n-th document of a stream: JSON in a line each, YAML with a line between.
func (p *printer) stream(doc any, n int) error {
	if p.form != asYAML {
		data, err := encode(doc, "")
		p.line("%s", data)
		return err
	}
	if n > 0 {
		p.line("---")
	}
	data, err := toYAML(doc)
	if err != nil {
		return err
	}
	_, err = p.w.Write(data)
	return err
}

// encode is JSON without escapes for HTML.
func encode(doc any, indent string) ([]byte, error) {
	var b bytes.Buffer
	e := json.NewEncoder(&b)
	e.SetEscapeHTML(false)
	e.SetIndent("", indent)
	if err := e.Encode(doc); err != nil {
		return nil, err
	}
	return bytes.TrimSuffix(b.Bytes(), []byte("\n")), nil
}

func toYAML(doc any) ([]byte, error) {
	data, err := encode(doc, "")
	if err != nil {
		return nil, err
	}
	var tree any
	if err := yaml.UnmarshalWithOptions(data, &tree, yaml.UseOrderedMap()); err != nil {
		return nil, err
	}
	node, err := yaml.ValueToNode(tree, yaml.CustomMarshaler(yamlText))
	if err != nil {
		return nil, err
	}
	ast.Walk(keyQuoter{}, node)
	return []byte(node.String() + "\n"), nil
}

// keyQuoter puts quotes around the keys of mappings that mean something else without, and that
// the library doesn't see to.
type keyQuoter struct{}

var specialKey = regexp.MustCompile(`(?i)^([+-]?\.inf|\.nan|<<)$`)

// Visit implements ast.Visitor.
func (q keyQuoter) Visit(node ast.Node) ast.Visitor {
	if pair, ok := node.(*ast.MappingValueNode); ok {
		if key, text := pair.Key.(*ast.StringNode); text && specialKey.MatchString(key.Value) {
			pair.Key = ast.String(token.DoubleQuote(key.Value, key.Value, key.Token.Position))
		}
	}
	return q
}

// plainText is what no reader of YAML takes for a number, a time, a boolean or the like, except for
// plainWords.
var plainText = regexp.MustCompile(`^[A-Za-z_/][A-Za-z0-9_./-]*$`)

// plainWords mean something else in YAML 1.1 or 1.2, whatever their case.
const plainWords = "|true|false|yes|no|on|off|y|n|null|"

// yamlText writes a text with quotes, as JSON has it, unless it is plain: an id can look like 1e5.
func yamlText(s string) ([]byte, error) {
	if plainText.MatchString(s) && !strings.Contains(plainWords, "|"+strings.ToLower(s)+"|") {
		return []byte(s), nil
	}
	return encode(s, "")
}

// jsonUnmarshal decodes what may be empty.
func jsonUnmarshal(data []byte, into any) error {
	if len(data) == 0 {
		return nil
	}
	return json.Unmarshal(data, into)
}
