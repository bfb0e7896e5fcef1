package database

import (
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
)

// sizeKey is the length of a claim's key in bytes.
const sizeKey = 16

// lease is what the token of a lease is made of. The key is drawn for each claim, and stored with
// each record that the claim takes. The sum binds it to its record, so that no two leases have the
// same token; the server needs only the key.
type lease struct {
	key []byte
	// index counts the records of the claim.
	index uint32
}

// The parts of a token in bytes.
const (
	sizeSum   = 8
	sizeToken = 4 + sizeKey + sizeSum
)

// ours reports whether the token was made here, for its record.
func (l *lease) ours() bool { return len(l.key) == sizeKey }

// token makes the token of a lease.
func (l *lease) token(id string) string {
	var room [sizeToken]byte
	var text [2 * sizeToken]byte
	b := binary.BigEndian.AppendUint32(room[:0], l.index)
	b = append(b, l.key...)
	sum := sumOf(b, id)
	hex.Encode(text[:], append(b, sum[:sizeSum]...))
	return string(text[:])
}

func sumOf(parts []byte, id string) [sha256.Size]byte {
	var room [sizeToken + 64]byte
	return sha256.Sum256(append(append(room[:0], parts...), id...))
}

// parseToken takes the token of a record apart. What can't be a token of ours gets a key that
// no record has, so that the server is asked all the same whether it can be reached.
func parseToken(id, s string) lease {
	if len(s) == 2*sizeToken {
		var text, again [2 * sizeToken]byte
		copy(text[:], s)
		b := make([]byte, sizeToken)
		if _, err := hex.Decode(b, text[:]); err == nil {
			parts := b[:sizeToken-sizeSum]
			sum := sumOf(parts, id)
			hex.Encode(again[:], b)
			if string(sum[:sizeSum]) == string(b[len(parts):]) && again == text {
				return lease{index: binary.BigEndian.Uint32(b), key: parts[4:]}
			}
		}
	}
	return lease{key: []byte("no token of ours: " + cut(s))}
}
