// Package backends knows the backends that come with the framework. A program
// that configures its backend at run time passes All to App.Open; one that wants
// fewer in its binary lists their drivers itself.
package backends

import (
	"github.com/sideman-go/sideman/backends/bolt"
	"github.com/sideman-go/sideman/backends/database"
	"github.com/sideman-go/sideman/backends/dummy"
	"github.com/sideman-go/sideman/backends/immediate"
	"github.com/sideman-go/sideman/backends/redis"
	"github.com/sideman-go/sideman/tasks"
)

// All returns the drivers of immediate, dummy, bolt, database and redis.
func All() tasks.Drivers {
	return tasks.Drivers{immediate.Driver(), dummy.Driver(), bolt.Driver(), database.Driver(), redis.Driver()}
}
