package chaos

import (
	"cmp"
	"context"
	"fmt"
	"math/rand/v2"
	"os"
	"time"
)

// Command is parlor-bench chaos.
type Command struct {
	Parlor   string        `default:"bin/parlor-chaos" type:"existingfile" help:"The parlor to torment. Only one that is built with -tags chaos lets its rooms panic."`
	Duration time.Duration `default:"10m" help:"How long there are faults."`
	Settle   time.Duration `default:"1m" help:"Time in which all has to come to rest afterwards."`
	Seed     uint64        `help:"Repeats the decisions of a run; 0 chooses one."`
	Clients  int           `default:"24" help:"Clients, three to a user."`
	Rooms    int           `default:"6" help:"Rooms that they talk in."`
	Kills    int           `default:"75" help:"Ends of the server, most of them kill -9."`
	Cuts     int           `default:"1500" help:"Times that the network fails."`
	Panics   int           `default:"75" help:"Panics of rooms; --panics=-1 for none."`
	Unknown  int           `default:"50" help:"One in so many writes of a parlor built with -tags chaos has an outcome that it does not know at once."`
	Bug      string        `help:"A bug to switch on in a parlor built with -tags chaos: see actors/room/chaos.go."`
}

// Help implements kong.HelpProvider.
func (*Command) Help() string {
	return "Starts parlor, lets clients talk through a network that fails, kills the server, fills its disk, hides the outcomes of its writes and makes its rooms panic, and compares what every client was told with the log. Prints a table; ends with status 1 if a promise was broken."
}

// Run prints the report.
func (c *Command) Run(ctx context.Context) error {
	c.Seed = cmp.Or(c.Seed, rand.Uint64N(1e9))
	fmt.Fprintf(os.Stderr, "seed %d\n", c.Seed)
	report, err := Run(ctx, Options{
		Parlor: c.Parlor, Duration: c.Duration, Settle: c.Settle, Seed: c.Seed, Clients: c.Clients, Rooms: c.Rooms,
		Kills: c.Kills, Cuts: c.Cuts, Panics: c.Panics, Unknown: c.Unknown, Bug: c.Bug, Keep: true,
	})
	if err := report.Print(os.Stdout); err != nil {
		return err
	}
	if err == nil && len(report.Violations) > 0 {
		err = errViolated
	}
	return err
}
