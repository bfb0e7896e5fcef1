package conformance

func concurrentCases() []Case { return nil }
