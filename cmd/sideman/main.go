// Sideman administers the tasks in any store, by its URL or configuration: it lists,
// enqueues, retries, cancels and prunes them, pauses queues, migrates schemas. It knows no
// task's code, so it runs none; a program that has some makes itself a command line that
// does with cli.Main.
//
//	go run ./cmd/sideman --url postgres://app@localhost/app tasks list
package main

import "github.com/sideman-go/sideman/cli"

func main() { (&cli.Program{Name: "sideman"}).Main() }
