package tools

import (
	"cmp"
	"fmt"
	"regexp"
	"slices"
	"time"

	"parlor/protocol/chat"
	"parlor/transport/provider/upstream"
)

// PageServer is the name that stands for the pages of members in a model's tools, as in
// client/*. No server may have it.
const PageServer = "client"

// legalPageName is what all providers take as the name of a tool.
var legalPageName = regexp.MustCompile(`^[A-Za-z_][A-Za-z0-9_-]{0,63}$`)

// pageTool is a tool that a page runs.
func pageTool(t chat.Tool) Tool {
	return Tool{Tool: t, Approval: chat.ApprovalNever, server: PageServer}
}

// Admit returns why a page may not offer these tools, or nil.
func (r *Registry) Admit(page []chat.Tool) *chat.Error {
	most, bytes := r.opts.MaxPageTools, r.opts.MaxPageToolBytes
	if len(page) > most {
		return chat.Refuse(chat.CodeTooLarge, fmt.Sprintf("a page, or a program with its request, may offer %d tools at most", most))
	}
	size := 0
	for i, t := range page {
		size += len(t.Name) + len(t.Description) + len(t.Schema)
		switch {
		case size > bytes:
			return chat.Refuse(chat.CodeTooLarge, fmt.Sprintf("the tools of a page, or of the request of a program, may take %d bytes at most", bytes))
		case !legalPageName.MatchString(t.Name):
			return chat.Refuse(chat.CodeInvalid, fmt.Sprintf("tools[%d]: a name is of 1 to 64 letters, digits, _ and -, and begins with no digit", i))
		case slices.ContainsFunc(page[:i], func(other chat.Tool) bool { return other.Name == t.Name }):
			return chat.Refuse(chat.CodeInvalid, fmt.Sprintf("tools[%d]: %q is there twice", i, t.Name))
		case r.known(t.Name):
			return chat.Refuse(chat.CodeInvalid, fmt.Sprintf("tools[%d]: the server has a tool %q of its own", i, t.Name))
		}
		if _, err := newChecker(t.Schema); err != nil {
			return chat.Refuse(chat.CodeInvalid, fmt.Sprintf("tools[%d]: the parameters of %q are no JSON Schema that can be used: %s", i, t.Name, shortened(err.Error())))
		}
	}
	return nil
}

// known reports whether the server has a tool with the name, as people or as models know it.
func (r *Registry) known(name string) bool {
	return slices.ContainsFunc(r.Tools(), func(t Tool) bool {
		return t.Name == name || upstream.ToolNames([]chat.Tool{t.Tool})[0] == name
	})
}

// shortened returns the beginning of an error.
func shortened(text string) string {
	const longest = 300
	if len(text) <= longest {
		return text
	}
	return text[:longest] + "…"
}

// PageTimeout limits the time that a page has to answer a call of the tool.
func (r *Registry) PageTimeout(tool string) time.Duration {
	return cmp.Or(time.Duration(r.opts.Settings[tool].Timeout), r.opts.PageTimeout)
}
