module github.com/sideman-go/sideman/benchmarks

go 1.26.0

// Benchmarks measure the sideman beside them, with or without go.work.
replace github.com/sideman-go/sideman => ../
