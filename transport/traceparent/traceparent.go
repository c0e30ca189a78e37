// Package traceparent passes the place in a trace on to those who are asked by HTTP: the
// header of W3C Trace Context. Without traces there is nothing in a context, and no header.
package traceparent

import (
	"context"
	"net/http"
)

// Header is that of https://www.w3.org/TR/trace-context/.
const Header = "Traceparent"

type key struct{}

// With returns a context whose requests have the header.
func With(ctx context.Context, value string) context.Context {
	return context.WithValue(ctx, key{}, value)
}

// Set adds the header, if the context has one.
func Set(ctx context.Context, h http.Header) {
	if value, ok := ctx.Value(key{}).(string); ok {
		h.Set(Header, value)
	}
}
