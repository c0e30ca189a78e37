package chat

import (
	"fmt"

	"golang.org/x/text/unicode/norm"
)

// A Mark is what a user has noted of a chat for the user's own lists. Others are not told,
// and the chat itself knows nothing of it.
type Mark struct {
	Pinned   bool   `json:"pinned"`   // listed ahead of the others
	Archived bool   `json:"archived"` // not listed among the others
	Folder   string `json:"folder"`   // empty: in none
}

// MaxFolderLen limits the name of a folder, in characters as [Cut] counts them.
const MaxFolderLen = 80

// MarkChanges are what a user wants to change of a [Mark]: nil is left as it is.
type MarkChanges struct {
	Pinned   *bool   `json:"pinned"`
	Archived *bool   `json:"archived"`
	Folder   *string `json:"folder"`
}

// Valid returns the changes with the name of the folder as it is kept, or what is wrong
// with them.
func (c MarkChanges) Valid() (MarkChanges, *Error) {
	if c == (MarkChanges{}) {
		return c, Refuse(CodeInvalid, "there is nothing to change: pinned, archived or folder is missing")
	}
	if c.Folder != nil {
		name := FolderName(*c.Folder)
		c.Folder = &name
		if Cut(name, MaxFolderLen) != name {
			return c, Refuse(CodeTooLarge, fmt.Sprintf("folder must have at most %d characters", MaxFolderLen))
		}
	}
	return c, nil
}

// FolderName returns the name of a folder as it is kept. The same accents can be written in
// several ways, which make no different folders.
func FolderName(name string) string { return norm.NFC.String(OneLine(name)) }

// A View says which of a user's chats are listed: the archived ones, or the others.
type View struct {
	Archived bool
	Folder   *string // if not nil, those in this folder only, or in none if it is empty
}

// A Listed is a chat in a user's list.
type Listed struct {
	Info
	Mark
}

// A Folder is some of a user's chats.
type Folder struct {
	Name  string `json:"folder"`
	Chats int    `json:"chats"` // without those that are archived
}
