package httpd

import (
	"net/http"
	"net/netip"
	"slices"
	"strings"
)

// origin says which page sent a request, as far as the browser tells.
type origin uint8

const (
	none    origin = iota // no page, or a browser that says nothing
	own                   // a page of this server
	allowed               // a page of this machine, or of an origin that the operator listed
	foreign               // any other page, or one that hides where it comes from
)

// guard knows which hosts are ours and which origins may call us.
type guard struct {
	hosts   []string // in lower case
	origins []string
	proxies []netip.Prefix
	public  string // the origin of the public address, "" where there is none
}

func newGuard(s *Server) guard {
	g := guard{origins: s.AllowedOrigins, proxies: s.TrustedProxies}
	for _, host := range s.AllowedHosts {
		g.hosts = append(g.hosts, strings.ToLower(host))
	}
	if u := s.PublicURL; u != nil {
		g.hosts = append(g.hosts, strings.ToLower(u.Hostname()))
		g.public = strings.ToLower(u.Scheme + "://" + u.Host)
	}
	return g
}

// hostname takes the port and the brackets off a Host. What is not of the form host, host:port, [host] or [host]:port
// comes back as it is, and is no name that anybody knows.
func hostname(hostport string) string {
	host, port := hostport, ""
	if rest, ok := strings.CutPrefix(hostport, "["); ok {
		if host, port, ok = strings.Cut(rest, "]"); !ok || port != "" && port[0] != ':' {
			return hostport
		}
		port = strings.TrimPrefix(port, ":")
	} else {
		host, port, _ = strings.Cut(hostport, ":")
	}
	if strings.Trim(port, "0123456789") != "" {
		return hostport
	}
	return host
}

// knows reports whether a request with this Host is meant for us. A name that somebody else's DNS could point to this
// machine is refused, or a page of that name could speak to us as if it were ours (DNS rebinding).
func (g *guard) knows(hostport string) bool {
	host := strings.ToLower(hostname(hostport))
	if loopbackName(host) || host == "host.docker.internal" || regionOfHost(host) != "" || slices.Contains(g.hosts, host) {
		return true
	}
	_, err := netip.ParseAddr(host)
	return err == nil
}

func loopbackName(host string) bool {
	return host == "localhost" || strings.HasSuffix(host, ".localhost") && len(host) > len(".localhost")
}

// regionOfHost is the region in cognito-idp.<region>.amazonaws.com, or in that of issuers of type UPDATED, "" for other
// hosts.
func regionOfHost(host string) string {
	region, ok := strings.CutPrefix(strings.TrimPrefix(host, "issuer-"), "cognito-idp.")
	if !ok {
		return ""
	}
	region, ok = strings.CutSuffix(region, ".amazonaws.com")
	if !ok || !isRegion(region) {
		return ""
	}
	return region
}

// isRegion reports whether a name looks like a region: two letters, one word or more, a digit, with hyphens between.
func isRegion(name string) bool {
	n := len(name)
	if n < len("xx-x-1") || name[2] != '-' || name[n-2] != '-' || name[n-1] < '0' || name[n-1] > '9' {
		return false
	}
	for i := range n - 2 {
		if c := name[i]; (c < 'a' || c > 'z') && (c != '-' || i < 2 || name[i+1] == '-') {
			return false
		}
	}
	return true
}

// judge says where a request comes from. Pages of this machine are allowed, whatever their port, unless the browser
// calls them another site (which localhost is to 127.0.0.1): what a developer runs on localhost:3000 may use the server
// beside it. The price is that any such page may, so an operator's server does not belong on a machine where people browse.
func (g *guard) judge(r *http.Request) origin {
	from, crossSite := r.Header["Origin"], !samePlace(r.Header["Sec-Fetch-Site"])
	if len(from) == 0 {
		if crossSite {
			return foreign
		}
		return none
	}
	if len(from) > 1 {
		return foreign
	}
	o := strings.ToLower(from[0])
	switch {
	case slices.ContainsFunc(g.origins, func(listed string) bool { return strings.EqualFold(listed, o) }):
		return allowed
	case crossSite:
		return foreign
	case o == g.scheme(r)+"://"+strings.ToLower(r.Host), g.public != "" && o == g.public:
		return own
	case loopbackOrigin(o):
		return allowed
	}
	return foreign
}

// samePlace reads Sec-Fetch-Site. Clients that are no browsers do not send it; words to come count as foreign.
func samePlace(site []string) bool {
	return len(site) == 0 || len(site) == 1 && (site[0] == "same-origin" || site[0] == "same-site" || site[0] == "none")
}

// mayAsk reports whether the page of a pre-flight may call plain operations.
func (g *guard) mayAsk(o string) bool {
	return loopbackOrigin(strings.ToLower(o)) || slices.ContainsFunc(g.origins, func(listed string) bool { return strings.EqualFold(listed, o) })
}

// scheme is http or https, as the client sees it.
func (g *guard) scheme(r *http.Request) string {
	if r.TLS != nil {
		return "https"
	}
	if len(g.proxies) > 0 && g.trusts(peer(r)) {
		if proto := r.Header["X-Forwarded-Proto"]; len(proto) == 1 && strings.EqualFold(proto[0], "https") {
			return "https"
		}
	}
	return "http"
}

// source is the caller's address: the peer's, or behind trusted proxies the last one in X-Forwarded-For that is not a
// trusted proxy itself. What stands before it was written by the caller and proves nothing.
func (g *guard) source(r *http.Request) string {
	if len(g.proxies) == 0 {
		return hostname(r.RemoteAddr)
	}
	addr := peer(r)
	hops := strings.Split(strings.Join(r.Header["X-Forwarded-For"], ","), ",")
	for i := len(hops) - 1; i >= 0 && g.trusts(addr); i-- {
		hop, err := netip.ParseAddr(strings.TrimSpace(hops[i]))
		if err != nil {
			break
		}
		addr = hop.Unmap().WithZone("")
	}
	if !addr.IsValid() {
		return hostname(r.RemoteAddr)
	}
	return addr.String()
}

func peer(r *http.Request) netip.Addr {
	addr, err := netip.ParseAddrPort(r.RemoteAddr)
	if err != nil {
		return netip.Addr{}
	}
	return addr.Addr().Unmap().WithZone("")
}

func (g *guard) trusts(addr netip.Addr) bool {
	return slices.ContainsFunc(g.proxies, func(p netip.Prefix) bool { return p.Contains(addr) })
}

func loopbackOrigin(o string) bool {
	rest, ok := strings.CutPrefix(o, "http://")
	if !ok {
		if rest, ok = strings.CutPrefix(o, "https://"); !ok {
			return false
		}
	}
	host := hostname(rest)
	if loopbackName(host) {
		return true
	}
	addr, err := netip.ParseAddr(host)
	return err == nil && addr.IsLoopback()
}
