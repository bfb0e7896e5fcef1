package cli_test

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/spf13/cobra"

	"github.com/sideman-go/sideman/cli"
)

// commandsOf are the paths of a command and of those below that people see.
func commandsOf(cmd *cobra.Command) (paths []string) {
	if cmd.Hidden {
		return nil
	}
	paths = append(paths, cmd.CommandPath())
	for _, sub := range cmd.Commands() {
		paths = append(paths, commandsOf(sub)...)
	}
	return paths
}

func TestManual(t *testing.T) {
	inFolder(t, map[string]string{"sideman.yaml": "bad: [\n"}) // where packages are built isn't where programs run
	t.Setenv("SOURCE_DATE_EPOCH", "1700000000")
	p := &cli.Program{App: newApp(), Name: "app", Version: "v1.2.3"}
	paths := commandsOf(p.Command())
	for ext, args := range map[string][]string{".1": {"man", "pages/man1"}, ".md": {"man", "--markdown", "pages/md"}} {
		dir := args[len(args)-1]
		if r := runWith(t, p, "", args...); r.code != 0 || r.out != "" || !strings.Contains(r.err, dir) {
			t.Fatalf("%q: exit code %d: %s%s", args, r.code, r.out, r.err)
		}
		for _, path := range paths {
			name := strings.ReplaceAll(path, " ", map[string]string{".1": "-", ".md": "_"}[ext]) + ext
			data, err := os.ReadFile(filepath.Join(dir, name))
			if err != nil {
				t.Error(err)
				continue
			}
			if text := string(data); strings.Contains(text, "Auto generated") || strings.Contains(text, "HISTORY") {
				t.Errorf("%s says when it was made: %s", name, text)
			}
		}
	}
	if _, err := os.Stat("pages/man1/app-man.1"); err == nil {
		t.Error("there is a page of what is hidden")
	}
	r := runWith(t, p, "", "man")
	for _, want := range []string{`.TH "APP" "1" "Nov 2023" "app v1.2.3"`, "SIDEMAN_URL", "SIDEMAN_CONFIG", "app-migrate(1)"} {
		if !strings.Contains(r.out, want) {
			t.Errorf("the page of the program has no %q: %s", want, r.out)
		}
	}
	if r := runWith(t, p, "", "man", "--markdown"); r.code != 0 || !strings.HasPrefix(r.out, "## app") {
		t.Errorf("as Markdown: exit code %d: %s%s", r.code, r.out, r.err)
	}
	if r := runWith(t, p, "", "man", "sideman.yaml"); r.code != cli.ExitFailure || !strings.Contains(r.err, "sideman.yaml") {
		t.Errorf("into a file: exit code %d: %s", r.code, r.err)
	}
	if r := runWith(t, p, "", "man", "a", "b"); r.code != cli.ExitUsage {
		t.Errorf("into two folders: exit code %d", r.code)
	}
	if help := runWith(t, p, "", "--help").out; strings.Contains(help, "Write the manual") {
		t.Errorf("the help has what is hidden: %s", help)
	}
	// A text that was escaped for the manual is as it was.
	root := p.Command()
	root.SetArgs([]string{"man"})
	root.SetOut(&strings.Builder{})
	if err := root.Execute(); err != nil || strings.Contains(root.Long, `\`) {
		t.Errorf("afterwards: %v, %s", err, root.Long)
	}
}

// Below a program of the user's own, the pages are those of these commands.
func TestManualBelowAnother(t *testing.T) {
	inFolder(t, nil)
	root := &cobra.Command{Use: "shop"}
	root.AddCommand(cli.Command(newApp()), &cobra.Command{Use: "sell", Run: func(*cobra.Command, []string) {}})
	root.SetArgs([]string{"tasks-admin", "man", "pages"})
	root.SetErr(&strings.Builder{})
	if err := root.Execute(); err != nil {
		t.Fatal(err)
	}
	for name, want := range map[string]bool{"shop-tasks-admin.1": true, "shop-tasks-admin-check.1": true, "shop-sell.1": false, "shop.1": false} {
		if _, err := os.Stat(filepath.Join("pages", name)); (err == nil) != want {
			t.Errorf("%s: %v, want it: %v", name, err, want)
		}
	}
}
