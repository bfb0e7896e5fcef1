//go:build !linux

package bolt_test

// apart is for systems with namespaces.
func apart(string) {}
