package step2_test

import (
	"context"
	"testing"

	"github.com/sideman-go/sideman/conformance"
	"github.com/sideman-go/sideman/examples/custombackend/step2"
	"github.com/sideman-go/sideman/tasks"
)

func TestConformance(t *testing.T) {
	conformance.Run(t, conformance.Config{Virtual: true, Open: open})
}

// open has no place to make, as in step1.
func open(conformance.T) conformance.Store {
	return conformance.StoreFunc(func(context.Context) (tasks.Backend, error) { return step2.New(), nil })
}
