package conformance

func settleCases() []Case { return nil }
