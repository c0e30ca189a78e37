package api

import (
	"context"
	_ "embed" // openapi.json
	"iter"
	"log/slog"
	"net/http"

	"parlor/protocol/chat"
)

// Chats is the part of the server that keeps chats. Many goroutines may call its
// methods at once. The client is shown errors that are a [*chat.Error]; for any
// other error it is told only that something went wrong.
type Chats interface {
	// Create makes a chat that u owns, under an id that it chooses.
	Create(ctx context.Context, u chat.User, model chat.ModelID) (chat.Info, error)

	// Listed returns u's own chats that the view shows, the pinned ones first, then newest
	// first, and how many there are in all.
	Listed(ctx context.Context, u chat.User, v chat.View, offset, limit int) ([]chat.Listed, int, error)

	// Mark changes what u has noted of a chat, with the errors of Get, [chat.CodeInvalid],
	// [chat.CodeTooLarge] and [chat.CodeQuotaExceeded]. MarkOf returns it. Folders returns
	// u's folders.
	Mark(ctx context.Context, u chat.User, id chat.ID, c chat.MarkChanges) (chat.Mark, error)
	MarkOf(ctx context.Context, u chat.User, info chat.Info) (chat.Mark, error)
	Folders(ctx context.Context, u chat.User) ([]chat.Folder, error)

	// Used returns the models of u's newest chats, of each the ID and the APISource
	// alone. It is asked often, so it should know them without reading the chats.
	Used(ctx context.Context, u chat.User) ([]chat.Model, error)

	// Search looks through u's chats, or returns [chat.CodeInvalid].
	Search(ctx context.Context, u chat.User, q chat.SearchQuery) (chat.SearchPage, error)

	// Unread returns what u has not read of each of the chats.
	Unread(ctx context.Context, u chat.User, chats []chat.Info) ([]chat.Unread, error)

	Talk
	Files

	// Get returns a chat, or [chat.CodeNotFound] if u may not read it. Another method
	// may refuse a user who may read the chat with [chat.CodeForbidden].
	Get(ctx context.Context, u chat.User, id chat.ID) (chat.Info, error)

	// Configure changes a chat's settings, with the errors of Get, and
	// [chat.CodeInvalid] or [chat.CodeTooLarge].
	Configure(ctx context.Context, u chat.User, id chat.ID, c chat.Changes) (chat.Info, error)

	// Import makes a chat of u's out of records that come from an export, or returns why not.
	Import(ctx context.Context, u chat.User, records []chat.Record) (chat.Info, error)

	// Usage sums up what u's own turns have used, or [chat.CodeInvalid].
	Usage(ctx context.Context, u chat.User, q chat.UsageQuery) (chat.UsageReport, error)

	// Delete removes a chat and its history, with the errors of Get.
	Delete(ctx context.Context, u chat.User, id chat.ID) error

	// MessagesOf takes the messages of the branch that leads through a message, or of the
	// current one if that is empty, whose sequence number is below before, or all if before
	// is 0, and yields the newest limit of them in ascending order. It ends after the first
	// error. The errors of Get, and that there is no such message, come before any message.
	MessagesOf(ctx context.Context, u chat.User, id chat.ID, branch chat.MessageID, before uint64, limit int) iter.Seq2[chat.Message, error]
}

// Models knows the assistants that can be talked with.
type Models interface {
	// List returns the models in the order in which clients should offer them.
	// The SPA needs at least one.
	List() []chat.Model

	// Model returns the model with the id, which need not be in the list.
	Model(chat.ModelID) (chat.Model, bool)

	// Refusal says why the model with the id cannot be asked. It is nil if the
	// model can be asked.
	Refusal(chat.ModelID) *chat.Error
}

// An Authenticator says who sent a request. Its errors are a [*chat.Error].
type Authenticator interface {
	Request(*http.Request) (chat.User, error)
	SignIn(*http.Request) (chat.SignIn, error) // the same, and until when it holds
}

// A Limiter says how often users may ask for something.
type Limiter interface {
	// Take counts a request with a body of so many bytes, of a user, or of an address if
	// the user is unknown, or returns why it is too much.
	Take(user chat.UserID, address, request string, bytes int) *chat.Error

	// Wait waits until it is the turn of a user for a request of so many bytes. The
	// request ends with ctx.
	Wait(ctx context.Context, user chat.UserID, bytes int)
}

// Options configure an [API]. The zero value is ready to use.
type Options struct {
	// AllowedOrigins are the origins, as "scheme://host[:port]", whose pages
	// may use the API with the user's cookies. None by default; the server's
	// own origin needs no mention.
	AllowedOrigins []string

	// SignIn keeps sessions. Nil means that nobody signs in here.
	SignIn SignIn

	// OriginRefused is called when a page of another origin may not change or read
	// anything, by many goroutines at once. It may be nil.
	OriginRefused func(*http.Request)

	// Guests let people without an account in. Nil means that there are none.
	Guests Guests

	// Limits limits requests, if it is not nil.
	Limits Limiter

	// Backends send events to clients. The zero value lets none do that.
	Backends Backends

	// MaxSayBytes limits the body of a request that says something. Zero means
	// [MaxBodyBytes].
	MaxSayBytes int

	// MaxImportBytes limits the file of a chat that is imported. Zero means 16 MiB.
	MaxImportBytes int

	// MaxFileBytes and MaxUploads limit the files of a request, and how many it brings.
	// Zero means 10 MiB and 10. MaxImageBytes is what clients are told of images; zero means 4 MiB.
	MaxFileBytes  int64
	MaxImageBytes int64
	MaxUploads    int

	// MaxMessageBytes is what clients are told of the text of a message; zero means 64 KiB.
	MaxMessageBytes int

	// Logger receives panics and the causes of internal errors. Nil discards
	// them.
	Logger *slog.Logger
}
