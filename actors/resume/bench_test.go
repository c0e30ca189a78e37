package resume

import (
	"fmt"
	"testing"

	"parlor/protocol/chat"
)

// BenchmarkAdvance is what the offset of one record costs, with the saves of the
// seat that it leads to.
func BenchmarkAdvance(b *testing.B) {
	for _, rooms := range []int{1, 100, 1000} {
		b.Run(fmt.Sprintf("%d rooms", rooms), func(b *testing.B) {
			v := newServer(b).visit()
			places := make([]*Place, rooms)
			for i := range rooms {
				id := chat.ID(fmt.Sprint(i)).Room()
				v.join(id, "assistant.documented", 1000)
				places[i] = v.joined[id]
			}
			b.ReportAllocs()
			i := 0
			for b.Loop() {
				p := places[i*7919%rooms]
				v.Advance(p, p.Seq()+1, 1)
				v.run()
				i++
			}
			b.ReportMetric(float64(len(v.Offset())), "offset-bytes")
		})
	}
}
