package conformance

import (
	"cmp"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync/atomic"

	"github.com/anishathalye/porcupine"
)

// byRecord returns what happened to each record, oldest call first.
func (h *history) byRecord() map[string][]*act {
	lives := make(map[string][]*act)
	for _, a := range h.acts {
		lives[a.ID] = append(lives[a.ID], a)
	}
	for id := range lives {
		lives[id] = append(lives[id], h.losses(lives[id])...)
		slices.SortFunc(lives[id], func(a, b *act) int { return cmp.Compare(a.Call, b.Call) })
	}
	return lives
}

// losses returns what the sweeps may have done to one record. A sweep says how many
// leases it took, not which. So each that took some may have taken each lease that
// can have been over by then, and that wasn't settled or followed by another.
func (h *history) losses(acts []*act) (losses []*act) {
	for _, c := range acts {
		if c.What != doClaim {
			continue
		}
		earliest, until := c.CalledAt+c.Length, int64(never)
		for _, a := range acts {
			switch {
			case a.What == doRenew && a.Token == c.Token: // it may have made the lease shorter
				earliest = min(earliest, a.CalledAt+a.Length)
			case a.What == doClaim && a.Call > c.Return:
				until = min(until, a.Return)
			case a.What == doSettle && a.Token == c.Token && !a.Refused && !a.Unknown:
				until = min(until, a.Return)
			}
		}
		for _, s := range h.sweeps {
			if s.ret > c.Call && s.call < until && s.returnedAt >= earliest {
				loss := s.of(doLose, s.client, c.ID)
				loss.Token = c.Token
				losses = append(losses, loss)
			}
		}
	}
	return losses
}

// maxSteps bounds the search of one record's history. Sound stores need some
// hundreds.
const maxSteps = 100_000

// judge looks for an order that explains each record's history.
func (h *history) judge() {
	h.step("judging the history")
	lives := h.byRecord()
	faults := 0
	for _, id := range h.ids {
		switch acts := lives[id]; judged(acts, maxSteps) {
		case porcupine.Ok:
			continue
		case porcupine.Unknown:
			h.Errorf("record %s: UNKNOWN: no verdict on its %d calls after %d steps, which says nothing against the store, but for a shorter workload\n%s",
				id, len(acts), maxSteps, h.keep(acts...))
		case porcupine.Illegal:
			h.Errorf("record %s: its history is not linearizable: no order of these calls explains all answers\n%s\n%s", id, h.keep(acts...), story(acts))
		}
		if faults++; faults == 3 {
			return
		}
	}
}

// judged is the verdict on the history of one record.
func judged(acts []*act, limit int64) porcupine.CheckResult {
	var steps atomic.Int64
	steps.Store(limit)
	switch explained := porcupine.CheckOperations(lifeModel(&steps), operations(acts)); {
	case explained:
		return porcupine.Ok
	case steps.Load() < 0:
		return porcupine.Unknown
	}
	return porcupine.Illegal
}

func operations(acts []*act) []porcupine.Operation {
	ops := make([]porcupine.Operation, len(acts))
	for i, a := range acts {
		ops[i] = porcupine.Operation{ClientId: a.Client, Input: a, Call: a.Call, Return: a.Return}
	}
	return ops
}

// story is a record's history to be read.
func story(acts []*act) string {
	var b strings.Builder
	for _, a := range acts {
		until := "?"
		if !a.Unknown {
			until = strconv.FormatInt(a.Return, 10)
		}
		fmt.Fprintf(&b, "\t%6d-%-6s %12v client %2d: %v\n", a.Call, until, a.CalledAt, a.Client, a)
	}
	return b.String()
}

// keep writes the history to files, and returns where they are. Of a record whose
// acts are given it also draws the picture.
func (h *history) keep(acts ...*act) string {
	dir, err := h.artifacts()
	if err != nil {
		return "its history can't be kept: " + err.Error()
	}
	if len(acts) == 0 {
		return h.write(filepath.Join(dir, "history.jsonl"))
	}
	var steps atomic.Int64
	steps.Store(maxSteps)
	model := lifeModel(&steps)
	_, info := porcupine.CheckOperationsVerbose(model, operations(acts), 0)
	picture := filepath.Join(dir, "history-"+acts[0].ID+".html")
	steps.Store(maxSteps) // the picture takes the steps once more
	if err := porcupine.VisualizePath(model, info, picture); err != nil {
		return "its picture can't be drawn: " + err.Error()
	}
	return "picture: " + picture + "\n" + h.write(filepath.Join(dir, "history.jsonl"))
}

func (h *history) write(name string) string {
	f, err := os.Create(name)
	if err != nil {
		return "the calls can't be kept: " + err.Error()
	}
	defer f.Close()
	out := json.NewEncoder(f)
	lives := h.byRecord()
	for _, id := range h.ids {
		for _, a := range lives[id] {
			err = errors.Join(err, out.Encode(a))
		}
	}
	if err != nil {
		return "the calls can't be kept: " + err.Error()
	}
	return "all calls: " + name
}

// artifacts is the folder for what is to be looked at after a failure. One that is
// deleted when the test ends would be of no use, so without go test -artifacts it is
// one of its own. Only what fails on purpose leaves nothing behind.
func (h *history) artifacts() (string, error) {
	switch t := h.T.(type) {
	case *Recorder:
		return t.TempDir(), nil
	case interface{ ArtifactDir() string }:
		if f := flag.Lookup("test.artifacts"); f != nil && f.Value.String() == "true" {
			return t.ArtifactDir(), nil
		}
	}
	return os.MkdirTemp("", "conformance-history-")
}
