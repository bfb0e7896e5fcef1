package tasks

// Level says how bad a Finding is.
type Level string

// The levels of findings.
const (
	LevelWarning Level = "warning"
	LevelError   Level = "error"
)

// Finding is one thing that a check found wrong.
type Finding struct {
	// ID is stable and documented with the backend: "bolt.E001", "tasks.W002".
	ID    string `json:"id"`
	Level Level  `json:"level"`
	// Alias is the backend's alias. The App fills it in.
	Alias string `json:"backend,omitempty"`
	// Message says what is wrong; Hint what to do about it.
	Message string `json:"message"`
	Hint    string `json:"hint,omitempty"`
}

// String gives the finding on one line.
func (f Finding) String() string {
	s := string(f.Level) + " " + f.ID
	if f.Alias != "" {
		s += " (" + f.Alias + ")"
	}
	s += ": " + f.Message
	if f.Hint != "" {
		s += " (hint: " + f.Hint + ")"
	}
	return s
}
