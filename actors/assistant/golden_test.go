package assistant_test

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"parlor/actors/access"
	"parlor/actors/actortest"
	"parlor/actors/room"
	"parlor/actors/session"
	"parlor/protocol/chat"
)

// TestGolden plays the conversations in testdata and compares what the clients
// hear. A file is a comment and then sections:
//
//	-- alice says --    packets of a client, which is connected by the first
//	-- alice hears --   what it is sent from then on
//	-- 1s --            time passes
//
// Ids that the server makes up are numbered in the order in which they appear,
// and can be used by what is said later. With -update what is heard is written
// anew.
func TestGolden(t *testing.T) {
	files, err := filepath.Glob("testdata/*.txt")
	if err != nil || len(files) == 0 {
		t.Fatalf("got files %v, %v", files, err)
	}
	for _, file := range files {
		t.Run(strings.TrimSuffix(filepath.Base(file), ".txt"), func(t *testing.T) {
			want, err := os.ReadFile(file)
			if err != nil {
				t.Fatal(err)
			}
			got := play(t, string(want))
			if *update {
				if err := os.WriteFile(file, []byte(got), 0o644); err != nil {
					t.Fatal(err)
				}
				return
			}
			if diff := cmp.Diff(strings.Split(string(want), "\n"), strings.Split(got, "\n")); diff != "" {
				t.Errorf("(-file +heard):\n%s", diff)
			}
		})
	}
}

var errOutOfOrder = chat.Refuse(chat.CodeProviderError, "out of order")

// play plays a conversation and returns it with what was heard.
func play(t *testing.T, file string) string {
	var p player
	run(t, room.Options{Access: access.Policy{Shared: true}}, func(t *testing.T, s *actortest.Server, sessions *session.Sessions) {
		s.Assistant.On("count", actortest.Slowly(time.Second, "one ", "two 😀 ", "three"))
		s.Assistant.On("fail", actortest.Fail(func(context.Context) error { return errOutOfOrder }, "so far"))
		p.clients, p.dial = map[string]*actortest.Conn{}, func() *actortest.Conn { return actortest.Dial(t, sessions) }
		header, body := "", []string(nil)
		for line := range strings.Lines(file) {
			name, ok := strings.CutPrefix(strings.TrimSpace(line), "-- ")
			if !ok {
				body = append(body, line)
				continue
			}
			p.section(t, header, body)
			header, body = strings.TrimSuffix(name, " --"), nil
		}
		p.section(t, header, body)
	})
	return p.out.String()
}

// player plays one file.
type player struct {
	out     strings.Builder
	dial    func() *actortest.Conn
	names   []string // of the clients, in the order in which they came
	clients map[string]*actortest.Conn
	ids     []string // which the server made up, in quotes
}

func (p *player) section(t *testing.T, header string, body []string) {
	name, what, _ := strings.Cut(header, " ")
	pause, err := time.ParseDuration(name)
	switch {
	case what == "hears":
		return
	case what == "says":
		p.say(name, body)
	case err == nil:
		fmt.Fprintf(&p.out, "-- %s --\n", header)
		time.Sleep(pause)
	case header == "":
		p.out.WriteString(strings.Join(body, ""))
	default:
		t.Fatalf("a section of %q", header)
	}
	synctest.Wait()
	for _, name := range p.names {
		if heard := p.clients[name].Got(); len(heard) > 0 {
			fmt.Fprintf(&p.out, "-- %s hears --\n%s\n", name, p.number(strings.Join(heard, "\n")))
		}
	}
}

func (p *player) say(name string, packets []string) {
	fmt.Fprintf(&p.out, "-- %s says --\n%s", name, strings.Join(packets, ""))
	c, ok := p.clients[name]
	if !ok {
		c = p.dial()
		p.clients[name], p.names = c, append(p.names, name)
	}
	for _, packet := range packets {
		for i, id := range p.ids {
			packet = strings.ReplaceAll(packet, fmt.Sprintf(`"ID%d"`, i+1), id)
		}
		c.Say(strings.TrimSpace(packet))
	}
}

// madeUp matches UUIDs, the ids of sockets, and epochs, which have one of each.
var madeUp = regexp.MustCompile(`"([0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}(\.[A-Z2-7]{26})?|[A-Z2-7]{26})"`)

// number replaces the ids that the server has made up.
func (p *player) number(text string) string {
	return madeUp.ReplaceAllStringFunc(text, func(id string) string {
		for i, known := range p.ids {
			if id == known {
				return fmt.Sprintf(`"ID%d"`, i+1)
			}
		}
		p.ids = append(p.ids, id)
		return fmt.Sprintf(`"ID%d"`, len(p.ids))
	})
}
