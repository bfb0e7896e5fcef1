package cli

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/sideman-go/sideman/tasks"
)

// idBatch is how many ids are changed in one call of the store.
const idBatch = 500

// changeIDs changes tasks one by one, as far as the caller is concerned, and says what became of each.
func (c *call) changeIDs(ctx context.Context, d deed, args []string) error {
	// Whoever writes them may have a file open that only one process can: it has ended by then.
	ids, err := c.ids(ctx, args)
	if err != nil {
		return err
	}
	admin, err := c.admin(ctx)
	if err != nil {
		return err
	}
	do := func(ids []string) ([]ChangeDoc, error) {
		altered, err := admin.Alter(ctx, d.change, ids...)
		docs := make([]ChangeDoc, len(altered))
		for i, a := range altered {
			docs[i] = newChangeDoc(ids[i], a)
		}
		return docs, err
	}
	dry := c.bool("dry-run")
	if dry {
		do = func(ids []string) ([]ChangeDoc, error) { return c.foresee(ctx, d, ids) }
	}
	var n tally
	err = printAll(c.out, changeView(d), func(yield func(ChangeDoc, error) bool) {
		for batch := range slices.Chunk(ids, idBatch) {
			docs, err := do(batch)
			if err != nil {
				yield(ChangeDoc{}, n.stopped(d, err))
				return
			}
			for _, doc := range docs {
				n.add(doc)
				if (doc.Changed || c.out.form != asName) && !yield(doc, nil) {
					return
				}
			}
		}
	})
	if err != nil {
		return err
	}
	_ = c.out.flush() // before the words
	switch {
	case n.all == 0:
		c.say("There was no id on standard input.")
	case dry:
		c.say("A dry run: nothing was changed.")
	}
	return n.fault(d)
}

// foresee says what a change would do to tasks.
func (c *call) foresee(ctx context.Context, d deed, ids []string) (docs []ChangeDoc, err error) {
	app, err := c.open(ctx)
	if err != nil {
		return nil, err
	}
	for _, id := range ids {
		res, err := app.GetResult(ctx, c.g.backend, id)
		var a tasks.Altered
		switch {
		case errors.Is(err, tasks.ErrResultNotFound):
			a.Err = tasks.ErrResultNotFound
		case err != nil:
			return nil, err
		default:
			if a.Status = res.Status; !d.applies(a.Status) {
				a.Err = tasks.ErrNoChange
			}
		}
		doc := newChangeDoc(id, a)
		doc.dry = true
		docs = append(docs, doc)
	}
	return docs, nil
}

// ids returns the ids that are asked for, with those on standard input instead of a "-".
func (c *call) ids(ctx context.Context, args []string) (ids []string, err error) {
	for _, arg := range args {
		if arg != "-" {
			ids = append(ids, arg)
			continue
		}
		for line, err := range lines(ctx, c.in) {
			if err != nil {
				return nil, fmt.Errorf("reading ids from standard input: %w", err)
			}
			if line = strings.TrimSpace(line); line != "" {
				ids = append(ids, line)
			}
		}
	}
	return ids, nil
}

// tally counts what became of tasks.
type tally struct {
	all, changed, notFound, conflicts, failed int
}

func (n *tally) add(doc ChangeDoc) {
	n.all++
	switch doc.code {
	case ExitOK:
		n.changed++
	case ExitNotFound:
		n.notFound++
	case ExitConflict:
		n.conflicts++
	default:
		n.failed++
	}
}

// stopped is the error of a change that ended before its end.
func (n *tally) stopped(d deed, err error) error {
	if n.all == 0 {
		return err
	}
	return fmt.Errorf("stopped after %s, %s of them %s: %w", plural(n.all, "task"), number(int64(n.changed)), d.done, err)
}

// fault is the error of a change that some tasks didn't undergo.
func (n *tally) fault(d deed) error {
	var why []string
	code := ExitOK
	for _, part := range []struct {
		n, code int
		text    string
	}{
		{n.failed, ExitFailure, "failed"},
		{n.conflicts, ExitConflict, "not " + statusList(d.from, "or")},
		{n.notFound, ExitNotFound, "not found"},
	} {
		if part.n > 0 {
			code = part.code
			why = append(why, fmt.Sprintf("%s %s", number(int64(part.n)), part.text))
		}
	}
	if code == ExitOK {
		return nil
	}
	if n.all == 1 {
		_, text, _ := strings.Cut(why[0], " ")
		return exit(code, fmt.Errorf("the task was not %s: %s", d.done, text))
	}
	return exit(code, fmt.Errorf("%s of %s were not %s: %s", number(int64(n.all-n.changed)), plural(n.all, "task"), d.done, strings.Join(why, ", ")))
}
