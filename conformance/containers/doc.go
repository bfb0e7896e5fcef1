// Package containers gives tests a PostgreSQL or Redis server that they can pause, cut off,
// restart and kill:
//
//	var server = containers.Shared(containers.Redis)
//
//	func TestMain(m *testing.M) { os.Exit(server.Main(m)) }
//
//	func TestIt(t *testing.T) {
//		s := server.Get(t)          // starts it, once; skips if that can't be
//		open(s.URL())               // through a proxy
//		defer s.Pause(t)()
//
// The server runs in a container of the test process's own, unless TASKS_TEST_POSTGRES_URL
// or TASKS_TEST_REDIS_URL names one that runs already; docs/testing.md has the rest.
//
// It is a module of its own because of the Docker client and what that brings along, some
// ninety modules; none of them belongs in the dependency graph of a program that only
// wants to run tasks. Its packages database and redis run the conformance suite on the
// backends of these names, with every fault, and then work on them with processes that
// are killed.
package containers
