package pgbouncer_test

import (
	"os"
	"testing"

	"github.com/sideman-go/sideman/conformance/containers"
)

var server = containers.Shared(containers.Postgres)

func TestMain(m *testing.M) { os.Exit(server.Main(m)) }
