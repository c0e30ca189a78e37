package listen

import (
	"context"
	"time"

	"github.com/coreos/go-systemd/v22/daemon"
)

// Ready, Stopping and Reloading tell systemd how the service is (sd_notify(3)), if it
// wants to know. After Reloading it waits for Ready.
func Ready()     { notify(daemon.SdNotifyReady) }
func Stopping()  { notify(daemon.SdNotifyStopping) }
func Reloading() { notify(daemon.SdNotifyReloading) }

// notify has nobody to tell of a failure: the server runs as well without systemd.
func notify(state string) { _, _ = daemon.SdNotify(false, state) }

// Watch tells systemd twice in each period of its watchdog that the server works, as long
// as alive does not fail, until ctx ends. It returns at once if there is no watchdog.
// Where nothing comes for a whole period systemd starts the service again.
func Watch(ctx context.Context, alive func(context.Context) error) {
	period, err := daemon.SdWatchdogEnabled(false)
	if err != nil || period == 0 {
		return
	}
	tick := time.NewTicker(period / 2)
	defer tick.Stop()
	for {
		check, cancel := context.WithTimeout(ctx, period/2)
		if alive(check) == nil {
			notify(daemon.SdNotifyWatchdog)
		}
		cancel()
		select {
		case <-tick.C:
		case <-ctx.Done():
			return
		}
	}
}
