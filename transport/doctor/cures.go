package doctor

// Proxies are those for which there are lines, by the names that they give themselves.
var Proxies = []string{"nginx", "caddy", "traefik", "haproxy", "apache"}

// A Cure names the change that mends a fault.
type Cure string

// The cures.
const (
	Upgrade     Cure = "upgrade"
	Host        Cure = "host"
	Trust       Cure = "trust"
	Forward     Cure = "forward"
	Wait        Cure = "wait"
	NoBuffering Cure = "buffering"
	LargeBody   Cure = "body"
	CookiePath  Cure = "cookie"
	Headers     Cure = "headers"
	NoCache     Cure = "cache"
	FullChain   Cure = "chain"
	PathPrefix  Cure = "path"
)

// cures has the lines for each proxy, and for the settings of parlor itself.
var cures = map[Cure]map[string]string{
	Upgrade: {
		"nginx": "map $http_upgrade $connection_upgrade { default upgrade; '' close; }   # beside server { }\n" +
			"proxy_http_version 1.1;\nproxy_set_header Upgrade $http_upgrade;\nproxy_set_header Connection $connection_upgrade;",
		"caddy":   "reverse_proxy passes it on by itself: remove header_up lines for Upgrade and Connection",
		"traefik": "it passes it on by itself: remove middlewares that set or remove Upgrade and Connection",
		"haproxy": "it passes it on by itself: remove http-request del-header Upgrade, and option httpclose",
		"apache":  "ProxyPass / http://127.0.0.1:8080/ upgrade=websocket timeout=90   # 2.4.47 or later",
	},
	Host: {
		"nginx":   "proxy_set_header Host $http_host;",
		"caddy":   "it passes Host on by itself: remove header_up Host",
		"traefik": "loadBalancer: { passHostHeader: true }",
		"haproxy": "it passes Host on by itself: remove http-request set-header Host",
		"apache":  "ProxyPreserveHost On",
	},
	Trust: {
		"parlor": "trusted-proxies: [ADDRESS]   # of the proxy, as parlor sees it",
	},
	Forward: {
		"nginx":   "proxy_set_header X-Forwarded-For $proxy_add_x_forwarded_for;\nproxy_set_header X-Forwarded-Host $http_host;\nproxy_set_header X-Forwarded-Proto $scheme;",
		"caddy":   "it sends X-Forwarded-For, -Host and -Proto by itself: remove header_up lines for them",
		"traefik": "it sends X-Forwarded-For, -Host and -Proto by itself; behind another proxy name that one in\nentryPoints: { websecure: { forwardedHeaders: { trustedIPs: [ADDRESS] } } }",
		"haproxy": "option forwardfor\nhttp-request set-header X-Forwarded-Proto https if { ssl_fc }",
		"apache":  "RequestHeader set X-Forwarded-Proto expr=%{REQUEST_SCHEME}",
	},
	Wait: {
		"nginx":   "proxy_read_timeout 90s;\nproxy_send_timeout 90s;",
		"caddy":   "it has no limit by itself: remove read_timeout, write_timeout and response_header_timeout, and in servers { } timeouts",
		"traefik": "entryPoints: { websecure: { transport: { respondingTimeouts: { readTimeout: 90s, idleTimeout: 180s } } } }",
		"haproxy": "timeout client 90s\ntimeout server 90s\ntimeout tunnel 1h",
		"apache":  "ProxyTimeout 90",
	},
	NoBuffering: {
		"nginx":   "proxy_buffering off;\ngzip off;   # or leave text/event-stream out of gzip_types",
		"caddy":   "it sends server-sent events at once by itself: remove flush_interval, and text/event-stream from encode",
		"traefik": "remove the middlewares buffering, and compress for text/event-stream (excludedContentTypes)",
		"haproxy": "no option http-buffer-request\nremove text/event-stream from compression type",
		"apache":  "SetEnv proxy-sendchunked 1\nremove mod_deflate for text/event-stream",
	},
	LargeBody: {
		"nginx":   "client_max_body_size 110m;   # one upload: max-message-files of max-file-bytes",
		"caddy":   "request_body { max_size 110MB }   # or no such lines, since there is no limit by itself",
		"traefik": "buffering: { maxRequestBodyBytes: 110000000 }   # or no such middleware, since there is no limit by itself",
		"haproxy": "it has no limit by itself: remove http-request deny lines that look at the length",
		"apache":  "LimitRequestBody 110000000",
	},
	CookiePath: {
		"nginx":   "remove proxy_cookie_path, proxy_cookie_domain, proxy_cookie_flags and proxy_hide_header Set-Cookie",
		"caddy":   "remove header_down lines for Set-Cookie",
		"traefik": "remove Set-Cookie from customResponseHeaders, and Cookie from customRequestHeaders",
		"haproxy": "remove http-response and http-request lines that change Set-Cookie and Cookie",
		"apache":  "remove ProxyPassReverseCookiePath, ProxyPassReverseCookieDomain and Header edit Set-Cookie",
	},
	Headers: {
		"nginx":   "large_client_header_buffers 4 16k;\nremove proxy_set_header Authorization",
		"caddy":   "remove header_up Authorization",
		"traefik": "remove Authorization from customRequestHeaders, and removeHeader of basicAuth",
		"haproxy": "tune.bufsize 32768   # in global\nremove http-request del-header Authorization",
		"apache":  "LimitRequestFieldSize 16380\nremove RequestHeader unset Authorization",
	},
	NoCache: {
		"nginx":   "proxy_cache off;\nproxy_pass without a path and without variables, so that it passes on the query",
		"caddy":   "remove the cache, or exclude /api, /v1 and /socket.io",
		"traefik": "remove the cache, or exclude /api, /v1 and /socket.io",
		"haproxy": "remove http-request cache-use",
		"apache":  "CacheDisable /",
	},
	FullChain: {
		"nginx":   "ssl_certificate /etc/…/fullchain.pem;   # the certificate, and behind it those that vouch for it",
		"caddy":   "leave certificates to Caddy, or: tls fullchain.pem key.pem",
		"traefik": "certFile: fullchain.pem",
		"haproxy": "bind :443 ssl crt /etc/haproxy/chat.pem   # fullchain.pem and the key, in one file",
		"apache":  "SSLCertificateFile /etc/…/fullchain.pem",
	},
	PathPrefix: {
		"parlor":  "base-path: PATH   # if the proxy passes the path on as it is",
		"nginx":   "location /chat/ { proxy_pass http://127.0.0.1:8080/; … }   # with the / at its end it strips the path",
		"caddy":   "handle_path /chat/* { reverse_proxy 127.0.0.1:8080 }",
		"traefik": "stripPrefix: { prefixes: [/chat] }",
		"haproxy": "http-request replace-path ^/chat(/.*)?$ \\1",
		"apache":  "ProxyPass /chat/ http://127.0.0.1:8080/ upgrade=websocket",
	},
}
