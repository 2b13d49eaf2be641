package pool

import (
	"net/url"
	"slices"
	"strings"

	"github.com/poolhouse/poolhouse/internal/kit/fault"
)

// ClientInput is an app client's configuration as a request gave it. What was absent is nil; of Read and Write, empty
// is not absent.
type ClientInput struct {
	Name                     *string
	Refresh, Access, ID      *int
	Units                    *ValidityUnits
	Read, Write              []string
	AuthFlows                []string
	Providers                []string
	CallbackURLs, LogoutURLs []string
	DefaultRedirect          *string
	OAuthFlows, OAuthScopes  []string
	Offered                  []string // the scopes of the pool's resource servers; needed where OAuthScopes names any
	OAuth                    bool
	Analytics                *Analytics
	HideUsers                *string
	Revocation               *bool
	PropagateContext         bool
	SessionMinutes           *int
	Rotation                 *Rotation
}

// The types of clients.
const (
	RegularClient    = "REGULAR"
	RegisteredClient = "DCR"
)

const (
	defaultSessionMinutes = 3
	defaultRefresh        = 30 * day

	hour = 60 * 60 // seconds
	day  = 24 * hour

	minAccess, maxAccess   = 5 * 60, day
	minRefresh, maxRefresh = hour, 3650 * day
)

// CheckSecret refuses a secret that is both generated and given.
func CheckSecret(generate, given bool) error {
	if generate && given {
		return fault.SecretTwice()
	}
	return nil
}

// NewClient decides the settings of a client that is about to be created.
func NewClient(p *Pool, in ClientInput, secret bool) (ClientSettings, error) {
	c := in.settings(ClientSettings{Type: RegularClient})
	return c, c.check(p, in.Offered, secret, "creating")
}

// UpdateClient decides the settings of a client after an update. All members are replaced, and absent ones fall back to
// their defaults, but for the name (observed).
func UpdateClient(p *Pool, was *Client, in ClientInput) (ClientSettings, error) {
	c := in.settings(ClientSettings{Name: was.Name, Type: was.Type})
	return c, c.check(p, in.Offered, len(was.Secrets) > 0, "updating")
}

func (in *ClientInput) settings(c ClientSettings) ClientSettings {
	c.Name = or(in.Name, c.Name)
	c.Units = in.Units
	if c.RefreshValidity = or(in.Refresh, 0); c.RefreshValidity == 0 {
		c.RefreshValidity = int(defaultRefresh / c.unit(refreshToken))
	}
	c.AccessValidity, c.IDValidity = in.Access, in.ID
	c.Read, c.Write = distinct(in.Read), distinct(in.Write)
	c.AuthFlows, c.Providers = set(in.AuthFlows), set(in.Providers)
	c.CallbackURLs, c.LogoutURLs, c.DefaultRedirect = set(in.CallbackURLs), set(in.LogoutURLs), in.DefaultRedirect
	c.OAuthFlows, c.OAuthScopes, c.OAuth = set(in.OAuthFlows), set(in.OAuthScopes), in.OAuth
	c.Analytics, c.HideUsers = in.Analytics, in.HideUsers
	c.Revocation, c.PropagateContext = or(in.Revocation, true), in.PropagateContext
	c.SessionMinutes = or(in.SessionMinutes, defaultSessionMinutes)
	c.Rotation = in.Rotation
	return c
}

// distinct is the list without repetitions, nil only when it is nil: a client with an empty list has no permission,
// one without a list has the default ones.
func distinct(list []string) []string {
	if list == nil {
		return nil
	}
	return append([]string{}, set(list)...)
}

// check holds a client's settings against every rule, in the documented order.
func (c *ClientSettings) check(p *Pool, offered []string, secret bool, doing string) error {
	for _, rule := range []func() error{
		c.checkValidity,
		func() error { return c.checkAttributes(p, doing) },
		func() error { return c.checkAuthFlows(secret) },
		func() error { return c.checkOAuthFlows(secret) },
		c.checkURLs,
		func() error { return c.checkScopes(offered) },
		func() error { return c.checkProviders(p) },
		c.checkAnalytics,
		func() error {
			if c.PropagateContext && !secret {
				return fault.SecretNeededForContext()
			}
			return nil
		},
	} {
		if err := rule(); err != nil {
			return err
		}
	}
	return nil
}

// kind is a kind of token that has a validity.
type kind uint8

const (
	accessToken kind = iota
	idToken
	refreshToken
)

// unit is the number of seconds of a validity's unit: hours for access and ID tokens, days for refresh tokens, unless
// the client says otherwise.
func (c *ClientSettings) unit(k kind) int64 {
	var name *string
	if u := c.Units; u != nil {
		name = [...]*string{u.Access, u.ID, u.Refresh}[k]
	}
	switch {
	case name == nil && k == refreshToken:
		return day
	case name == nil:
		return hour
	}
	switch *name {
	case "seconds":
		return 1
	case "minutes":
		return 60
	case "days":
		return day
	}
	return hour
}

// AccessSeconds is the life of the client's access tokens.
func (c *ClientSettings) AccessSeconds() int64 { return life(c.AccessValidity, c.unit(accessToken)) }

// IDSeconds is the life of the client's ID tokens.
func (c *ClientSettings) IDSeconds() int64 { return life(c.IDValidity, c.unit(idToken)) }

// RefreshSeconds is the life of the client's refresh tokens.
func (c *ClientSettings) RefreshSeconds() int64 {
	return int64(c.RefreshValidity) * c.unit(refreshToken)
}

// life is a validity in seconds, an hour when it is not set.
func life(validity *int, unit int64) int64 {
	if validity == nil {
		return hour
	}
	return int64(*validity) * unit
}

func (c *ClientSettings) checkValidity() error {
	refresh := c.RefreshSeconds()
	ok := refresh >= minRefresh && refresh <= maxRefresh
	for _, seconds := range [...]int64{c.AccessSeconds(), c.IDSeconds()} {
		ok = ok && seconds >= minAccess && seconds <= maxAccess && seconds <= refresh
	}
	if !ok {
		return fault.BadTokenValidity()
	}
	return nil
}

// checkAttributes: clients may read every attribute and write all but the subject, the flags, the identities and what is
// for developers only; a list of writable ones must hold all required ones.
func (c *ClientSettings) checkAttributes(p *Pool, doing string) error {
	for _, name := range c.Read {
		if _, known := p.Attribute(name); !known {
			return fault.BadReadAttributes(doing)
		}
	}
	for _, name := range c.Write {
		a, known := p.Attribute(name)
		if !known || a.DeveloperOnly {
			return fault.BadWriteAttributes(doing)
		}
		switch name {
		case Sub, EmailVerified, PhoneNumberVerified, Identities:
			return fault.BadWriteAttributes(doing)
		}
	}
	if c.Write == nil {
		return nil
	}
	for _, name := range p.Required() {
		if !slices.Contains(c.Write, name) {
			return fault.BadWriteAttributes(doing)
		}
	}
	return nil
}

func (c *ClientSettings) checkAuthFlows(secret bool) error {
	legacy := 0
	for _, flow := range c.AuthFlows {
		if !strings.HasPrefix(flow, "ALLOW_") {
			legacy++
		}
	}
	if legacy > 0 && legacy < len(c.AuthFlows) {
		return fault.MixedAuthFlows()
	}
	if c.Rotation != nil && c.Rotation.Enabled && slices.Contains(c.AuthFlows, "ALLOW_REFRESH_TOKEN_AUTH") {
		return fault.RefreshFlowWithRotation()
	}
	if c.MayCallForItself() {
		if len(c.AuthFlows) > 1 {
			return fault.ClientTokenFlowAlone()
		}
		if !secret {
			return fault.ClientTokenFlowNeedsSecret()
		}
	}
	return nil
}

// clientCredentials is the flow of machines, which goes with no other.
const clientCredentials = "client_credentials"

func (c *ClientSettings) checkOAuthFlows(secret bool) error {
	if c.OAuth && (len(c.OAuthFlows) == 0 || len(c.OAuthScopes) == 0) {
		return fault.FlowsAndScopesNeeded()
	}
	if !slices.Contains(c.OAuthFlows, clientCredentials) {
		if len(c.OAuthFlows) > 0 && len(c.CallbackURLs) == 0 {
			return fault.CallbackNeeded()
		}
		return nil
	}
	if len(c.OAuthFlows) > 1 {
		return fault.CredentialsFlowAlone()
	}
	if !secret {
		return fault.CredentialsFlowNeedsSecret()
	}
	return nil
}

func (c *ClientSettings) checkURLs() error {
	for _, list := range [...][]string{c.CallbackURLs, c.LogoutURLs} {
		for _, u := range list {
			if err := checkURL(u); err != nil {
				return err
			}
		}
	}
	if c.DefaultRedirect != nil && !slices.Contains(c.CallbackURLs, *c.DefaultRedirect) {
		return fault.DefaultRedirectNotListed(*c.DefaultRedirect)
	}
	return nil
}

// checkURL accepts https anywhere, http on this very machine, and schemes of apps, but none that a browser would run as
// a script or read as a document (ours).
func checkURL(text string) error {
	u, err := url.Parse(text)
	if err != nil || u.Scheme == "" {
		return fault.NotAbsoluteURL(text)
	}
	if strings.Contains(text, "#") {
		return fault.URLWithFragment(text)
	}
	switch u.Scheme { // in lower case
	case "http":
		if host := u.Hostname(); host != "localhost" && host != "127.0.0.1" && host != "::1" {
			return fault.HTTPRedirect(text)
		}
	case "https":
		if u.Hostname() == "" {
			return fault.NotAbsoluteURL(text)
		}
	case "javascript", "data", "vbscript", "file", "blob", "about":
		return fault.SchemeNotAllowed(text)
	}
	return nil
}

// checkScopes accepts the scopes of the service and those that resource servers of the pool offer. A scope that its
// server has lost since, or whose server is gone, is unknown again when the client is next updated (unconfirmed); until
// then it stays with the client and is not granted.
func (c *ClientSettings) checkScopes(offered []string) error {
	for _, scope := range c.OAuthScopes {
		switch {
		case serviceScope(scope) && slices.Contains(c.OAuthFlows, clientCredentials):
			return fault.ScopeWithCredentials(scope)
		case !serviceScope(scope) && !slices.Contains(offered, scope):
			return fault.UnknownScope(scope)
		}
	}
	return nil
}

// checkProviders knows the pool itself as a provider. Others come with the identity providers: there are none yet.
func (c *ClientSettings) checkProviders(p *Pool) error {
	for _, name := range c.Providers {
		if name != "COGNITO" {
			return fault.ProviderNotFound(name, p.ID)
		}
	}
	return nil
}

func (c *ClientSettings) checkAnalytics() error {
	a := c.Analytics
	if a == nil {
		return nil
	}
	byArn := a.ApplicationArn != nil && a.ApplicationID == nil && a.RoleArn == nil && a.ExternalID == nil
	byID := a.ApplicationArn == nil && a.ApplicationID != nil && a.RoleArn != nil && a.ExternalID != nil
	if !byArn && !byID {
		return fault.BadAnalytics()
	}
	return nil
}
