//go:build !unix

package metrics

import "time"

// processorTime is not known here.
func processorTime() time.Duration { return 0 }
