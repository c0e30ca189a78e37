package doctor

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strings"
	"time"

	"github.com/gorilla/websocket"

	"parlor/protocol/engineio"
)

const socketPath = "/socket.io/?EIO=" + engineio.Protocol

// The packets of Engine.IO that are read and sent here.
const (
	open = '0'
	ping = "2"
	pong = "3"
)

// An opening is what the first packet of a connection says.
type opening struct {
	SID          string `json:"sid"`
	PingInterval int64  `json:"pingInterval"`
}

func openingIn(packet []byte) (o opening, ok bool) {
	if len(packet) == 0 || packet[0] != open || json.Unmarshal(packet[1:], &o) != nil {
		return o, false
	}
	return o, o.SID != ""
}

// quiet is how long nothing may be said on a connection.
func (o opening) quiet() time.Duration {
	return min(time.Duration(max(o.PingInterval, 0))*time.Millisecond, maxWait)
}

// checkWebSocket opens a WebSocket as a page does, and keeps it until the first heartbeat.
func (e *examination) checkWebSocket(ctx context.Context) []Finding {
	found := func(l Level, cure Cure, format string, args ...any) []Finding {
		return []Finding{{"websocket", l, fmt.Sprintf(format, args...), cure}}
	}
	ctx, cancel := context.WithTimeout(ctx, maxWait+2*e.Timeout)
	defer cancel()
	tls := e.tls.Clone()
	tls.NextProtos = []string{"http/1.1"}
	dialer := websocket.Dialer{Proxy: http.ProxyFromEnvironment, TLSClientConfig: tls, HandshakeTimeout: e.Timeout}
	header := http.Header{"Origin": {e.origin()}, "User-Agent": {"parlor-doctor"}}
	if user := e.base.User; user != nil {
		r := http.Request{Header: header}
		password, _ := user.Password()
		r.SetBasicAuth(user.Username(), password)
	}
	address := *e.base
	address.Scheme, address.User = strings.Replace(e.base.Scheme, "http", "ws", 1), nil
	ws, response, err := dialer.DialContext(ctx, address.String()+socketPath+"&transport=websocket", header)
	if err != nil {
		return e.refusedSocket(ctx, response, err)
	}
	defer ws.Close()
	defer context.AfterFunc(ctx, func() { _ = ws.Close() })()
	ws.SetReadLimit(maxAnswer)
	begun := time.Now()
	_ = ws.SetReadDeadline(begun.Add(e.Timeout))
	_, packet, err := ws.ReadMessage()
	o, opened := openingIn(packet)
	switch {
	case err != nil:
		return found(Fault, Upgrade, "it opens, and then nothing comes through: %s", plain(err))
	case !opened:
		return found(Fault, "", "it is not parlor that answers: %.100q", packet)
	}
	_ = ws.SetReadDeadline(time.Now().Add(o.quiet() + e.Timeout))
	if _, packet, err = ws.ReadMessage(); err == nil && string(packet) == ping {
		_ = ws.WriteMessage(websocket.TextMessage, []byte(pong))
		return found(OK, "", "open, and quiet for %s until the heartbeat", round(o.quiet()))
	}
	return found(Fault, Wait, "cut after %s, and nothing may be said for %s (ping-interval)", round(time.Since(begun)), round(o.quiet()))
}

// refusedSocket finds out why there is no WebSocket.
func (e *examination) refusedSocket(ctx context.Context, response *http.Response, err error) []Finding {
	found := func(cure Cure, format string, args ...any) []Finding {
		return []Finding{{"websocket", Fault, fmt.Sprintf(format, args...), cure}}
	}
	if response == nil {
		return found("", "it cannot be opened: %s", plain(err))
	}
	if missing := e.lostUpgrade(ctx); missing != "" {
		return found(Upgrade, "the upgrade does not reach parlor: %s. Clients stay with polling", missing)
	}
	body, _ := readSome(response.Body) // gorilla has read its beginning
	a := answer{response, body}
	switch {
	case e.arrived != nil && !e.arrived.SameOrigin:
		return found(Host, "refused, since the page's origin %s is not the Host that parlor sees, %q", e.origin(), e.arrived.Host)
	case response.StatusCode/100 == 3:
		return found("", "it is redirected to %.200q, which WebSockets do not follow", response.Header.Get("Location"))
	case response.StatusCode == http.StatusBadRequest && json.Valid(body): // to an upgrade parlor answers in plain text
		return found(Upgrade, "the upgrade does not reach parlor: the header Upgrade or Connection is missing. Clients stay with polling")
	case errors.Is(err, websocket.ErrBadHandshake):
		return found(Upgrade, "refused with %s", a.said())
	}
	return found(Upgrade, "refused: %s", plain(err))
}

// lostUpgrade says what of an upgrade is lost on the way, or nothing.
func (e *examination) lostUpgrade(ctx context.Context) string {
	if e.arrived == nil {
		return ""
	}
	arrived, _, err := e.askProbe(ctx, http.MethodGet, "", func(r *http.Request) {
		r.Header.Set("Connection", "Upgrade")
		r.Header.Set("Upgrade", "websocket")
	})
	if err != nil || arrived == nil {
		return ""
	}
	var lost []string
	if arrived.Protocol == "HTTP/1.0" {
		lost = append(lost, "the proxy speaks HTTP/1.0 and must speak HTTP/1.1")
	}
	if !strings.EqualFold(arrived.Headers["Upgrade"], "websocket") {
		lost = append(lost, "the header Upgrade is missing")
	}
	if !strings.Contains(strings.ToLower(arrived.Headers["Connection"]), "upgrade") {
		lost = append(lost, "the header Connection: upgrade is missing")
	}
	return strings.Join(lost, ", and ")
}

// checkPolling opens a connection with polls, and has one wait for the first heartbeat.
func (e *examination) checkPolling(ctx context.Context) []Finding {
	found := func(l Level, cure Cure, format string, args ...any) []Finding {
		return []Finding{{"polling", l, fmt.Sprintf(format, args...), cure}}
	}
	const path = socketPath + "&transport=polling"
	a, err := e.ask(ctx, http.MethodGet, path, nil)
	if err != nil {
		return found(Fault, "", "no answer: %s", err)
	}
	o, opened := openingIn(a.body)
	if !opened {
		return found(Fault, "", "it is not parlor that answers: %s", a.said())
	}
	begun := time.Now()
	packet, err := e.poll(ctx, path+"&sid="+o.SID, o.quiet()+e.Timeout)
	if err != nil {
		return found(Fault, Wait, "a poll was cut after %s (%s), and has to be able to wait for %s (ping-interval)", round(time.Since(begun)), err, round(o.quiet()))
	}
	if string(packet) != ping {
		return found(Fault, Wait, "a poll was answered after %s with %.100q, which is no heartbeat", round(time.Since(begun)), packet)
	}
	a, err = e.ask(ctx, http.MethodPost, path+"&sid="+o.SID, func(r *http.Request) { withBody(r, []byte(pong)) })
	if err != nil || string(a.body) != "ok" {
		return found(Fault, "", "a POST does not reach parlor")
	}
	return found(OK, "", "a poll waits for %s until the heartbeat", round(o.quiet()))
}

// poll asks for what the connection has to say, and waits for it.
func (e *examination) poll(ctx context.Context, path string, wait time.Duration) ([]byte, error) {
	ctx, cancel := context.WithTimeout(ctx, wait)
	defer cancel()
	r, err := http.NewRequestWithContext(ctx, http.MethodGet, e.url(path), nil)
	if err != nil {
		return nil, err
	}
	patient := *e.http
	transport := e.http.Transport.(*http.Transport).Clone()
	transport.ResponseHeaderTimeout = 0
	patient.Transport = transport
	defer transport.CloseIdleConnections()
	response, err := patient.Do(r)
	if err != nil {
		return nil, plain(err)
	}
	defer response.Body.Close()
	body, err := readSome(response.Body)
	if err == nil && response.StatusCode != http.StatusOK {
		err = fmt.Errorf("status %d", response.StatusCode)
	}
	return body, plain(err)
}

func withBody(r *http.Request, body []byte) {
	r.Body, r.ContentLength = io.NopCloser(bytes.NewReader(body)), int64(len(body))
	r.Header.Set("Content-Type", "text/plain;charset=UTF-8")
}

// round leaves out digits that nobody needs.
func round(d time.Duration) time.Duration {
	if d < 10*time.Second {
		return d.Round(10 * time.Millisecond)
	}
	return d.Round(time.Second)
}
