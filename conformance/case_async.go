package conformance

func asyncCases() []Case { return nil }
