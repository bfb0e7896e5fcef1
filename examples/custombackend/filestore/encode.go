package filestore

import (
	"bytes"
	"encoding/json"
	"fmt"

	"github.com/sideman-go/sideman/tasks"
)

// guide:begin encode

// stored is a record as it is in its file. Args and Value go in as strings: as JSON inside
// of JSON, encoding/json would compact them, and they must come back byte for byte.
type stored struct {
	*tasks.Record
	Args  string `json:"args,omitempty"`
	Value string `json:"value,omitempty"`
}

// encode refuses ids that are too long for the name of a file, and what doesn't come back
// as it was: strings that aren't UTF-8, which encoding/json changes without a word.
func encode(rec *tasks.Record) ([]byte, error) {
	if len(rec.ID) > tasks.MaxID {
		return nil, fmt.Errorf("%w: an id of %d bytes", tasks.ErrTooLarge, len(rec.ID))
	}
	data, err := json.Marshal(stored{rec, string(rec.Args), string(rec.Value)})
	if err != nil {
		return nil, fmt.Errorf("%w: %w", tasks.ErrNotSerializable, err)
	}
	back, err := decode(data)
	if err != nil {
		return nil, fmt.Errorf("%w: %w", tasks.ErrNotSerializable, err)
	}
	again, err := json.Marshal(stored{back, string(back.Args), string(back.Value)})
	if err != nil || !bytes.Equal(data, again) {
		return nil, fmt.Errorf("%w: a string of the record is not UTF-8", tasks.ErrNotSerializable)
	}
	return data, nil
}

func decode(data []byte) (*tasks.Record, error) {
	s := stored{Record: &tasks.Record{}}
	if err := json.Unmarshal(data, &s); err != nil {
		return nil, err
	}
	if s.Args != "" {
		s.Record.Args = json.RawMessage(s.Args)
	}
	if s.Value != "" {
		s.Record.Value = json.RawMessage(s.Value)
	}
	return s.Record, nil
}

// guide:end encode
