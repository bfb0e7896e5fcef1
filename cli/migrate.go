package cli

import (
	"context"
	"fmt"
	"slices"
	"strconv"
	"time"

	"github.com/spf13/cobra"

	"github.com/sideman-go/sideman/backends/database"
	"github.com/sideman-go/sideman/tasks"
)

// MigrationDoc is a step of the schema's history. AppliedAt isn't there if the database
// doesn't have it, or not any more.
type MigrationDoc struct {
	Version   int    `json:"version"`
	Name      string `json:"name"`
	AppliedAt string `json:"applied_at,omitempty"`
}

func (p *Program) migrateCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use: "migrate", Short: "Bring the schema of a database up to date", Args: cobra.NoArgs,
		Long: `Bring the schema of a database up to date, as "migrate up" does.

Only PostgreSQL has a schema. On other stores there is nothing to migrate, which is no error, so
that a deployment may do it on any. When several processes migrate at once, one does, and the
others find it done. All steps of a command are one transaction.`,
		Example: "  @ migrate\n  @ migrate status\n  @ migrate sql --from 1 > upgrade.sql\n  @ migrate down --to 1 --dry-run",
		RunE:    p.run(migrateUp),
	}
	addUp(cmd)
	up := &cobra.Command{
		Use: "up", Short: "Apply the migrations that are missing", Args: cobra.NoArgs, RunE: p.run(migrateUp),
	}
	addUp(up)
	down := &cobra.Command{
		Use: "down", Short: "Take migrations back, the newest one or all above --to", Args: cobra.NoArgs, RunE: p.run(migrateDown),
		Long: `Take migrations back: the newest one, or all that are newer than the version --to.

With --to 0 every table is dropped, and all tasks with them. Stop the workers first: they need
the newest version.`,
	}
	down.Flags().Int("to", oneDown, "the `VERSION` that stays; 0 drops all tables and tasks; -1: the one before the newest that is there")
	down.Flags().Bool("dry-run", false, "show what would be taken back, and take nothing back")
	down.Flags().BoolP("yes", "y", false, "don't ask")
	status := &cobra.Command{
		Use: "status", Short: "List the migrations, and which the database has", Args: cobra.NoArgs, RunE: p.run(migrateStatus),
	}
	sql := &cobra.Command{
		Use: "sql", Short: "Print the SQL of migrations, to be run by other means", Args: cobra.NoArgs, RunE: p.run(migrateSQL),
		Long: `Print the SQL that brings the schema from one version to another, for psql or another tool.

It is for those who let nobody but themselves change a schema. The database isn't asked, so say
the version that it has: "migrate status" tells. With a --from above --to it goes down.`,
		Example: "  @ migrate sql | psql -v ON_ERROR_STOP=1 app\n  @ migrate sql --from 1 --to 2",
	}
	sql.Flags().Int("from", 0, "the `VERSION` that the schema has; 0: none")
	sql.Flags().Int("to", newestUp, "the `VERSION` to come to; -1: the newest")
	cmd.AddCommand(up, down, status, sql)
	return cmd
}

// What --to means if it isn't said.
const (
	oneDown  = -1
	newestUp = -1
)

func addUp(cmd *cobra.Command) {
	cmd.Flags().Int("to", newestUp, "the `VERSION` to come to; -1: the newest")
	cmd.Flags().Bool("dry-run", false, "show what would be applied, and apply nothing")
}

// migrationView shows migrations.
func migrationView(now time.Time) view[database.Migration] {
	return view[database.Migration]{
		doc:  func(m database.Migration) any { return MigrationDoc{m.Version, m.Name, stamp(m.AppliedAt)} },
		name: func(m database.Migration) string { return strconv.Itoa(m.Version) },
		columns: []column[database.Migration]{
			{head: "VERSION", right: true, cell: func(m database.Migration) string { return strconv.Itoa(m.Version) }},
			{head: "NAME", cell: func(m database.Migration) string { return m.Name }},
			{
				head: "APPLIED", cell: func(m database.Migration) string {
					if m.AppliedAt.IsZero() {
						return "no"
					}
					return clock(m.AppliedAt, now)
				},
				paint: func(m database.Migration) style {
					if m.AppliedAt.IsZero() {
						return yellow
					}
					return green
				},
			},
		},
	}
}

func (c *call) printMigrations(all []database.Migration) error {
	return printAll(c.out, migrationView(time.Now()), func(yield func(database.Migration, error) bool) {
		for _, m := range all {
			if !yield(m, nil) {
				return
			}
		}
	})
}

// migrator opens the backend and returns what migrates it, or nil if it has nothing to
// migrate. The option migrate isn't obeyed: opening must not do what is only asked about.
func (c *call) migrator(ctx context.Context) (*database.Migrator, error) {
	app := c.p.App
	if app == nil || len(app.Aliases()) == 0 {
		s, err := c.store()
		if err != nil {
			return nil, err
		}
		one := s.config[c.g.backend]
		if boltPath(one) != "" {
			return nil, nil //nolint:nilnil // nothing to migrate; the file may not be there yet
		}
		app = tasks.NewAppWith(tasks.AppOptions{Logger: c.logger()})
		if err := c.openAs(ctx, app, tasks.Config{c.g.backend: withoutMigrate(one)}, s.from); err != nil {
			return nil, err
		}
	}
	b, err := app.Backend(c.g.backend)
	if err != nil {
		return nil, err
	}
	if db, ok := tasks.As[*database.Backend](b); ok {
		return db.Migrator(), nil
	}
	return nil, nil //nolint:nilnil // nothing to migrate
}

// nothingToMigrate says that the store has no schema, and prints the list that is empty.
func (c *call) nothingToMigrate() error {
	c.say("There is nothing to migrate: only a database has a schema, and backend %q is none.", c.g.backend)
	if c.out.people() {
		return nil
	}
	return c.printMigrations(nil)
}

func migrateStatus(ctx context.Context, c *call, _ []string) error {
	m, err := c.migrator(ctx)
	if err != nil {
		return err
	}
	if m == nil {
		return c.nothingToMigrate()
	}
	all, err := m.Status(ctx)
	if err != nil {
		return err
	}
	if err := c.printMigrations(all); err != nil {
		return err
	}
	if slices.ContainsFunc(all, func(m database.Migration) bool { return m.AppliedAt.IsZero() }) {
		c.sayLast("The schema isn't up to date: migrate up applies what is missing.")
	}
	return nil
}

// sayLast says something below the data.
func (c *call) sayLast(format string, args ...any) {
	_ = c.out.flush() // if nobody reads that, the flush at the end says so
	c.say(format, args...)
}

func migrateUp(ctx context.Context, c *call, _ []string) error {
	newest := len(database.Migrations())
	to := c.count("to")
	switch {
	case to == newestUp:
		to = newest
	case to < 1 || to > newest:
		return usage("--to %d: migrate up goes to version 1 to %d", to, newest)
	}
	m, err := c.migrator(ctx)
	if err != nil {
		return err
	}
	if m == nil {
		return c.nothingToMigrate()
	}
	var took []database.Migration
	did := "Applied"
	if c.bool("dry-run") {
		did = "Would apply"
		all, err := m.Status(ctx)
		if err != nil {
			return err
		}
		for _, step := range all {
			if step.Version <= to && step.AppliedAt.IsZero() {
				took = append(took, step)
			}
		}
	} else if took, err = m.Up(ctx, to); err != nil {
		return err
	}
	if len(took) == 0 {
		c.say("There is nothing to apply: the schema is at version %d or newer.", to)
		if c.out.people() {
			return nil
		}
	}
	return c.printTook(did, took)
}

// printTook prints what was done, or would be.
func (c *call) printTook(did string, took []database.Migration) error {
	err := c.printMigrations(took)
	switch {
	case err != nil || len(took) == 0:
	case len(took) == 1:
		c.sayLast("%s 1 migration.", did)
	default:
		c.sayLast("%s %d migrations.", did, len(took))
	}
	return err
}

func migrateDown(ctx context.Context, c *call, _ []string) error {
	to := c.count("to")
	if newest := len(database.Migrations()); to < oneDown || to > newest {
		return usage("--to %d: migrate down goes to version 0 to %d", to, newest)
	}
	m, err := c.migrator(ctx)
	if err != nil {
		return err
	}
	if m == nil {
		return c.nothingToMigrate()
	}
	all, err := m.Status(ctx)
	if err != nil {
		return err
	}
	slices.Reverse(all)
	applied := slices.DeleteFunc(all, func(m database.Migration) bool { return m.AppliedAt.IsZero() })
	if to == oneDown && len(applied) > 0 {
		to = applied[0].Version - 1
	}
	down := slices.DeleteFunc(applied, func(m database.Migration) bool { return m.Version <= to })
	switch {
	case len(down) == 0:
		c.say("There is nothing to take back.")
		if c.out.people() {
			return nil
		}
		return c.printMigrations(nil)
	case c.bool("dry-run"):
		err := c.printTook("Would take back", down)
		if to == 0 {
			c.sayLast("That would drop every table of the schema, and all tasks with them.")
		}
		return err
	}
	question := fmt.Sprintf("Take the schema of backend %q back to version %d?", c.g.backend, to)
	if to == 0 {
		question = fmt.Sprintf("Drop every table of backend %q, and all tasks with them?", c.g.backend)
	}
	if err := c.confirm(ctx, question); err != nil {
		return err
	}
	took, err := m.Down(ctx, to)
	if err != nil {
		return err
	}
	for i := range took {
		took[i].AppliedAt = time.Time{} // it isn't any more
	}
	return c.printTook("Took back", took)
}

func migrateSQL(ctx context.Context, c *call, _ []string) error {
	newest := len(database.Migrations())
	from, to := c.count("from"), c.count("to")
	if to == newestUp {
		to = newest
	}
	if from < 0 || from > newest || to < 0 || to > newest {
		return usage("the versions of the schema are 0 to %d", newest)
	}
	if from == to {
		return usage("--from and --to are both %d: there is nothing between them", from)
	}
	sql, err := c.migrationSQL(ctx, from, to)
	if err != nil || sql == "" {
		return err
	}
	_, err = c.out.w.WriteString(sql)
	return err
}

// migrationSQL doesn't connect if the configuration says which schema it is; "" if there is none.
func (c *call) migrationSQL(ctx context.Context, from, to int) (string, error) {
	if app := c.p.App; app == nil || len(app.Aliases()) == 0 {
		s, err := c.store()
		if err != nil {
			return "", err
		}
		if schema, ok := schemaOf(s.config[c.g.backend]); ok {
			return database.MigrationSQL(schema, from, to)
		}
	}
	m, err := c.migrator(ctx)
	if err != nil {
		return "", err
	}
	if m == nil {
		c.say("There is nothing to migrate: only a database has a schema, and backend %q is none.", c.g.backend)
		return "", nil
	}
	return m.SQL(from, to)
}
