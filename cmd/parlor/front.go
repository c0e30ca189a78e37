package main

import (
	"net"
	"net/http"
	"net/url"

	"parlor/transport/origin"
)

// front wraps the handler of all paths in what every request passes first.
func front(s Settings, next http.Handler) http.Handler {
	if s.Development() {
		return thisComputerOnly(next)
	}
	proxies, _ := origin.ParseProxies(s.TrustedProxies) // the settings are checked
	return proxies.Handler(next)
}

// thisComputerOnly refuses requests that come from elsewhere, since in development mode
// everybody is who they say they are. They come from elsewhere in two ways:
//
// An attacker can make the name of his page resolve to this computer (DNS rebinding).
// Then the Host is that name.
//
// A proxy on this computer passes on what the internet sends, and many of them send the
// Host that they know this server by, which is this computer. Their headers give them
// away. nginx adds none unless it is told to, but then it speaks HTTP/1.0, which no
// browser and no client of ours does.
func thisComputerOnly(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		host := (&url.URL{Host: r.Host}).Hostname()
		header := origin.Forwarded(r.Header)
		why := ""
		switch {
		case host != "localhost" && !net.ParseIP(host).IsLoopback():
			why = "only requests to localhost are answered"
		case header != "":
			why = "requests that come through a proxy are refused, and this one has the header " + header + ": set jwt-secret, and name the proxy in trusted-proxies"
		case !r.ProtoAtLeast(1, 1):
			why = "HTTP/1.0 is refused, since a proxy may speak it: set jwt-secret, and have the proxy speak HTTP/1.1, which WebSocket needs"
		default:
			next.ServeHTTP(w, r)
			return
		}
		http.Error(w, "development mode: "+why, http.StatusForbidden)
	})
}
