package cli

import (
	"time"

	"github.com/spf13/pflag"
)

// days is a flag's duration that may have days, "7d", and may be "forever".
type days struct {
	span time.Duration
	set  bool
}

// forever is a retention without an end; any negative one is.
const forever = -1 * time.Nanosecond

func (d *days) String() string {
	switch {
	case !d.set:
		return ""
	case d.span == forever:
		return "forever"
	}
	return d.span.String()
}

// Set takes "" too, which is what it was before it was set.
func (d *days) Set(text string) (err error) {
	*d = days{set: text != ""}
	switch text {
	case "":
	case "forever":
		d.span = forever
	default:
		d.span, err = parseSpan(text)
	}
	return err
}

// Type is what a fault calls it.
func (d *days) Type() string { return "duration" }

func addDays(f *pflag.FlagSet, name, help string) { f.Var(&days{}, name, help) }

// days returns such a flag, and whether it is set.
func (c *call) days(name string) (time.Duration, bool) {
	d, ok := c.flags.Lookup(name).Value.(*days)
	if !ok {
		return 0, false
	}
	return d.span, d.set
}
