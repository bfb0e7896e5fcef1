//go:build !unix

package redis

import "net"

// eagerly returns the connection as it is: here it can't be asked whether there is something to read.
func eagerly(conn net.Conn) net.Conn { return conn }
