package auth

import (
	"bytes"
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/rsa"
	"crypto/subtle"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/golang-jwt/jwt/v5"
)

// minRSABits is the least length of an RSA key (RFC 7518 §3.3).
const minRSABits = 2048

// The algorithms that tokens may be signed with, by the key that they need. "none"
// is not among them.
var (
	secretAlgorithms = []string{"HS256", "HS384", "HS512"}
	publicAlgorithms = []string{"RS256", "RS384", "RS512", "PS256", "PS384", "PS512", "ES256", "ES384", "ES512", "EdDSA"}
)

var (
	errCritical   = errors.New("unknown critical header")
	errUnknownKey = errors.New("unknown key")
)

// algorithms returns those that tokens are accepted with. Unless some are named, a
// secret is for HS256 alone, and public keys are for all that they fit.
func (o Options) algorithms() []string {
	if len(o.Algorithms) > 0 {
		return o.Algorithms
	}
	all := []string{} // not nil, which would mean all of them
	if o.Secret != "" {
		all = append(all, secretAlgorithms[0])
	}
	if o.asymmetric() {
		all = append(all, publicAlgorithms...)
	}
	return all
}

func (o Options) asymmetric() bool { return len(o.Keys) > 0 || o.JWKSURL != "" }

// CheckAlgorithms returns an error if one of the algorithms does not exist, or if
// there is no key for it.
func (o Options) CheckAlgorithms() error {
	for _, alg := range o.Algorithms {
		switch {
		case slices.Contains(secretAlgorithms, alg) && o.Secret == "":
			return fmt.Errorf("has %q, which needs jwt-secret", alg)
		case slices.Contains(publicAlgorithms, alg) && !o.asymmetric():
			return fmt.Errorf("has %q, which needs jwt-key-file or jwt-jwks-url", alg)
		case !slices.Contains(slices.Concat(secretAlgorithms, publicAlgorithms), alg):
			return fmt.Errorf("has %q, which is not one of %s", alg, strings.Join(slices.Concat(secretAlgorithms, publicAlgorithms), ", "))
		}
	}
	return nil
}

// ParseKeys returns the public keys in a PEM file: keys (PUBLIC KEY, RSA PUBLIC KEY)
// and certificates. It refuses anything else, private keys above all, which a server
// that only verifies must not have.
func ParseKeys(text []byte) ([]crypto.PublicKey, error) {
	var keys []crypto.PublicKey
	for rest := text; ; {
		var block *pem.Block
		block, rest = pem.Decode(rest)
		if block == nil {
			if len(bytes.TrimSpace(rest)) > 0 || len(keys) == 0 {
				return nil, errors.New("is not a PEM file of public keys")
			}
			return keys, nil
		}
		key, err := parseKey(block)
		if err == nil {
			err = usable(key)
		}
		if err != nil {
			return nil, fmt.Errorf("has as number %d a %s that %w", len(keys)+1, block.Type, err)
		}
		keys = append(keys, key)
	}
}

func parseKey(block *pem.Block) (crypto.PublicKey, error) {
	switch block.Type {
	case "PUBLIC KEY":
		return orUnreadable(x509.ParsePKIXPublicKey(block.Bytes))
	case "RSA PUBLIC KEY":
		return orUnreadable(x509.ParsePKCS1PublicKey(block.Bytes))
	case "CERTIFICATE":
		c, err := orUnreadable(x509.ParseCertificate(block.Bytes))
		if err != nil {
			return nil, err
		}
		return c.PublicKey, nil
	}
	if strings.Contains(block.Type, "PRIVATE KEY") {
		return nil, errors.New("does not belong here: this server needs the public key, as openssl pkey -pubout prints it")
	}
	return nil, errors.New("is not a public key")
}

func orUnreadable[T any](v T, err error) (T, error) {
	if err != nil {
		err = fmt.Errorf("cannot be read: %w", err)
	}
	return v, err
}

// usable returns an error if no token can be verified with the key.
func usable(key crypto.PublicKey) error {
	if k, ok := key.(*rsa.PublicKey); ok && k.N.BitLen() < minRSABits {
		return fmt.Errorf("has %d bits, fewer than %d", k.N.BitLen(), minRSABits)
	}
	if !slices.ContainsFunc(publicAlgorithms, func(alg string) bool { return fits(key, alg) }) {
		return errors.New("is of no kind that tokens are signed with")
	}
	return nil
}

// fits reports whether tokens of the algorithm are verified with a key of this kind.
// It keeps a public key from ever being taken for a secret (key confusion).
func fits(key crypto.PublicKey, alg string) bool {
	switch k := key.(type) {
	case *rsa.PublicKey:
		return (strings.HasPrefix(alg, "RS") || strings.HasPrefix(alg, "PS")) && k.N.BitLen() >= minRSABits
	case *ecdsa.PublicKey:
		return alg == map[int]string{256: "ES256", 384: "ES384", 521: "ES512"}[k.Params().BitSize]
	case ed25519.PublicKey:
		return alg == "EdDSA"
	}
	return false
}

// ownKeys are the keys that the operator has given.
type ownKeys struct {
	secret []byte // empty: there is none
	public []crypto.PublicKey
}

func (k *ownKeys) none() bool { return len(k.secret) == 0 && len(k.public) == 0 }

func (k *ownKeys) equal(other *ownKeys) bool {
	same := func(a, b crypto.PublicKey) bool {
		with, ok := a.(interface{ Equal(crypto.PublicKey) bool })
		return ok && with.Equal(b)
	}
	return subtle.ConstantTimeCompare(k.secret, other.secret) == 1 && slices.EqualFunc(k.public, other.public, same)
}

// SetKeys takes another secret and other public keys, and reports whether they differ.
// Connections that have signed in with a token of the ones before stay until that
// expires. Which kinds of keys there are does not change.
func (v *Verifier) SetKeys(secret string, public []crypto.PublicKey) (changed bool, err error) {
	before, next := v.own.Load(), &ownKeys{[]byte(secret), public}
	switch {
	case next.equal(before):
		return false, nil
	case (len(next.secret) == 0) != (len(before.secret) == 0), (len(next.public) == 0) != (len(before.public) == 0):
		return false, errors.New("a first or a last key of its kind takes a restart")
	}
	v.own.Store(next)
	return true, nil
}

// keyFor returns what may have signed a token: the secret, or the public keys that fit
// its algorithm. It refuses tokens with critical extensions. A recipient must not
// accept a token whose critical extensions it does not know (RFC 7515 §4.1.11), and
// jwt does not check that.
func (v *Verifier) keyFor(t *jwt.Token) (any, error) {
	if _, ok := t.Header["crit"]; ok {
		return nil, errCritical
	}
	alg := t.Method.Alg()
	if slices.Contains(secretAlgorithms, alg) {
		secret := v.own.Load().secret
		if len(secret) == 0 {
			return nil, errUnknownKey
		}
		return secret, nil
	}
	var set jwt.VerificationKeySet
	for _, key := range v.own.Load().public {
		if fits(key, alg) {
			set.Keys = append(set.Keys, key)
		}
	}
	if v.remote != nil {
		kid, _ := t.Header["kid"].(string)
		set.Keys = append(set.Keys, v.remote.find(kid, alg)...)
	}
	if len(set.Keys) == 0 {
		return nil, errUnknownKey
	}
	return set, nil
}
