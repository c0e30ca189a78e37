package mcp

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"strconv"
	"strings"
	"time"

	sdk "github.com/modelcontextprotocol/go-sdk/mcp"

	"parlor/protocol/chat"
)

// How many rooms, messages and results a page has at most, and without a limit.
const (
	maxPage     = 100
	defaultPage = 20
)

// addTools adds all tools. Their schemas are flat, since providers of models refuse others.
func (s *Server) addTools(server *sdk.Server) {
	const (
		room   = `"room":{"type":"string","minLength":1,"description":"id of the room, from rooms_list"}`
		cursor = `"cursor":{"type":"string","description":"from the page before; left out for the first page"}`
	)
	limit := fmt.Sprintf(`"limit":{"type":"integer","minimum":1,"maximum":%d,"default":%d}`, maxPage, defaultPage)
	seconds := int(s.o.MaxWait / time.Second)
	add(s, server, reads("rooms_list", "List rooms", "Lists the rooms that you are a member of, the newest first.",
		schema("", cursor, limit)), s.list)
	add(s, server, reads("room_read", "Read a room", "Reads the messages of a room: the newest page without a cursor, an older one with the cursor older of the page before. Messages are oldest first. A long message ends with a cursor rest, with which its text goes on.",
		schema("room", room, limit,
			`"cursor":{"type":"string","description":"older of the page before, rest of a long message, or read of something found; left out for the newest page"}`,
			`"branch":{"type":"string","description":"id of a message that was edited or answered anew: reads the conversation as it was with that version; left out for the current one"}`)), s.readRoom)
	add(s, server, reads("room_search", "Search rooms", `Searches titles and messages of all your rooms for words; "words in quotes" are looked for as they stand. If nothing is found but there is a cursor, not everything was looked at yet.`,
		schema("query", `"query":{"type":"string","minLength":1}`, cursor, limit)), s.search)
	add(s, server, posts("room_post", "Post in a room", "Posts a message in a room as your user. If an assistant answers, call room_wait with the returned cursor. Give a client_id: if a call fails and you repeat it with the same client_id, the message is posted once.",
		schema("room text", room, `"text":{"type":"string","minLength":1}`,
			fmt.Sprintf(`"client_id":{"type":"string","minLength":1,"maxLength":%d,"description":"a new id of your choice for each message, without spaces; the same one when you repeat a call"}`, chat.MaxClientIDLen),
			`"answer":{"type":"boolean","description":"whether an assistant is asked to answer; left out: as the room is set up"}`)), s.post)
	add(s, server, reads("room_wait", "Wait for messages", "Waits until somebody else or an assistant has said something in a room behind a cursor, and returns that. If nothing has come in time it returns none, and a cursor to call it with again; answering says whether an assistant is still at work.",
		schema("room", room,
			`"cursor":{"type":"string","description":"from room_post, room_read or the room_wait before; left out: from now on"}`,
			fmt.Sprintf(`"seconds":{"type":"integer","minimum":1,"maximum":%d,"default":%d,"description":"how long to wait at most"}`, max(seconds, 1), max(min(seconds, 30), 1)))), s.wait)
}

// schema returns the schema of an object with the properties, of which some are required.
func schema(required string, properties ...string) json.RawMessage {
	quoted, _ := json.Marshal(strings.Fields(required)) // strings always marshal
	return json.RawMessage(fmt.Sprintf(`{"type":"object","properties":{%s},"required":%s,"additionalProperties":false}`, strings.Join(properties, ","), quoted))
}

func reads(name, title, description string, schema json.RawMessage) *sdk.Tool {
	return &sdk.Tool{Name: name, Title: title, Description: description, InputSchema: schema, Annotations: &sdk.ToolAnnotations{
		Title: title, ReadOnlyHint: true, IdempotentHint: true, DestructiveHint: new(false), OpenWorldHint: new(false),
	}}
}

// posts returns a tool that is not idempotent: without a client id a call has an effect each time.
func posts(name, title, description string, schema json.RawMessage) *sdk.Tool {
	return &sdk.Tool{Name: name, Title: title, Description: description, InputSchema: schema, Annotations: &sdk.ToolAnnotations{
		Title: title, DestructiveHint: new(false), OpenWorldHint: new(true),
	}}
}

// add adds a tool. Its errors are shown to the agent as far as clients may see them.
func add[In, Out any](s *Server, server *sdk.Server, t *sdk.Tool, run func(context.Context, chat.SignIn, In) (Out, error)) {
	sdk.AddTool(server, t, func(ctx context.Context, _ *sdk.CallToolRequest, in In) (*sdk.CallToolResult, any, error) {
		out, err := run(ctx, ctx.Value(callKey{}).(*call).in, in)
		if cause := context.Cause(ctx); err != nil && cause != nil {
			err = cause
		}
		if err != nil {
			shown := chat.AsError(err)
			if shown.Code == chat.CodeInternal && ctx.Err() == nil {
				s.o.Logger.Error("request failed", "tool", t.Name, "err", err)
			}
			return nil, nil, shown
		}
		text, err := encode(out)
		return &sdk.CallToolResult{Content: []sdk.Content{&sdk.TextContent{Text: text}}}, out, err
	})
}

// encode returns v as JSON for a model to read: without the escapes that keep browsers from
// taking it for HTML.
func encode(v any) (string, error) {
	var b bytes.Buffer
	e := json.NewEncoder(&b)
	e.SetEscapeHTML(false)
	err := e.Encode(v)
	return strings.TrimSpace(b.String()), err
}

type (
	listArgs struct {
		Cursor string `json:"cursor"`
		Limit  int    `json:"limit"`
	}
	listed struct {
		Rooms  []room `json:"rooms"`
		Total  int    `json:"total"`
		Cursor string `json:"cursor,omitempty"` // of the next page
	}
	room struct {
		Room    chat.ID         `json:"room"`
		Title   string          `json:"title"`
		Role    chat.MemberRole `json:"your_role,omitempty"`
		Members int             `json:"members"`
		Model   chat.ModelID    `json:"assistant"`
		Created string          `json:"created"`
	}
)

func (s *Server) list(ctx context.Context, in chat.SignIn, args listArgs) (listed, error) {
	offset := 0
	if args.Cursor != "" {
		n, err := strconv.Atoi(args.Cursor)
		if err != nil || n < 0 {
			return listed{}, errCursor
		}
		offset = n
	}
	infos, total, err := s.o.Rooms.List(ctx, in.User, offset, args.Limit)
	page := listed{Rooms: []room{}, Total: total}
	for _, c := range infos {
		page.Rooms = append(page.Rooms, room{c.ID, c.Title, c.RoleOf(in.ID), len(c.Everybody()), c.ModelID, chat.Timestamp(c.Created)})
	}
	if next := offset + len(infos); len(infos) > 0 && next < total {
		page.Cursor = strconv.Itoa(next)
	}
	return page, err
}

var errCursor = chat.Refuse(chat.CodeInvalid, "cursor is not one that this tool takes: leave it out to begin anew")

type (
	searchArgs struct {
		Query  string `json:"query"`
		Cursor string `json:"cursor"`
		Limit  int    `json:"limit"`
	}
	foundPage struct {
		Results []found `json:"results"`
		Cursor  string  `json:"cursor,omitempty"` // of the next page
	}
	found struct {
		Room  chat.ID        `json:"room"`
		Title string         `json:"title"`
		ID    chat.MessageID `json:"message_id,omitempty"` // empty: the title was found
		At    string         `json:"at"`
		Role  chat.Role      `json:"role,omitempty"`
		From  string         `json:"from,omitempty"`
		Text  string         `json:"snippet"`
		Read  string         `json:"read,omitempty"` // the cursor of room_read for the message and those before it
	}
)

func (s *Server) search(ctx context.Context, in chat.SignIn, args searchArgs) (foundPage, error) {
	page, err := s.o.Rooms.Search(ctx, in.User, chat.SearchQuery{Text: args.Query, Cursor: args.Cursor, Limit: args.Limit})
	out := foundPage{Results: []found{}, Cursor: page.Cursor}
	for _, f := range page.Results {
		one := found{Room: f.Chat, Title: f.Title, ID: f.MessageID, At: f.Timestamp, Role: f.Role, Text: f.Snippet}
		if f.Author != nil {
			one.From = nameOf(*f.Author)
		}
		if f.Seq > 0 {
			one.Read = beforeCursor(f.Seq + 1)
		}
		out.Results = append(out.Results, one)
	}
	return out, err
}

type (
	postArgs struct {
		Room     chat.ID       `json:"room"`
		Text     string        `json:"text"`
		ClientID chat.ClientID `json:"client_id"`
		Answer   *bool         `json:"answer"`
	}
	posted struct {
		ID       chat.MessageID `json:"message_id"`
		Repeated bool           `json:"repeated"` // an earlier call with the same client id has posted it
		Answers  int            `json:"answers"`  // that were asked for
		Cursor   string         `json:"cursor"`   // of room_wait
	}
)

var (
	errReadOnly = chat.Refuse(chat.CodeForbidden, "this API key may only read")
	errBlank    = chat.Refuse(chat.CodeInvalid, "text is empty")
	errClientID = chat.Refuse(chat.CodeInvalid, "client_id must be 1 to 128 printable characters without spaces")
)

func (s *Server) post(ctx context.Context, in chat.SignIn, args postArgs) (posted, error) {
	switch {
	case in.ReadOnly:
		return posted{}, errReadOnly
	case strings.TrimSpace(args.Text) == "":
		return posted{}, errBlank
	case args.ClientID != "" && !args.ClientID.Valid():
		return posted{}, errClientID
	}
	info, err := s.o.Rooms.Get(ctx, in.User, args.Room) // first: once something is said, nothing may fail
	if err != nil {
		return posted{}, err
	}
	said, err := s.o.Rooms.Say(ctx, in.User, args.Room, chat.Say{Content: args.Text, ClientID: args.ClientID, Answer: args.Answer})
	return posted{said.MessageID, said.Repeated, len(said.Turns), waitCursor(info.Epoch, said.Seq)}, err
}
