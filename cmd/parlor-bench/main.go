// Command parlor-bench loads parlor, and what it is compared with, from
// outside: as processes that it starts, over their network interface. It needs
// Linux.
package main

import (
	"context"
	"os"
	"os/signal"
	"syscall"

	"github.com/alecthomas/kong"

	"parlor/cmd/parlor-bench/chaos"
)

type cli struct {
	Idle   idleCmd   `cmd:"" help:"Measure the memory of idle connections, next to the Node reference server."`
	Rooms  roomsCmd  `cmd:"" help:"Measure the memory of rooms, and how fast they start and wake up."`
	Stream streamCmd `cmd:"" help:"Measure how late answers arrive, with and without a provider that hangs."`
	Fair   fairCmd   `cmd:"" help:"Measure how long one user waits beside another who does as much as possible."`

	View    viewCmd    `cmd:"" help:"Measure what it costs the server that somebody looks into it."`
	Restart restartCmd `cmd:"" help:"Measure how long people are away while the server starts again, and what they miss."`

	FairLoad fairLoadCmd `cmd:"" hidden:"" help:"Make the load of fair."`

	Chaos chaos.Command `cmd:"" help:"Break what can be broken under parlor, and check what it promises."`
}

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	command := kong.Parse(new(cli),
		kong.Name("parlor-bench"),
		kong.Description("Loads parlor and what it is compared with."),
		kong.UsageOnError(),
		kong.BindTo(ctx, (*context.Context)(nil)),
	)
	command.FatalIfErrorf(command.Run())
}
