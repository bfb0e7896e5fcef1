module github.com/sideman-go/sideman/conformance/containers

go 1.26.0

// The suite here is always tested with the sideman beside it, with or without go.work.
replace github.com/sideman-go/sideman => ../../
