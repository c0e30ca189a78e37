package provider

import (
	"cmp"
	"net/url"
	"regexp"
	"slices"
	"strings"
	"time"

	"parlor/protocol/chat"
)

// DefaultThinking is what [Options] hold when Thinking is zero.
const DefaultThinking = 5 * time.Minute

// thinkers are names of models that think before their first word, and of which
// nothing comes meanwhile, whoever serves them.
var thinkers = regexp.MustCompile(`(?i)(^|/)(o[1-9]|gpt-[5-9]|gemini-(2\.5|[3-9])[^/]*pro|grok-([4-9]|3-mini)|magistral|qwq|kimi-k2-thinking)\b|` +
	`\bdeepseek\b|\br1\b|reason|think`)

// silentHosts pass on what comes late: they queue, and many of their models think.
var silentHosts = []string{"deepseek.com", "openrouter.ai"}

// thinksInSilence reports whether the first word of a model may take longer than
// that of others.
func thinksInSilence(baseURL string, model chat.ModelID) bool {
	u, err := url.Parse(baseURL)
	if err != nil {
		return false
	}
	host := u.Hostname()
	return thinkers.MatchString(string(model)) ||
		slices.ContainsFunc(silentHosts, func(h string) bool { return host == h || strings.HasSuffix(host, "."+h) })
}

// patient is the endpoint for models that think in silence: the same, unless the
// operator has said how long a first word of this provider may take.
func (at endpoint) patient(o Options) endpoint {
	if at.firstToken == 0 && at.api != APIRealtime {
		at.firstToken = max(cmp.Or(o.Thinking, DefaultThinking), o.Upstream.FirstToken)
	}
	return at
}

// forModel returns the endpoint at which a model is asked.
func (at endpoint) forModel(model chat.ModelID, o Options) endpoint {
	if thinksInSilence(at.baseURL, model) {
		return at.patient(o)
	}
	return at
}
