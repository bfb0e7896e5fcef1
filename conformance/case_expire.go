package conformance

func expireCases() []Case { return nil }
