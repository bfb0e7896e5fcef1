package main

// aloneScenarios are what is measured of Sideman alone, under several circumstances in turn.
func aloneScenarios() []scenario {
	everywhere := func(g goal) map[string]goal {
		return map[string]goal{onPostgres: g, onRedis: g, onFile: g}
	}
	onServers := func(g goal) map[string]goal { return map[string]goal{onPostgres: g, onRedis: g} }
	return []scenario{
		{name: "worker processes", unit: "tasks/s", sides: processSides, goals: onServers(goal{ratio: 0.9})},
		{name: "share of the backend's own", unit: "tasks/s", sides: shareSides, goals: everywhere(goal{ratio: 0.7})},
		{name: "processor time a task", unit: "µs", low: true, sides: costSides, goals: everywhere(goal{})},
		{name: "drain many under a snapshot", unit: "tasks/s", sides: snapshotSides, goals: map[string]goal{onPostgres: {ratio: 0.7}}},
		{
			name: "memory, many queued", unit: "MB", low: true, most: 1, sides: memorySides,
			goals: everywhere(goal{most: 150}),
		},
		{name: "drain beside many finished", unit: "tasks/s", sides: besideSides, goals: everywhere(goal{ratio: 0.9})},
	}
}

// processSides are drains by several worker processes, held against a drain by one.
func processSides(p *pair) []side {
	const one = "1 process"
	crew := func(s sizes) int { return s.crew }
	return []side{
		{name: one, c: p.ours, run: drainBy(1, crew), base: true},
		{name: "2", c: p.ours, run: drainBy(2, crew), against: one},
		{name: "4", c: p.ours, run: drainBy(4, crew), against: one},
		{name: "8", c: p.ours, run: drainBy(8, crew), against: one},
	}
}

// shareSides are the App and the worker, held against the same backend without them.
func shareSides(p *pair) []side {
	var sides []side
	for _, s := range []struct {
		name string
		run  runner
	}{
		{"drain", drainOf(tuned, func(s sizes) int { return s.own })},
		{"enqueue, 16 goroutines", enqueueBy(16)},
		{"enqueue, batches of 5000", enqueueBatches(1)},
	} {
		raw := "backend alone: " + s.name
		sides = append(sides,
			side{name: s.name, c: p.ours, run: s.run, against: raw},
			side{name: raw, c: p.raw, run: s.run, base: true})
	}
	return sides
}

func costSides(p *pair) []side {
	return []side{
		{name: "drain", c: p.ours, run: costOf(work, p.cpu)},
		{name: "enqueue, 16 goroutines", c: p.ours, run: costOf(enqueueSingly, p.cpu)},
		{name: "enqueue, batches of 5000", c: p.ours, run: costOf(enqueueInBatches, p.cpu)},
	}
}

// besideSides are drains by a process of its own, whose worker says when all is done: asking the
// store means counting its records, and so takes longer the more there are.
func besideSides(p *pair) []side {
	const empty = "an empty store"
	run := drainBy(1, func(s sizes) int { return s.own })
	return []side{
		{c: p.full, run: run, against: empty},
		{name: empty, c: p.ours, run: run, base: true},
	}
}

// snapshotSides are ours and, for comparison, the peer's.
func snapshotSides(p *pair) []side {
	without, peer := "no snapshot", p.peer.name()
	run := drainOf(tuned, func(s sizes) int { return s.drainMany })
	return []side{
		{c: p.ours, run: underSnapshot(run), against: without},
		{name: without, c: p.ours, run: run, base: true},
		{name: peer, c: p.peer, run: underSnapshot(run), against: peer + ", " + without, free: true},
		{name: peer + ", " + without, c: p.peer, run: run, base: true},
	}
}

func memorySides(p *pair) []side { return []side{{c: p.ours, run: memory}} }
