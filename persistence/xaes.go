package persistence

import (
	"crypto/aes"
	"crypto/cipher"
	"crypto/rand"
	"crypto/subtle"
)

// XAES-256-GCM of C2SP (c2sp.org/XAES-256-GCM): AES-256-GCM with nonces of 192 bits. The
// first half of a nonce makes a key for this one value, as NIST SP 800-108r1 describes it,
// and the second half is the nonce of AES-GCM. Random nonces of plain AES-GCM, which have 96
// bits, must not be used for more than 2³² values of one key. These may be used for 2⁸⁰, so
// nobody has to count.

const (
	xaesKeyLen   = 32
	xaesNonceLen = 24
	xaesTagLen   = 16
)

// An xaes is a key. It may be used from any goroutine.
type xaes struct {
	block cipher.Block
	mask  [aes.BlockSize]byte // K1 of CMAC
}

// newXAES takes a key of xaesKeyLen bytes.
func newXAES(key []byte) *xaes {
	block, err := aes.NewCipher(key)
	if err != nil {
		panic(err) // the length is wrong, which is a fault of the program
	}
	x := &xaes{block: block}
	block.Encrypt(x.mask[:], x.mask[:])
	carry := byte(0)
	for i := len(x.mask) - 1; i >= 0; i-- {
		b := x.mask[i]
		x.mask[i], carry = b<<1|carry, b>>7
	}
	x.mask[len(x.mask)-1] ^= carry * 0x87 // without a branch: the key is secret
	return x
}

// same reports whether both are the same key.
func (x *xaes) same(y *xaes) bool { return subtle.ConstantTimeCompare(x.mask[:], y.mask[:]) == 1 }

// one returns AES-GCM with the key that the first half of the nonce makes.
func (x *xaes) one(nonce []byte) cipher.AEAD {
	var key [xaesKeyLen]byte
	for i := range 2 {
		half := key[i*aes.BlockSize:][:aes.BlockSize]
		copy(half, []byte{0, byte(i + 1), 'X', 0})
		copy(half[4:], nonce[:xaesNonceLen/2])
		subtle.XORBytes(half, half, x.mask[:])
		x.block.Encrypt(half, half)
	}
	block, err := aes.NewCipher(key[:])
	if err != nil {
		panic(err)
	}
	gcm, err := cipher.NewGCM(block)
	if err != nil {
		panic(err)
	}
	return gcm
}

// seal appends a random nonce and the encrypted value to b.
func (x *xaes) seal(b, value, additional []byte) []byte {
	var nonce [xaesNonceLen]byte
	rand.Read(nonce[:]) // never fails
	return x.sealWith(append(b, nonce[:]...), nonce[:], value, additional)
}

func (x *xaes) sealWith(b, nonce, value, additional []byte) []byte {
	return x.one(nonce).Seal(b, nonce[xaesNonceLen/2:], value, additional)
}

// open returns the value of what seal has appended.
func (x *xaes) open(b, additional []byte) (value []byte, ok bool) {
	if len(b) < xaesNonceLen+xaesTagLen {
		return nil, false
	}
	nonce := b[:xaesNonceLen]
	value, err := x.one(nonce).Open(nil, nonce[xaesNonceLen/2:], b[xaesNonceLen:], additional)
	return value, err == nil
}
