module github.com/sideman-go/sideman/conformance/modeltest

go 1.26.0

// The stores that are compared are those beside this module, with or without go.work.
replace github.com/sideman-go/sideman => ../../

require (
	github.com/sideman-go/sideman v0.0.0-00010101000000-000000000000
	go.etcd.io/bbolt v1.5.0
	pgregory.net/rapid v1.3.0
)

require golang.org/x/sys v0.48.0 // indirect
