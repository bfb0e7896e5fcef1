package database

import (
	"errors"
	"fmt"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/sideman-go/sideman/tasks"
	"github.com/sideman-go/sideman/tasks/lifecycle"
)

const (
	// DefaultSchema is what an empty Options.Schema means.
	DefaultSchema = "sideman"
	// DefaultPollInterval is what an Options.PollInterval of 0 means.
	DefaultPollInterval = 500 * time.Millisecond
	// maxSchema is how many bytes PostgreSQL keeps of a name.
	maxSchema = 63
)

// Options are the settings of a backend. The zero value has the documented
// defaults.
type Options struct {
	// URL says where the server is, for Open: "postgres://user:password@host:5432/db".
	// What it leaves out is taken from PGHOST and the other variables of libpq. It may
	// have the parameters of libpq, pgx and pgxpool: sslmode, pool_max_conns …
	URL string `json:"url,omitempty"`
	// Schema is the schema that the tables are in; the default is DefaultSchema. Any
	// name will do, with quotes and spaces in it too.
	Schema string `json:"schema,omitempty"`
	// Migrate makes Open bring the schema up to date, which needs the rights to.
	// Without it somebody calls Migrator.Up.
	Migrate bool `json:"migrate,omitempty"`
	// PollOnly does without LISTEN: for PgBouncer in transaction mode, and where each
	// connection counts. Idle workers look for work every PollInterval.
	PollOnly bool `json:"poll_only,omitempty"`
	// PollInterval is how often an idle worker looks for work that it wasn't told of.
	// The default is DefaultPollInterval.
	PollInterval time.Duration `json:"poll_interval,omitempty"`
	// AsyncClaims lets claims be committed before they are on the server's disk, which
	// spares an fsync for each. If the server crashes, the claims of the last second
	// or so are undone: their records are run again, perhaps while the first run goes on.
	AsyncClaims bool `json:"async_claims,omitempty"`

	// RetainSuccessful, RetainFailed and RetainCancelled are how long final records
	// are kept that don't say so themselves. The defaults are those of
	// lifecycle.Retention: 24 hours, 7 days and 24 hours. Negative means for ever.
	// A change applies to records that finish from then on.
	RetainSuccessful time.Duration `json:"retain_successful,omitempty"`
	RetainFailed     time.Duration `json:"retain_failed,omitempty"`
	RetainCancelled  time.Duration `json:"retain_cancelled,omitempty"`
}

// check returns every fault of the options, joined.
func (o *Options) check(own bool) error {
	faults := o.faults(own, func(option string) string { return option })
	for i, fault := range faults {
		faults[i] = fmt.Errorf("%w: %w", tasks.ErrInvalidConfig, fault)
	}
	return errors.Join(faults...)
}

// faults returns what is wrong with the options; at says where an option is.
func (o *Options) faults(own bool, at func(option string) string) (faults []error) {
	fault := func(option, format string, args ...any) {
		faults = append(faults, fmt.Errorf("%s: %s", at(option), fmt.Sprintf(format, args...)))
	}
	if !own && o.URL != "" {
		fault("url", "is for Open; New takes a pool")
	}
	if !own && o.Migrate {
		fault("migrate", "is for Open; with New, call Migrator.Up")
	}
	if err := checkSchema(o.schema()); err != nil {
		fault("schema", "%v", err)
	}
	if o.PollInterval < 0 || (o.PollInterval > 0 && o.PollInterval < time.Millisecond) || o.PollInterval > time.Hour {
		fault("poll_interval", "is not within 1ms…1h: %v", o.PollInterval)
	}
	return faults
}

// checkSchema says what is wrong with the name of a schema.
func checkSchema(name string) error {
	switch {
	case name == "":
		return errors.New("is empty")
	case len(name) > maxSchema:
		return fmt.Errorf("has %d bytes, and PostgreSQL cuts names off after %d", len(name), maxSchema)
	case !utf8.ValidString(name) || strings.ContainsRune(name, 0):
		return fmt.Errorf("isn't text: %q", name)
	case strings.HasPrefix(name, "pg_"):
		return fmt.Errorf("%q: names that start with pg_ are PostgreSQL's own", name)
	}
	return nil
}

func (o *Options) schema() string {
	if o.Schema == "" {
		return DefaultSchema
	}
	return o.Schema
}

func (o *Options) pollInterval() time.Duration {
	if o.PollInterval <= 0 {
		return DefaultPollInterval
	}
	return o.PollInterval
}

func (o *Options) retention() lifecycle.Retention {
	return lifecycle.Retention{
		Successful: o.RetainSuccessful,
		Failed:     o.RetainFailed,
		Cancelled:  o.RetainCancelled,
	}.Default()
}
