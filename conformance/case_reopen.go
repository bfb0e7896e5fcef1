package conformance

func reopenCases() []Case { return nil }
