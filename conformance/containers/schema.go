package containers

import (
	"crypto/rand"
	"net/url"
	"strings"

	"github.com/sideman-go/sideman/conformance"
	"github.com/sideman-go/sideman/internal/testserver"
)

// NewSchema returns the name of a schema of PostgreSQL that the test has to itself, dropped at
// its end. It has what a name can have that isn't quoted everywhere.
func (s *Server) NewSchema(t conformance.T) string {
	t.Helper()
	name := `test "` + strings.ToLower(rand.Text()) + `"`
	testserver.DropSchema(t, s.Direct(), name)
	return name
}

// WithParams returns a URL with more parameters, given as name and value by turns.
func WithParams(t conformance.T, link string, params ...string) string {
	t.Helper()
	u, err := url.Parse(link)
	if err != nil {
		t.Fatalf("%v", err)
	}
	q := u.Query()
	for i := 0; i < len(params); i += 2 {
		q.Set(params[i], params[i+1])
	}
	u.RawQuery = q.Encode()
	return u.String()
}
