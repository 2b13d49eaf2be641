package pool

import (
	"slices"
	"time"

	"github.com/poolhouse/poolhouse/internal/kit/secret"
)

// Client is an app client.
type Client struct {
	ID       string
	PoolID   string
	Version  int64 // grows with every change; the store sets it
	Created  time.Time
	Modified time.Time
	Secrets  []ClientSecret // none for a public client; oldest first
	ClientSettings
}

// ClientSecret is one of a client's secrets.
type ClientSecret struct {
	ID      string // <clientId>--<epoch seconds>
	Value   secret.Text
	Created time.Time
}

// ClientSettings is what an operator configures. Pointers are nil where the member was not given.
type ClientSettings struct {
	Name                     string
	RefreshValidity          int // RefreshTokenValidity in its unit
	AccessValidity           *int
	IDValidity               *int
	Units                    *ValidityUnits
	Read, Write              []string // nil: the default permissions
	AuthFlows                []string // nil: the default flows
	Providers                []string
	CallbackURLs, LogoutURLs []string
	DefaultRedirect          *string
	OAuthFlows, OAuthScopes  []string
	OAuth                    bool // AllowedOAuthFlowsUserPoolClient
	Analytics                *Analytics
	HideUsers                *string // PreventUserExistenceErrors: LEGACY, ENABLED
	Revocation               bool    // EnableTokenRevocation
	PropagateContext         bool    // EnablePropagateAdditionalUserContextData
	SessionMinutes           int     // AuthSessionValidity
	Rotation                 *Rotation
	Type                     string // REGULAR, DCR
}

// ValidityUnits is TokenValidityUnits.
type ValidityUnits struct{ Access, ID, Refresh *string }

// Analytics is AnalyticsConfiguration.
type Analytics struct {
	ApplicationID, ApplicationArn, RoleArn, ExternalID *string
	UserDataShared                                     *bool
}

// Rotation is RefreshTokenRotation.
type Rotation struct {
	Enabled bool
	Grace   *int // seconds
}

// clientToken is the flow by which a client gets a token for itself, which goes with no other.
const clientToken = "ALLOW_CLIENT_TOKEN_AUTH"

// MayCallForItself reports whether the client may get a token that belongs to no user.
func (c *ClientSettings) MayCallForItself() bool { return slices.Contains(c.AuthFlows, clientToken) }

// HidesUsers reports whether the client's public operations must not tell who exists.
func (c *Client) HidesUsers() bool { return c.HideUsers != nil && *c.HideUsers == "ENABLED" }
