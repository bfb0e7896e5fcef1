package step1_test

import (
	"context"
	"testing"

	"github.com/sideman-go/sideman/conformance"
	"github.com/sideman-go/sideman/examples/custombackend/step1"
	"github.com/sideman-go/sideman/tasks"
)

// guide:begin test

func TestConformance(t *testing.T) {
	conformance.Run(t, conformance.Config{Virtual: true, Open: open})
}

// open has no place to make: what is in memory is gone with the handle that is closed.
func open(conformance.T) conformance.Store {
	return conformance.StoreFunc(func(context.Context) (tasks.Backend, error) { return step1.New(), nil })
}

// guide:end test
