// Package tools knows the tools that models may call, and runs them.
//
//	configuration → New → Registry ─┬─ built in
//	                                ├─ HTTP: a URL for each, or an OpenAPI document
//	                                └─ servers of the Model Context Protocol
//
//	Offered(model) → prompt;  Check(call) → what is wrong, in words for the model;  Run(call) → result
//
// A tool has one name for people and the log. Providers may be told another one, which
// package upstream makes. Tools of a server are named SERVER/TOOL.
package tools

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"slices"
	"strings"
	"sync"
	"time"

	"parlor/protocol/chat"
	"parlor/transport/provider/upstream"
)

// DefaultTimeout limits a call of a tool that has no timeout of its own.
const DefaultTimeout = time.Minute

// A Setting is what an operator says of one tool.
type Setting struct {
	// Approval says whether people are asked before it runs. Empty leaves it to where
	// the tool comes from.
	Approval chat.Approval `yaml:"approval" json:"approval,omitempty"`

	// Idempotent means that a call may run again if nobody knows whether it has run. The
	// tool gets a key that is the same then.
	Idempotent bool `yaml:"idempotent" json:"idempotent,omitempty"`

	// Timeout limits one call. Zero means [DefaultTimeout].
	Timeout Duration `yaml:"timeout" json:"timeout,omitzero"`

	// Guide tells models in the system prompt when and how to use the tool, in place of
	// what the tool says itself.
	Guide string `yaml:"guide" json:"guide,omitempty"`

	// Users are those in whose answers it is offered. Nil is everybody.
	Users []chat.UserID `yaml:"users" json:"users,omitzero"`
}

// MaxGuide limits a guide, in bytes.
const MaxGuide = 4 << 10

var errLongGuide = fmt.Errorf("guide: must be at most %d bytes", MaxGuide)

// A Duration is written as in "90s".
type Duration time.Duration

// UnmarshalText implements [encoding.TextUnmarshaler].
func (d *Duration) UnmarshalText(text []byte) error {
	v, err := time.ParseDuration(string(text))
	*d = Duration(v)
	return err
}

// MarshalText implements [encoding.TextMarshaler].
func (d Duration) MarshalText() ([]byte, error) { return []byte(time.Duration(d).String()), nil }

// Validate returns all that is wrong with tools behind URLs.
func Validate(list map[string]HTTP) error {
	var wrong []error
	for _, name := range slices.Sorted(maps.Keys(list)) {
		h := list[name]
		err := h.check()
		if err == nil && !isURL(h.OpenAPI) { // one behind a URL is read at the start
			_, err = h.tools(name)
		}
		if err != nil {
			wrong = append(wrong, fmt.Errorf("tools[%q]: %w", name, err))
		}
	}
	return errors.Join(wrong...)
}

// ValidateSettings returns all that is wrong with what is said of tools.
func ValidateSettings(settings map[string]Setting) error {
	var wrong []error
	for _, name := range slices.Sorted(maps.Keys(settings)) {
		switch s := settings[name]; {
		case s.Approval != "" && !s.Approval.Valid():
			wrong = append(wrong, fmt.Errorf("tool_settings[%q]: approval: must be always, ask or never", name))
		case s.Timeout < 0:
			wrong = append(wrong, fmt.Errorf("tool_settings[%q]: timeout: must not be less than 0", name))
		case len(s.Guide) > MaxGuide:
			wrong = append(wrong, fmt.Errorf("tool_settings[%q]: %w", name, errLongGuide))
		}
	}
	return errors.Join(wrong...)
}

// A Model is what is configured of the tools of a model.
type Model struct {
	Tools    []string      // names, or patterns: see [Offers]; nil: current_time
	Approval chat.Approval // the stricter one of this and the tool's own counts
}

// Options configure a [Registry].
type Options struct {
	HTTP     map[string]HTTP
	Settings map[string]Setting // by the name of a tool
	Servers  []string           // whose tools are put later
	Fetch    Fetch

	// LookupEnv finds environment variables, as [os.LookupEnv] does: a header may name
	// one as ${NAME}, so that no secret is in the configuration. Nil finds none.
	LookupEnv func(name string) (string, bool)

	// Model returns what is configured of a model.
	Model func(chat.ModelID) Model

	MaxPageTools     int           // that one page may offer. Zero means 32
	MaxPageToolBytes int           // that these may take. Zero means 32 KiB
	PageTimeout      time.Duration // in which a page has to answer. Zero means 5 minutes

	Logger *slog.Logger // nil discards
}

// A Tool is one that can run.
type Tool struct {
	chat.Tool

	// Approval, Timeout and Idle are those of the tool if the operator says nothing else of
	// it. Idle limits the time without a sign of life. Zero is no such limit, but
	// [DefaultTimeout] for Timeout.
	Approval chat.Approval
	Timeout  time.Duration
	Idle     time.Duration

	// Run runs a call. It calls alive whenever the tool shows that it is at work.
	Run func(ctx context.Context, r chat.ToolRun, alive func()) (string, error)

	server   string // of which it is; empty: it is built in, or is asked by HTTP
	document string // whose operation it is; empty: it is none
	check    *checker
}

// A Registry knows all tools. Its methods may be called from any goroutine.
type Registry struct {
	opts Options
	log  *slog.Logger

	mu    sync.RWMutex
	tools []Tool                     // sorted by name
	first map[string]<-chan struct{} // by the server: closed when its tools are put
	put   map[string]func()          // what closes that

	patience <-chan struct{} // closed when requests to models wait for no server any more
}

// New returns the tools that are built in and those of the configuration.
func New(o Options) (*Registry, error) {
	o.MaxPageTools = cmp.Or(o.MaxPageTools, 32)
	o.MaxPageToolBytes = cmp.Or(o.MaxPageToolBytes, 32<<10)
	o.PageTimeout = cmp.Or(o.PageTimeout, 5*time.Minute)
	r := &Registry{opts: o, log: cmp.Or(o.Logger, slog.New(slog.DiscardHandler))}
	r.expect(o.Servers)
	list := builtIn()
	if t, on := o.Fetch.tool(); on {
		list = append(list, t)
	}
	for name, h := range o.HTTP {
		h, err := h.with(o.LookupEnv)
		var all []Tool
		if err == nil {
			all, err = h.tools(name)
		}
		if err != nil {
			return nil, fmt.Errorf("tools[%q]: %w", name, err)
		}
		list = append(list, all...)
	}
	r.Put("", list)
	return r, nil
}

// Put replaces the tools of a server. They are named SERVER/TOOL.
func (r *Registry) Put(server string, list []Tool) {
	for i := range list {
		t := &list[i]
		t.server = server
		var err error
		if t.check, err = newChecker(t.Schema); err != nil {
			r.log.Warn("the schema of a tool cannot be used: only the server of the tool checks its arguments", "tool", t.Name, "err", err)
		}
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	all := slices.DeleteFunc(slices.Clone(r.tools), func(t Tool) bool { return t.server == server })
	for _, t := range list {
		if slices.ContainsFunc(all, func(other Tool) bool { return other.Name == t.Name }) {
			r.log.Warn("a tool is left out, since another one has its name", "tool", t.Name)
			continue
		}
		all = append(all, t)
	}
	slices.SortFunc(all, func(a, b Tool) int { return strings.Compare(a.Name, b.Name) })
	r.tools = all
	if put := r.put[server]; put != nil {
		put()
	}
}

// Tools returns all tools, sorted by name.
func (r *Registry) Tools() []Tool {
	r.mu.RLock()
	defer r.mu.RUnlock()
	return r.tools
}

// of returns the tools that a model may call, sorted by name.
func (r *Registry) of(m chat.ModelID, page []chat.Tool) (list []Tool) {
	patterns := r.opts.Model(m).Tools
	own := r.Tools()
	for _, t := range own {
		if offers(patterns, t) {
			list = append(list, t)
		}
	}
	for _, t := range page {
		tool := pageTool(t)
		_, taken := named(own, t.Name)
		if !taken && (t.Requested || offers(patterns, tool)) {
			list = append(list, tool)
		}
	}
	slices.SortFunc(list, func(a, b Tool) int { return strings.Compare(a.Name, b.Name) })
	return list
}

// named returns the tool with the name in a sorted list.
func named(list []Tool, name string) (Tool, bool) {
	i, found := slices.BinarySearchFunc(list, name, func(t Tool, name string) int { return strings.Compare(t.Name, name) })
	if !found {
		return Tool{}, false
	}
	return list[i], true
}

// offers reports whether a tool is among those that the patterns name: a name, NAME/* for
// all of a server or of a document, * for all others and those of pages. Without patterns that is
// current_time alone.
func offers(patterns []string, t Tool) bool {
	if patterns == nil {
		return t.Name == currentTime
	}
	return slices.ContainsFunc(patterns, func(p string) bool {
		server, all := strings.CutSuffix(p, "/*")
		return p == t.Name || p == "*" && (t.server == "" || t.OnPage) || all && server != "" && (server == t.server || server == t.document)
	})
}

// Offered returns the tools that a model may call, always in the same order: those that the
// server has, and those of page that the pages of who asks offer.
func (r *Registry) Offered(m chat.ModelID, page []chat.Tool) (list []chat.Tool) {
	r.awaitServers(m)
	for _, t := range r.of(m, page) {
		t.Guide = cmp.Or(r.opts.Settings[t.Name].Guide, t.Guide)
		list = append(list, t.Tool)
	}
	for i, name := range upstream.ToolNames(list) { // which the model knows
		if list[i].Guide != "" {
			list[i].Guide = name + ": " + list[i].Guide
		}
	}
	return list
}

// Check returns what is wrong with a call, in words for the model, or "".
func (r *Registry) Check(m chat.ModelID, page []chat.Tool, c chat.ToolCall) string {
	list := r.of(m, page)
	t, found := named(list, c.Name)
	if !found {
		var offered []chat.Tool
		for _, t := range list {
			offered = append(offered, t.Tool)
		}
		return fmt.Sprintf("there is no tool %q. The tools are: %s", c.Name, strings.Join(upstream.ToolNames(offered), ", "))
	}
	var arguments map[string]any
	if err := json.Unmarshal([]byte(c.Arguments), &arguments); err != nil || arguments == nil {
		return fmt.Sprintf("the arguments have to be one JSON object that fits the schema %s, and are not: %v", t.Schema, cmp.Or(err, errNoObject))
	}
	if t.OnPage {
		t.check, _ = newChecker(t.Schema) // Admit has found nothing wrong with it
	}
	return t.check.fault([]byte(c.Arguments))
}

// Approval says whether people are asked before a model's call of a tool.
func (r *Registry) Approval(m chat.ModelID, c chat.ToolCall) chat.Approval {
	t, _ := named(r.of(m, nil), c.Name)
	t.Name = c.Name
	if c.OnPage {
		t = pageTool(chat.Tool{Name: c.Name})
	}
	return stricter(r.OwnApproval(t), r.opts.Model(m).Approval)
}

// OwnApproval says whether people are asked before a call of a tool, unless its model is
// stricter.
func (r *Registry) OwnApproval(t Tool) chat.Approval {
	return cmp.Or(r.opts.Settings[t.Name].Approval, t.Approval, chat.ApprovalAsk)
}

// strictness orders approvals.
var strictness = map[chat.Approval]int{chat.ApprovalNever: 1, chat.ApprovalAsk: 2, chat.ApprovalAlways: 3}

func stricter(a, b chat.Approval) chat.Approval {
	if strictness[b] > strictness[a] {
		return b
	}
	return a
}

// Allows reports whether models may call the tool in answers that the user asks for.
func (r *Registry) Allows(u chat.UserID, name string) bool {
	users := r.opts.Settings[name].Users
	return users == nil || slices.Contains(users, u)
}

// Repeatable reports whether a call of the tool may run again if nobody knows whether it
// has run.
func (r *Registry) Repeatable(name string) bool { return r.opts.Settings[name].Idempotent }
