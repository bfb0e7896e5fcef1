package immediate_test

import (
	"context"
	"testing"

	"github.com/sideman-go/sideman/backends/immediate"
	"github.com/sideman-go/sideman/conformance"
	"github.com/sideman-go/sideman/tasks"
)

func TestConformance(t *testing.T) {
	conformance.Run(t, conformance.Config{Virtual: true, Open: func(conformance.T) conformance.Store {
		return conformance.StoreFunc(func(context.Context) (tasks.Backend, error) { return immediate.New(), nil })
	}})
}
