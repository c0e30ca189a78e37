package oauth

import (
	"crypto/aes"
	"crypto/cipher"
	"crypto/hkdf"
	"crypto/rand"
	"crypto/sha256"
	"errors"
)

// A sealer encrypts what is stored, so that a file without the secret is of no use. What is
// stored under one key cannot be moved to another one.
type sealer struct{ aead cipher.AEAD }

func newSealer(secret []byte) (s sealer, err error) {
	key, err := hkdf.Key(sha256.New, secret, nil, "parlor: tokens of servers of tools", 32)
	if err != nil {
		return s, err
	}
	block, err := aes.NewCipher(key)
	if err != nil {
		return s, err
	}
	s.aead, err = cipher.NewGCMWithRandomNonce(block)
	return s, err
}

func newSecret() []byte {
	secret := make([]byte, 32)
	_, _ = rand.Read(secret) // it never fails
	return secret
}

func (s sealer) close(key string, text []byte) []byte {
	return s.aead.Seal(nil, nil, text, []byte(key))
}

func (s sealer) open(key string, value []byte) ([]byte, error) {
	text, err := s.aead.Open(nil, nil, value, []byte(key))
	if err != nil {
		return nil, errors.New("it is sealed with another secret, or damaged")
	}
	return text, nil
}
