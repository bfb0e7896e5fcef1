// Package benchmarks is where Sideman will be measured side by side with other task queues
// for Go. It is empty so far.
//
// It is a module of its own so that the libraries it compares with stay out of the
// dependency graph of Sideman's users. The benchmarks of Sideman alone live beside the code
// that they measure, and run with "make bench".
package benchmarks
