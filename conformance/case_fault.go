package conformance

func faultCases() []Case { return nil }
