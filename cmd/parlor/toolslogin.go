package main

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"os"
	"strconv"
	"strings"
	"time"
)

// loginPath is where the browser of an operator comes back to.
const loginPath = "/callback"

// logIn signs in to a server of tools for all. A browser comes back to this computer, or the
// operator pastes the address to which it wanted to go.
func logIn(ctx context.Context, ask func(toolsCommand) (toolsResult, error), name string, port int, out *streams) error {
	listener, err := net.Listen("tcp", net.JoinHostPort("127.0.0.1", strconv.Itoa(port)))
	if err != nil {
		return err
	}
	came := make(chan string, 1)
	browser := &http.Server{Handler: comingBack(came), ReadHeaderTimeout: readHeaderTimeout}
	go func() { _ = browser.Serve(listener) }()
	defer func() {
		ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), time.Second) // so that the browser gets its answer
		defer cancel()
		_ = browser.Shutdown(ctx)
	}()
	result, err := ask(toolsCommand{Action: "login", Server: name, Redirect: "http://" + listener.Addr().String() + loginPath})
	if err != nil {
		return err
	}
	fmt.Fprintf(out.stdout, "Open this address in a browser, and sign in:\n\n%s\n\nIf the browser cannot come back, paste the address that it shows here.\n", result.URL)
	go readAddress(os.Stdin, came)
	select {
	case query := <-came:
		if _, err := ask(toolsCommand{Action: "complete", Query: query}); err != nil {
			return err
		}
		_, err := fmt.Fprintln(out.stdout, "signed in to "+name)
		return err
	case <-ctx.Done():
		return errors.New("nobody has signed in")
	}
}

// comingBack takes the query with which a browser comes back.
func comingBack(came chan<- string) http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("GET "+loginPath, func(w http.ResponseWriter, r *http.Request) {
		select {
		case came <- r.URL.RawQuery:
		default:
		}
		fmt.Fprintln(w, "You can close this page: parlor tools login says whether it has worked.")
	})
	return mux
}

// readAddress takes the query of an address that somebody pastes.
func readAddress(in io.Reader, came chan<- string) {
	for lines := bufio.NewScanner(in); lines.Scan(); {
		u, err := url.Parse(strings.TrimSpace(lines.Text()))
		if err != nil || !u.Query().Has("state") {
			fmt.Fprintln(os.Stderr, "that is not the address with which the browser came back")
			continue
		}
		select {
		case came <- u.RawQuery:
		default:
		}
		return
	}
}
