// Manage is a command line for the tasks of a shop, as manage.py is one for a Django project.
// From nothing to a finished task:
//
//	go run ./examples/cli/manage enqueue greet_user --args '"Michael"'
//	go run ./examples/cli/manage worker --batch
//	go run ./examples/cli/manage tasks list
//
// Without more it keeps the tasks in the file tasks.db; SIDEMAN_URL chooses another store.
package main

import (
	"github.com/sideman-go/sideman/cli"
	"github.com/sideman-go/sideman/examples/cli/shoptasks"
)

func main() { cli.Main(shoptasks.NewApp()) }
