package conformance

func inspectCases() []Case { return nil }
