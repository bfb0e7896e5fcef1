package cli

import (
	"bufio"
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"

	"github.com/spf13/cobra"

	"github.com/sideman-go/sideman/tasks"
)

func (p *Program) tasksExportCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use: "export", Short: "Write tasks as JSON lines, the oldest first", Args: cobra.NoArgs,
		Long: `Write all tasks, or those that the flags select, as JSON lines: one object a task, as
"list -o jsonl" has it, the oldest first. Tasks that come or go meanwhile may be among them or not.`,
		Example: "  @ export --status failed --since 7d --file failed.jsonl\n  @ export | gzip > tasks.jsonl.gz",
		RunE:    p.run(exportTasks),
	}
	f := cmd.Flags()
	addFilter(f)
	f.String("file", "", "write to this `FILE`, which is there when all of it is; default: standard output")
	return cmd
}

func exportTasks(ctx context.Context, c *call, _ []string) error {
	if c.settings.origin("output").by == byFlag && c.g.output != asJSONL {
		return usage("export writes JSON lines; for --output %s there is list --oldest --limit 0", c.g.output)
	}
	filter, err := c.filter()
	if err != nil {
		return err
	}
	admin, err := c.admin(ctx)
	if err != nil {
		return err
	}
	path := c.text("file")
	if path == "" || path == "-" {
		n, err := c.writeTasks(ctx, c.out.w, admin, filter, c.out.width > 0)
		if err != nil && n > 0 {
			return fmt.Errorf("stopped after %s: %w", plural(n, "task"), err)
		}
		return err
	}
	n := 0
	err = writeFile(path, func(w io.Writer) (err error) {
		n, err = c.writeTasks(ctx, w, admin, filter, false)
		return err
	})
	if err != nil {
		return fmt.Errorf("%s was not written: %w", path, err)
	}
	c.say("Exported %s to %s.", plural(n, "task"), path)
	return nil
}

// writeTasks writes tasks page by page, and returns how many.
func (c *call) writeTasks(ctx context.Context, w io.Writer, admin *tasks.Admin, filter tasks.Filter, silent bool) (n int, err error) {
	m := &meter{c: c, what: "Exporting"}
	if !silent { // the data would run into the bar
		m = c.meter("Exporting", -1)
		defer m.end()
	}
	for rec, err := range admin.All(ctx, filter) {
		if err != nil {
			return n, err
		}
		line, err := encode(newTaskDoc(rec), "")
		if err != nil {
			return n, fmt.Errorf("task %s: %w", rec.ID, err)
		}
		if _, err := w.Write(append(line, '\n')); err != nil {
			return n, err
		}
		if n++; n%tasks.MaxPage == 0 && !silent {
			m.at(n)
		}
	}
	return n, nil
}

// writeFile writes a file whole or not at all: beside it, and then it's renamed.
func writeFile(path string, write func(io.Writer) error) (err error) {
	if target, err := filepath.EvalSymlinks(path); err == nil {
		path = target // the link stays
	}
	mode := fs.FileMode(0o666) // less the umask
	info, err := os.Stat(path)
	switch {
	case err == nil && !info.Mode().IsRegular():
		return usage("it isn't a plain file, and can't be replaced by one")
	case err == nil:
		mode = info.Mode().Perm()
	case !errors.Is(err, fs.ErrNotExist):
		return err
	}
	temporary := filepath.Join(filepath.Dir(path), ".export-"+rand.Text()+".tmp")
	f, err := os.OpenFile(temporary, os.O_WRONLY|os.O_CREATE|os.O_EXCL, mode)
	if err != nil {
		return err
	}
	defer func() {
		if err != nil {
			_ = f.Close() // a second time does nothing
			_ = os.Remove(temporary)
		}
	}()
	w := bufio.NewWriterSize(f, 64<<10)
	for _, step := range []func() error{func() error { return write(w) }, w.Flush, f.Sync, f.Close} {
		if err := step(); err != nil {
			return err
		}
	}
	return os.Rename(temporary, path)
}
