package auth

// Methods are how people can sign in.
type Methods struct {
	Token    bool `json:"token"`    // they have one
	OIDC     bool `json:"oidc"`     // with an identity provider
	Password bool `json:"password"` // with a password of this server
}

// Methods says how people can sign in.
func (v *Verifier) Methods() Methods {
	return Methods{Token: !v.own.Load().none() || v.remote != nil, OIDC: v.provider != nil, Password: v.passwords}
}
