package mcp

import (
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"parlor/transport/tools"
)

// A server that asks for things without end, and reads no answers, is left.
func TestRequestFlood(t *testing.T) {
	for _, method := range []string{"ping", "sampling/createMessage", "elicitation/create", "roots/list"} {
		inBubble(t, Config{}, func(start int, s *scripted, r request) {
			if r.Method == "tools/call" && start == 1 {
				for i := range 10 * maxAsked {
					s.write(`{"jsonrpc":"2.0","id":"s%d","method":%q,"params":{"messages":[],"maxTokens":1,"message":"x"}}`, i, method)
				}
			}
			well(s, r)
		}, func(w *world) {
			w.says(w.call(`{}`), "more than 100 requests within 10s", "nobody knows")
			time.Sleep(2 * firstPause)
			w.says(w.call(`{}`), "{}")
			if n := w.started(); n != 2 {
				w.Errorf("%s: %d starts", method, n)
			}
		})
	}
}

// A server that asks now and then is not.
func TestFewRequests(t *testing.T) {
	inBubble(t, Config{}, func(_ int, s *scripted, r request) {
		if r.Method == "tools/call" {
			s.write(`{"jsonrpc":"2.0","id":"s","method":"ping"}`)
		}
		well(s, r)
	}, func(w *world) {
		for range 5 * maxAsked {
			w.says(w.call(`{}`), "{}")
			time.Sleep(askedWhile / (maxAsked - 1))
		}
		if n := w.started(); n != 1 {
			w.Errorf("%d starts", n)
		}
	})
}

// A list that changes all the time is asked for now and then, and one that has changed long
// after is asked for soon.
func TestChangeFlood(t *testing.T) {
	var lists atomic.Int64
	var connected *scripted
	inBubble(t, Config{}, func(_ int, s *scripted, r request) {
		if connected == nil {
			connected = s
		}
		if r.Method == "tools/list" {
			lists.Add(1)
		}
		well(s, r)
	}, func(w *world) {
		w.started()
		change := func() { connected.write(`{"jsonrpc":"2.0","method":"notifications/tools/list_changed"}`) }
		for range 2 * 60 * 20 {
			change()
			time.Sleep(50 * time.Millisecond)
		}
		if n := lists.Load(); n < 10 || n > 25 {
			w.Errorf("listed %d times in two minutes", n)
		}
		time.Sleep(time.Minute)
		before := lists.Load()
		change()
		time.Sleep(2 * settle)
		if n := lists.Load() - before; n != 1 {
			w.Errorf("listed %d times", n)
		}
	})
}

// A list is told without letters that people cannot see, and only as far as its text is not too long.
func TestHostileList(t *testing.T) {
	big := strings.Repeat("x", maxToolText-100)
	inBubble(t, Config{}, func(_ int, s *scripted, r request) {
		if r.Method != "tools/list" {
			well(s, r)
			return
		}
		list := `{"name":"pay","description":"Pays.\U000e0041\U000e0042\u202e Really\u0007.","inputSchema":{"type":"object"}}`
		list = strings.NewReplacer(`\U000e0041`, "\U000e0041", `\U000e0042`, "\U000e0042").Replace(list)
		for _, name := range []string{`pa\u200by`, `\u202epay`, "pay\U000e0041", `pay\n`} {
			list += fmt.Sprintf(`,{"name":"%s","inputSchema":{"type":"object"}}`, name)
		}
		for i := range 10 {
			list += fmt.Sprintf(`,{"name":"big%d","description":"%s","inputSchema":{"type":"object"}}`, i, big)
		}
		s.answer(r, `{"tools":[`+list+`]}`)
	}, func(w *world) {
		w.started() // and it has written its log
		offered := w.registry.Offered("m", nil)
		if n := len(offered); n != 1+maxListText/maxToolText {
			w.Errorf("%d tools are offered", n)
		}
		if last := offered[len(offered)-1]; last.Name != "s/pay" || last.Description != "Pays. Really." {
			w.Errorf("offered is %q, %q", last.Name, last.Description)
		}
		w.says(w.log.String(), "characters that cannot be seen", "too many tools")
	})
}

// Bodies without an end are not read to their end, whatever they are.
func TestEndlessBodies(t *testing.T) {
	statuses := []int{201, 500}
	if !testing.Short() {
		statuses = []int{200, 201, 202, 400, 404, 500}
	}
	for _, status := range statuses {
		var blocks atomic.Int64
		h := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			if r.Method != http.MethodPost {
				w.WriteHeader(http.StatusMethodNotAllowed)
				return
			}
			w.Header().Set("Content-Type", "application/json")
			w.WriteHeader(status)
			for block := make([]byte, 1<<20); blocks.Load() < 500; blocks.Add(1) {
				if _, err := w.Write(block); err != nil {
					return
				}
			}
		}))
		_, servers := startRemote(t, h.URL, func(c *Config) { c.StartTimeout = tools.Duration(2 * time.Second) })
		for range 500 {
			if servers.Status()[0].Error != "" {
				break
			}
			time.Sleep(10 * time.Millisecond)
		}
		if why := servers.Status()[0].Error; why == "" || blocks.Load() > 100 {
			t.Errorf("%d: it wrote %d MiB, %q", status, blocks.Load(), why)
		}
		servers.Close()
		h.Close()
	}
}
