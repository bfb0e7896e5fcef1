package structure

// module is the path of the root module; packages are named relative to it.
const module = "github.com/sideman-go/sideman"

// A rule says what one package, or every package of a tree, may import besides the standard
// library. What isn't allowed is forbidden, so a new dependency needs a line here and a reason.
//
// Rules speak of what is compiled into a program. Files of tests may import more: the
// worker's tests need a backend, and a cycle is caught by the compiler.
type rule struct {
	// pkg is the package, as "tasks"; with "/..." it stands for those below it, too.
	// The most specific rule that matches a package is the one that counts.
	pkg string
	// allow are packages of this module, with or without "/...".
	allow []string
	// external are modules or packages of others.
	external []string
	// testing says that the package is for tests, and may import package testing.
	testing bool
	// planned says that there is no such package yet: the rule waits for it,
	// and a test asks to remove the mark when it's there.
	planned bool
	reason  string
}

var rules = []rule{
	{
		pkg:    "tasks/...",
		allow:  []string{"tasks/...", "internal/..."},
		reason: "everybody imports the core, so it costs nobody a dependency",
	},
	{
		pkg:    "internal/...",
		allow:  []string{"tasks/...", "internal/..."},
		reason: "the core uses internal, so what internal imports the core imports",
	},
	{
		pkg:      "internal/testserver",
		external: []string{"github.com/jackc/pgx/v5", "github.com/redis/go-redis/v9"},
		testing:  true,
		reason:   "only tests import it, and it cleans up after them",
	},
	{
		pkg:    "worker/...",
		allow:  []string{"tasks/...", "internal/...", "worker/..."},
		reason: "the worker runs on any backend, also on those that don't exist yet",
	},
	{
		pkg: "backends",
		allow: []string{
			"tasks/...",
			"backends/immediate", "backends/dummy", "backends/bolt", "backends/database", "backends/redis",
		},
		reason: "it only knows the names of the others",
	},
	{
		pkg:    "backends/immediate",
		allow:  []string{"tasks/...", "internal/...", "backends/immediate/..."},
		reason: "no backend rests on another: each can be used, and replaced, alone",
	},
	{
		pkg:    "backends/dummy",
		allow:  []string{"tasks/...", "internal/...", "backends/dummy/..."},
		reason: "no backend rests on another: each can be used, and replaced, alone",
	},
	{
		pkg:      "backends/bolt",
		allow:    []string{"tasks/...", "internal/...", "backends/bolt/..."},
		external: []string{"go.etcd.io/bbolt"},
		reason:   "no backend rests on another: each can be used, and replaced, alone",
	},
	{
		pkg:      "backends/database",
		allow:    []string{"tasks/...", "internal/...", "backends/database/..."},
		external: []string{"github.com/jackc/pgx/v5"},
		reason:   "no backend rests on another: each can be used, and replaced, alone",
	},
	{
		pkg:      "backends/redis",
		allow:    []string{"tasks/...", "internal/...", "backends/redis/..."},
		external: []string{"github.com/redis/go-redis/v9"},
		reason:   "no backend rests on another: each can be used, and replaced, alone",
	},
	{
		pkg:      "conformance/...",
		allow:    []string{"tasks/...", "internal/...", "conformance/..."},
		external: []string{"github.com/anishathalye/porcupine"},
		testing:  true,
		reason:   "authors of backends run the suite: it treats ours as it treats theirs",
	},
	{
		pkg:      "examples/...",
		allow:    []string{"tasks/...", "worker", "backends", "backends/...", "conformance", "examples/..."},
		external: []string{"go.etcd.io/bbolt", "github.com/jackc/pgx/v5", "github.com/redis/go-redis/v9"},
		reason:   "an example shows what its reader can do, who has no access to internal",
	},
	{
		pkg:    "examples/custombackend/filestore",
		allow:  []string{"tasks", "tasks/lifecycle"},
		reason: "the guide says that the author of a backend needs these two and nothing else",
	},
	{
		pkg:    "examples/custombackend/step1",
		allow:  []string{"tasks", "tasks/lifecycle"},
		reason: "the guide says that the author of a backend needs these two and nothing else",
	},
	{
		pkg:    "examples/custombackend/step2",
		allow:  []string{"tasks", "tasks/lifecycle"},
		reason: "the guide says that the author of a backend needs these two and nothing else",
	},
}
