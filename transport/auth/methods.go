package auth

// SignIns lets people in and out: it begins and ends sessions of browsers.
type SignIns struct{ *Verifier }

// SignIns returns what lets people in and out.
func (v *Verifier) SignIns() SignIns { return SignIns{v} }

// Methods are how people can sign in.
type Methods struct {
	Token    bool `json:"token"`    // they have one
	OIDC     bool `json:"oidc"`     // with an identity provider
	Password bool `json:"password"` // with a password of this server
}

// Methods says how people can sign in.
func (v SignIns) Methods() Methods {
	return Methods{Token: !v.own.Load().none() || v.remote != nil, OIDC: v.provider != nil, Password: v.passwords}
}
