package cli

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"slices"
	"strings"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"github.com/sideman-go/sideman/tasks"
)

// envPrefix begins the name of every variable.
const envPrefix = "SIDEMAN_"

// variable returns the variable of a flag.
func variable(flag string) string {
	return envPrefix + strings.ToUpper(strings.ReplaceAll(flag, "-", "_"))
}

// handOnly are flags that only the user's own hand sets: what is dangerous isn't a habit.
func handOnly(flag string) bool {
	return slices.Contains([]string{"help", "yes", "all-matching", "all", "dry-run"}, flag)
}

// Where a setting can come from.
const (
	byFlag = iota
	byEnv
	byFile
	byDefault
)

// origin says where a setting comes from.
type origin struct {
	by   int
	text string // "--url", "SIDEMAN_URL", "sideman.json:3", "default"
}

// settings say where the values of a command's flags come from, and have the file.
type settings struct {
	from map[string]origin
	file *file // nil if there is none
}

// origin returns where a flag's value comes from.
func (s *settings) origin(flag string) origin { return s.from[flag] }

// settle sets the flags that the command line hasn't set: by variables, then by the file.
// Cobra has parsed the line before. All faults are reported together.
func (p *Program) settle(cmd *cobra.Command) (*settings, error) {
	s := &settings{from: make(map[string]origin)}
	var faults []error
	flags := cmd.Flags()
	flags.VisitAll(func(f *pflag.Flag) {
		s.from[f.Name] = origin{byDefault, "default"}
		if f.Changed {
			s.from[f.Name] = origin{byFlag, "--" + f.Name}
			return
		}
		value, ok := os.LookupEnv(variable(f.Name))
		if !ok || value == "" || handOnly(f.Name) {
			return
		}
		if err := flags.Set(f.Name, value); err != nil {
			faults = append(faults, fmt.Errorf("%s: %w", variable(f.Name), reason(err)))
			return
		}
		s.from[f.Name] = origin{byEnv, variable(f.Name)}
	})
	path, _ := flags.GetString("config")
	if s.from["config"].by == byDefault {
		path = findFile()
	}
	if path != "" {
		var err error
		if s.file, err = readFile(path); err != nil {
			return nil, errors.Join(append(faults, err)...)
		}
		faults = append(faults, s.applyFile(cmd)...)
	}
	if err := errors.Join(faults...); err != nil {
		return nil, exit(ExitUsage, fmt.Errorf("%w:\n%w", tasks.ErrInvalidConfig, err))
	}
	return s, nil
}

// reason drops what pflag says before the reason, which names a flag that the user
// hasn't given.
func reason(err error) error {
	if inner := errors.Unwrap(err); inner != nil {
		return inner
	}
	return err
}

// findFile returns the file in the working directory that is used if no other is named.
func findFile() string {
	for _, name := range []string{"sideman.json", "sideman.yaml", "sideman.yml"} {
		if _, err := os.Stat(name); err == nil || !errors.Is(err, fs.ErrNotExist) {
			return name
		}
	}
	return ""
}

// backendsKey is the member of a file that isn't a flag or a command.
const backendsKey = "backends"

// applyFile sets the flags of this command from the file. Members of other commands are
// looked at too, so that a misspelt one is found whatever is run.
func (s *settings) applyFile(cmd *cobra.Command) []error {
	root := cmd
	for root.HasParent() && root.PersistentFlags().Lookup("config") == nil {
		root = root.Parent()
	}
	return s.applyNode(s.file.root, root, cmd, "")
}

// applyNode goes through the members of one command, which is asked for or isn't.
func (s *settings) applyNode(n *node, at, asked *cobra.Command, path string) (faults []error) {
	if n.kind != object {
		return []error{s.file.fault(n.line, "%s must be an object", orTop(path))}
	}
	for _, m := range n.members {
		where := join(path, m.key)
		if path == "" && m.key == backendsKey {
			continue
		}
		name := strings.ReplaceAll(m.key, "_", "-")
		if sub := child(at, name); sub != nil && m.value.kind == object {
			faults = append(faults, s.applyNode(m.value, sub, asked, where)...)
			continue
		}
		f := own(at, name)
		if f == nil || handOnly(f.Name) || f.Name == "config" {
			faults = append(faults, s.file.fault(m.line, "%s: there is no such setting; known are %s", where, strings.Join(known(at), ", ")))
			continue
		}
		if err := setFlag(f, m.value, !s.isFor(f, at, asked)); err != nil {
			faults = append(faults, s.file.fault(m.value.line, "%s: %w", where, reason(err)))
		} else if s.isFor(f, at, asked) {
			s.from[f.Name] = origin{byFile, s.file.at(m.line)}
		}
	}
	return faults
}

// isFor reports whether the file's value for a flag of a command counts in the one that was asked for.
func (s *settings) isFor(f *pflag.Flag, at, asked *cobra.Command) bool {
	return asked.Flags().Lookup(f.Name) == f && s.from[f.Name].by >= byFile &&
		(at == asked || at.PersistentFlags().Lookup(f.Name) == f)
}

// child returns the command below another by its name.
func child(at *cobra.Command, name string) *cobra.Command {
	for _, c := range at.Commands() {
		if c.Name() == name {
			return c
		}
	}
	return nil
}

// own returns a flag that is a command's own.
func own(at *cobra.Command, name string) *pflag.Flag {
	if f := at.PersistentFlags().Lookup(name); f != nil {
		return f
	}
	return at.LocalNonPersistentFlags().Lookup(name)
}

// known returns what a file may have for a command.
func known(at *cobra.Command) (names []string) {
	add := func(f *pflag.Flag) {
		if !handOnly(f.Name) && f.Name != "config" {
			names = append(names, strings.ReplaceAll(f.Name, "-", "_"))
		}
	}
	at.PersistentFlags().VisitAll(add)
	at.LocalNonPersistentFlags().VisitAll(add)
	for _, c := range at.Commands() {
		if c.HasFlags() || c.HasSubCommands() {
			names = append(names, strings.ReplaceAll(c.Name(), "-", "_"))
		}
	}
	if at.PersistentFlags().Lookup("config") != nil {
		names = append(names, backendsKey)
	}
	slices.Sort(names)
	return slices.Compact(names)
}

// setFlag sets a flag from a file, or only tries whether it could be.
func setFlag(f *pflag.Flag, n *node, try bool) error {
	if isMap(f) && try { // what is set of a map stays in it
		f = emptyMap(f)
	}
	old := f.Value.String()
	list, isList := f.Value.(pflag.SliceValue)
	var before []string
	if isList {
		before = slices.Clone(list.GetSlice())
	}
	err := setValue(f, n)
	if err != nil || try {
		if isList {
			_ = list.Replace(before)
		} else if !isMap(f) {
			_ = f.Value.Set(old)
		}
	}
	return err
}

// emptyMap returns another flag of the same type.
func emptyMap(f *pflag.Flag) *pflag.Flag {
	set := pflag.NewFlagSet("", pflag.ContinueOnError)
	switch f.Value.Type() {
	case "stringToInt":
		set.StringToInt(f.Name, nil, "")
	case "stringToInt64":
		set.StringToInt64(f.Name, nil, "")
	default:
		set.StringToString(f.Name, nil, "")
	}
	return set.Lookup(f.Name)
}

func isMap(f *pflag.Flag) bool { return strings.HasPrefix(f.Value.Type(), "stringTo") }

func setValue(f *pflag.Flag, n *node) error {
	list, isList := f.Value.(pflag.SliceValue)
	switch {
	case n.kind == array && isList:
		var items []string
		for _, item := range n.items {
			if item.kind != scalar {
				return errors.New("must be a list of plain values")
			}
			items = append(items, item.text)
		}
		return list.Replace(items)
	case n.kind == object && isMap(f):
		var pairs []string
		for _, m := range n.members {
			if m.value.kind != scalar {
				return errors.New("must be an object of plain values")
			}
			pairs = append(pairs, m.key+"="+m.value.text)
		}
		return f.Value.Set(strings.Join(pairs, ","))
	case n.kind != scalar || n.null:
		return fmt.Errorf("must be a %s", f.Value.Type())
	}
	return f.Value.Set(n.text)
}

func join(path, key string) string {
	if path == "" {
		return key
	}
	return path + "." + key
}

func orTop(path string) string {
	if path == "" {
		return "the file"
	}
	return path
}
