package cli

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strconv"
	"strings"

	"github.com/goccy/go-yaml"
	"github.com/goccy/go-yaml/ast"
	"github.com/goccy/go-yaml/parser"
)

// The kinds of nodes.
const (
	scalar = iota
	object
	array
)

// node is a value in a file, with the line that it begins on.
type node struct {
	line    int
	kind    int
	text    string          // of a scalar: a string's value, or the JSON of another
	json    json.RawMessage // of a scalar
	null    bool
	members []member // of an object
	items   []*node  // of an array
}

type member struct {
	key   string
	line  int
	value *node
}

// file is a file of configuration.
type file struct {
	path string
	root *node
}

// at names a line of the file.
func (f *file) at(line int) string { return f.path + ":" + strconv.Itoa(line) }

func (f *file) fault(line int, format string, args ...any) error {
	return fmt.Errorf("%s: %w", f.at(line), fmt.Errorf(format, args...))
}

// readFile reads a file, as JSON if its name ends so and else as YAML.
func readFile(path string) (*file, error) {
	data, err := os.ReadFile(path)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, exit(ExitNotFound, fmt.Errorf("the configuration: %w; the path is relative to the working directory", err))
	}
	if err != nil {
		return nil, fmt.Errorf("the configuration: %w", err)
	}
	f := &file{path: path}
	if strings.EqualFold(filepath.Ext(path), ".json") {
		err = f.parseJSON(data)
	} else {
		err = f.parseYAML(data)
	}
	if err != nil {
		return nil, err
	}
	return f, nil
}

// find returns the deepest node on a path such as "default.options.path", and the line of
// its key.
func (n *node) find(path string) (line int, ok bool) {
	for path != "" && n.kind == object {
		var next *member
		for i, m := range n.members {
			// Keys may have dots.
			if rest, is := strings.CutPrefix(path, m.key); is && (rest == "" || strings.ContainsAny(rest[:1], ".[?")) {
				next, path = &n.members[i], strings.TrimPrefix(rest, ".")
				break
			}
		}
		if next == nil {
			return line, ok
		}
		n, line, ok = next.value, next.line, true
	}
	return line, ok
}

// get returns a member's value, or nil.
func (n *node) get(key string) *node {
	for _, m := range n.members {
		if m.key == key {
			return m.value
		}
	}
	return nil
}

// encode returns the node as JSON.
func (n *node) encode() json.RawMessage {
	var b bytes.Buffer
	switch n.kind {
	case object:
		b.WriteByte('{')
		for i, m := range n.members {
			if i > 0 {
				b.WriteByte(',')
			}
			key, _ := json.Marshal(m.key) // a string always can be
			b.Write(key)
			b.WriteByte(':')
			b.Write(m.value.encode())
		}
		b.WriteByte('}')
	case array:
		b.WriteByte('[')
		for i, item := range n.items {
			if i > 0 {
				b.WriteByte(',')
			}
			b.Write(item.encode())
		}
		b.WriteByte(']')
	default:
		b.Write(n.json)
	}
	return b.Bytes()
}

// parseJSON parses a file of JSON.
func (f *file) parseJSON(data []byte) (err error) {
	p := &jsonParser{file: f, data: data, dec: json.NewDecoder(bytes.NewReader(data))}
	p.dec.UseNumber()
	if f.root, err = p.value(); err != nil {
		return err
	}
	if _, err := p.dec.Token(); !errors.Is(err, io.EOF) {
		return f.fault(p.line(), "there is more after the object")
	}
	return nil
}

type jsonParser struct {
	file *file
	data []byte
	dec  *json.Decoder
}

// line is that of the token that was read last.
func (p *jsonParser) line() int {
	return 1 + bytes.Count(p.data[:min(p.dec.InputOffset(), int64(len(p.data)))], []byte("\n"))
}

func (p *jsonParser) token() (json.Token, error) {
	tok, err := p.dec.Token()
	if err == nil {
		return tok, nil
	}
	line := p.line()
	if s, ok := errors.AsType[*json.SyntaxError](err); ok {
		line = 1 + bytes.Count(p.data[:min(s.Offset, int64(len(p.data)))], []byte("\n"))
	}
	if errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) {
		err = errors.New("the JSON ends too early")
	}
	return nil, p.file.fault(line, "%w", err)
}

func (p *jsonParser) value() (*node, error) {
	tok, err := p.token()
	if err != nil {
		return nil, err
	}
	n := &node{line: p.line()}
	switch v := tok.(type) {
	case json.Delim:
		if v == '[' {
			n.kind = array
			err = p.items(n)
		} else {
			n.kind = object
			err = p.members(n)
		}
		if err == nil {
			_, err = p.token() // the end of it
		}
	case string:
		n.text = v
		n.json, _ = json.Marshal(v) // a string always can be
	case nil:
		n.null, n.text, n.json = true, "null", json.RawMessage("null")
	default:
		n.text = fmt.Sprint(v) // a bool or a json.Number
		n.json = json.RawMessage(n.text)
	}
	return n, err
}

func (p *jsonParser) items(n *node) error {
	for p.dec.More() {
		item, err := p.value()
		if err != nil {
			return err
		}
		n.items = append(n.items, item)
	}
	return nil
}

func (p *jsonParser) members(n *node) error {
	for p.dec.More() {
		tok, err := p.token()
		if err != nil {
			return err
		}
		m := member{line: p.line()}
		m.key, _ = tok.(string) // the decoder takes nothing else
		if n.get(m.key) != nil {
			return p.file.fault(m.line, "%q is there twice", m.key)
		}
		if m.value, err = p.value(); err != nil {
			return err
		}
		n.members = append(n.members, m)
	}
	return nil
}

// parseYAML parses a file of YAML, of one document, without anchors.
func (f *file) parseYAML(data []byte) error {
	parsed, err := parser.ParseBytes(data, 0)
	if fault, ok := errors.AsType[yaml.Error](err); ok {
		line := 1
		if tok := fault.GetToken(); tok != nil && tok.Position != nil {
			line = tok.Position.Line
		}
		return f.fault(line, "%s", fault.GetMessage()) // and not its text, which shows the lines around, with secrets
	}
	if err != nil {
		return fmt.Errorf("%s can't be read as YAML", f.path) // why might show them too
	}
	docs := parsed.Docs
	if len(docs) > 1 {
		return fmt.Errorf("%s: more than one document", f.path)
	}
	if len(docs) == 0 || docs[0].Body == nil {
		f.root = &node{line: 1, kind: object}
		return nil
	}
	f.root, err = f.fromYAML(docs[0].Body)
	return err
}

func (f *file) fromYAML(y ast.Node) (*node, error) {
	n := &node{line: 1}
	if tok := y.GetToken(); tok != nil && tok.Position != nil {
		n.line = tok.Position.Line
	}
	var pairs []*ast.MappingValueNode
	switch v := y.(type) {
	case *ast.MappingNode:
		n.kind, pairs = object, v.Values
	case *ast.MappingValueNode:
		n.kind, pairs = object, []*ast.MappingValueNode{v}
	case *ast.SequenceNode:
		n.kind = array
		for _, item := range v.Values {
			one, err := f.fromYAML(item)
			if err != nil {
				return nil, err
			}
			n.items = append(n.items, one)
		}
	case *ast.StringNode:
		n.setString(v.Value)
	case *ast.LiteralNode:
		n.setString(v.Value.Value)
	case *ast.NullNode:
		n.null, n.text, n.json = true, "null", json.RawMessage("null")
	case *ast.IntegerNode:
		n.text = fmt.Sprint(v.Value)
		n.json = json.RawMessage(n.text)
	case *ast.FloatNode:
		n.text = strconv.FormatFloat(v.Value, 'g', -1, 64)
		n.json = json.RawMessage(n.text)
	case *ast.BoolNode:
		n.text = strconv.FormatBool(v.Value)
		n.json = json.RawMessage(n.text)
	default:
		return nil, f.fault(n.line, "%s isn't taken here", y.Type())
	}
	for _, pair := range pairs {
		key, ok := pair.Key.(ast.Node)
		if !ok || key.Type() == ast.MergeKeyType {
			return nil, f.fault(n.line, "merge keys aren't taken here")
		}
		m := member{key: key.GetToken().Value, line: key.GetToken().Position.Line}
		if n.get(m.key) != nil {
			return nil, f.fault(m.line, "%q is there twice", m.key)
		}
		var err error
		if m.value, err = f.fromYAML(pair.Value); err != nil {
			return nil, err
		}
		n.members = append(n.members, m)
	}
	return n, nil
}

func (n *node) setString(s string) {
	n.text = s
	n.json, _ = json.Marshal(s) // a string always can be
}
