package persistence

import (
	"bytes"
	"crypto/sha3"
	"encoding/hex"
	"testing"
)

// The vectors of c2sp.org/XAES-256-GCM: keys with and without a carry, and ten thousand
// random ones in one sum.
func TestXAESVectors(t *testing.T) {
	for _, tt := range []struct {
		key        byte
		additional string
		want       string
	}{
		{1, "", "ce546ef63c9cc60765923609b33a9a1974e96e52daf2fcf7075e2271"},
		{3, "c2sp.org/XAES-256-GCM", "986ec1832593df5443a179437fd083bf3fdb41abd740a21f71eb769d"},
	} {
		x := newXAES(bytes.Repeat([]byte{tt.key}, xaesKeyLen))
		got := x.sealWith(nil, []byte("ABCDEFGHIJKLMNOPQRSTUVWX"), []byte("XAES-256-GCM"), []byte(tt.additional))
		if hex.EncodeToString(got) != tt.want {
			t.Errorf("key %d: got %x, want %s", tt.key, got, tt.want)
		}
	}
}

func TestXAESAccumulated(t *testing.T) {
	random, sum := sha3.NewSHAKE128(), sha3.NewSHAKE128()
	read := func(n int) []byte {
		b := make([]byte, n)
		random.Read(b)
		return b
	}
	for range 10_000 {
		x, nonce := newXAES(read(xaesKeyLen)), read(xaesNonceLen)
		value := read(int(read(1)[0]))
		additional := read(int(read(1)[0]))
		sealed := x.sealWith(bytes.Clone(nonce), nonce, value, additional)
		if opened, ok := x.open(sealed, additional); !ok || !bytes.Equal(opened, value) {
			t.Fatalf("opened %x, %v, want %x", opened, ok, value)
		}
		sum.Write(sealed[xaesNonceLen:])
	}
	var got [32]byte
	sum.Read(got[:])
	if want := "e6b9edf2df6cec60c8cbd864e2211b597fb69a529160cd040d56c0c210081939"; hex.EncodeToString(got[:]) != want {
		t.Errorf("got %x, want %s", got, want)
	}
}
