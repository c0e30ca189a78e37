package replicated

import (
	"encoding/binary"
	"fmt"

	"parlor/persistence"
)

// An entry of the log is a version (1 byte) and the commands, each behind its length.
const batchVersion = 1

func encodeBatch(commands []persistence.Command) []byte {
	b := []byte{batchVersion}
	var one []byte
	for _, c := range commands {
		one = c.Append(one[:0])
		b = append(binary.AppendUvarint(b, uint64(len(one))), one...)
	}
	return b
}

func decodeBatch(b []byte) (commands []persistence.Command, err error) {
	if len(b) == 0 || b[0] != batchVersion {
		return nil, fmt.Errorf("%w: an entry of another version", persistence.ErrFormat)
	}
	for b = b[1:]; len(b) > 0; {
		n, width := binary.Uvarint(b)
		if width <= 0 || n > uint64(len(b)-width) {
			return nil, fmt.Errorf("%w: an entry that is cut short", persistence.ErrInvalid)
		}
		c, err := persistence.DecodeCommand(b[width : width+int(n)])
		if err != nil {
			return nil, err
		}
		commands, b = append(commands, c), b[width+int(n):]
	}
	return commands, nil
}
