package conformance

func workerCases() []Case { return nil }
