// Package conformance is the public suite that proves a backend: it holds a live
// one to each clause of the contract in package tasks, through exported API only.
// The backends that come with the framework pass it, and one of yours is tested
// in the same way:
//
//	func TestConformance(t *testing.T) {
//		conformance.Run(t, conformance.Config{Open: func(t conformance.T) conformance.Store {
//			path := filepath.Join(t.TempDir(), "tasks.db")
//			return conformance.StoreFunc(func(ctx context.Context) (tasks.Backend, error) {
//				return conformance.Opened(mystore.Open(ctx, path))
//			})
//		}})
//	}
//
// Open is called once for each case and makes a place for its records: a file, a
// schema, a prefix of keys. What it returns connects to that place, and is called
// more than once: for a second handle, and to open the place again after Close.
// (A backend that keeps its records in memory has no place; it returns a new, empty
// one each time.) The guide docs/writing-a-backend.md has the whole way from a few
// dozen lines to a durable store.
//
// # What is tested
//
// The capabilities are read from the live backend, and a case is run if it declares
// those that the case needs. A backend that declares nothing has to take tasks, and
// what a caller may ask for besides has to be refused: that is what the cases of the
// group Capability are for, which want tasks.ErrUnsupported and no trace. So declare
// what is done, and the suite grows with the backend. CapWorker without CapInspect is
// tested less well: many cases about workers look at the outcome through the latter.
//
// Cases are in groups, and their names are stable. Each is a subtest, so that a
// group, or a case, can be run alone:
//
//	go test -run 'TestConformance/Lease/'
//	go test -v -run 'TestConformance/Settle/UnknownKind$'
//
// Cases lists them all, each with the clauses of the contract that it stands for and
// a sentence that says what is wrong if it fails. A case fails with what was done,
// what came and what was wanted, and that sentence comes last. Where a backend has an
// optional interface, such as tasks.ResultWaiter, there are cases for it, and others
// that hide it (Case.Plain), so that the general way is tested too.
//
// # Virtual and real time
//
// With Config.Virtual each case runs in a testing/synctest bubble: leases run out and
// deferred tasks become due without waiting, and the whole suite takes seconds. This
// is for backends that live in the test's process. Files are fine, but network I/O isn't,
// since a goroutine that waits for a reply keeps the bubble's clock from moving; nor are
// goroutines that outlive Close.
//
// Otherwise the suite uses real time and short leases. Config.Timing has the durations: make
// them longer for a slow server, and know that a bound that is longer than the contract's
// proves less.
//
// # Faults
//
// If there is a server behind the store, Config.Faults says what can be done to it: pause it,
// cut its connections, restart it, kill it. Each hook acts on the place of its own case and
// has taken effect when it returns. Cases whose hook is nil are left out and say so.
//
// # Verdicts, waivers and reports
//
// The verdict of a case is one of
//
//	pass, fail   it was run
//	waived       it was run and failed, and Config.Waive has its name
//	unsupported  it needs a capability that isn't declared, or is for backends without one that is
//	no-fault     it needs a hook in Config.Faults that is nil
//
// A waiver gives the reason why a case is known to fail. The failure is logged, and the
// test passes; but the suite says that it was run in part. A waiver of a case that
// passes, or that doesn't exist, fails the test: none outlives its reason.
//
// All this is in the test's output as attributes, for go test -json to pass on: case, clauses
// and verdict for each case; for the whole capabilities, and result, which is "partial" if there
// are waivers and "full" if not (whether it passed is the test's own verdict). For this
// repository's backends, "make conformance" makes a page of it.
//
// RunBenchmarks has the benchmarks that are the same for every backend. They prove that what they
// measure was stored, and nothing else.
//
// # What it doesn't prove
//
// A backend that passes does what the contract says in every situation that the suite brings about,
// through the interface that it sees. It doesn't see
//
//   - what isn't declared, beyond that it is refused. Of a backend without CapResults it can't even
//     tell whether records are kept;
//   - what is below the interface: a file that is half written, a damaged row, a full disk;
//   - kill -9 of an embedded store, since it is in the same process. CapDurable then is proven over
//     Close and reopening only;
//   - the loss of power, and whether a write has reached the disk at all;
//   - another process, unless handles of the same place, in this one, behave as processes do;
//   - clocks that jump, more load than some dozen goroutines make, and more than some thousand records.
//
// Tests of your own are for these.
package conformance
