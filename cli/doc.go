// Package cli makes a command line of an App, as Django's manage.py is one of a project: it
// runs workers, enqueues tasks, shows their results, and administers the store.
//
//	func main() { cli.Main(app) }
//
// A worker needs the tasks' code, so such a program can run workers, and the stand-alone
// cmd/sideman, which administers any store by its URL, can't.
//
// [Program] has more settings than [Main], and [Command] is for programs that have
// commands of their own, by cobra. docs/cli.md shows all commands.
//
// # Configuration
//
// A flag comes before a variable of the environment, that before the file, and that before
// the default. Each flag has a variable, SIDEMAN_ and its name in capitals, and a place in
// the file: that of a command has its command's name around it.
//
//	{
//	  "backends": {"default": {"url": "postgres://app@db/app"}},
//	  "output": "wide",
//	  "worker": {"concurrency": 100, "lease": "1m"}
//	}
//
// backends is as for tasks.ParseConfig; url may stand in its place. The file is read
// strictly, and faults are reported with their lines.
//
// # Output
//
// Data goes to standard output, words go to standard error. Tables are for people and may
// change; what -o json, jsonl and yaml print is stable: TaskDoc and the other types by such
// names say what it is. Exit codes are constants.
package cli
