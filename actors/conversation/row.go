package conversation

import (
	"encoding/json"
	"fmt"

	"parlor/persistence"
	"parlor/protocol/chat"
)

// Row returns the row that lists a chat.
func Row(info chat.Info) persistence.Chat {
	b, err := json.Marshal(info)
	if err != nil {
		panic("conversation: encode a chat's row: " + err.Error())
	}
	row := persistence.Chat{Room: string(info.Room), Owner: string(info.Owner), Created: info.Created, Info: b}
	for _, m := range info.Members {
		row.Members = append(row.Members, string(m.ID))
	}
	return row
}

// ReadRow reads what [Row] wrote.
func ReadRow(row persistence.Chat) (chat.Info, error) {
	var info chat.Info
	if err := json.Unmarshal(row.Info, &info); err != nil {
		return chat.Info{}, fmt.Errorf("decode the row of room %q: %w", row.Room, err)
	}
	return info, nil
}

// A KeptFile is the row of a file.
type KeptFile struct {
	chat.File
	Digest string `json:"digest"` // of its bytes
}

// ReadFile decodes the row of a file.
func ReadFile(row persistence.File) (f KeptFile, err error) {
	if row.Info == nil {
		return f, nil
	}
	return f, json.Unmarshal(row.Info, &f)
}
