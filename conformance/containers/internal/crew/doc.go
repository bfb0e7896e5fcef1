// Package crew works on a store with real worker processes, which are killed, cut off and
// replaced, and whose server is restarted under their hands:
//
//	func TestMain(m *testing.M) {
//		crew.Main()
//		os.Exit(server.Main(m))
//	}
//
//	func TestCrew(t *testing.T) { crew.Test(t, server.Get(t), place) }
//
// A worker process is the test binary, executed again. All of them write to one journal,
// line by line as things happen, by which the test then judges.
package crew
