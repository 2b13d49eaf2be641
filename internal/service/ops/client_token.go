package ops

import (
	"context"

	"github.com/poolhouse/poolhouse/api"
	"github.com/poolhouse/poolhouse/internal/domain/pool"
	"github.com/poolhouse/poolhouse/internal/domain/token"
	"github.com/poolhouse/poolhouse/internal/kit/chance"
	"github.com/poolhouse/poolhouse/internal/kit/fault"
	"github.com/poolhouse/poolhouse/internal/kit/secret"
	"github.com/poolhouse/poolhouse/internal/port/store"
	"github.com/poolhouse/poolhouse/internal/service/dispatch"
	"github.com/poolhouse/poolhouse/internal/service/messages"
	"github.com/poolhouse/poolhouse/internal/service/tokens"
)

// ClientTokens is the operation by which a program gets a token for itself.
type ClientTokens struct {
	Store    store.Store
	Messages *messages.Messages
	Tokens   *tokens.Tokens
	Chance   *chance.Source
}

// Register puts the family into the registry.
func (o *ClientTokens) Register(r *dispatch.Registry) {
	dispatch.Handle(r, api.GetClientToken, o.Get)
}

// Get makes an access token for a client that proves its secret. Nothing is written.
//
// Evidence: the reference page "GetClientToken"; the order of checks, the texts, and what becomes of scopes that the
// client has not are unconfirmed.
func (o *ClientTokens) Get(ctx context.Context, c *dispatch.Call, in *api.GetClientTokenInput) (*api.GetClientTokenOutput, error) {
	m := &token.Machine{Issuer: o.Tokens.Issuer(c.Pool), Now: c.Now, Jti: o.Chance.UUID()}
	err := o.Store.View(ctx, func(v store.View) (err error) {
		// The client as it is now: a secret that was taken back proves nothing.
		if m.Client, err = v.Clients().Get(c.Pool.ID, c.Client.ID); err != nil {
			return gone(err, fault.ClientNotFound(c.Client.ID))
		}
		if !provesSecret(m.Client, in.Secret) {
			return fault.ClientSecretWrong(m.Client.ID)
		}
		if !m.Client.MayCallForItself() {
			return fault.ClientTokenFlowOff()
		}
		offered, err := scopesOffered(v.ResourceServers(), c.Pool.ID)
		if err != nil {
			return err
		}
		if m.Scopes = token.Granted(m.Client, offered, in.Scopes); len(m.Scopes) == 0 {
			return fault.NoScopeGranted()
		}
		return nil
	})
	if err != nil {
		return nil, err
	}
	signer, err := o.Tokens.Signer(ctx, c.Pool)
	if err != nil {
		return nil, err
	}
	if m.Override, err = o.Messages.MachineTokenGeneration(ctx, c, m.Scopes, in.ClientMetadata); err != nil {
		return nil, err
	}
	text, err := signer.SignMachine(m)
	if err != nil {
		return nil, err
	}
	return &api.GetClientTokenOutput{ClientAuthenticationResult: &api.ClientAuthenticationResultType{
		AccessToken: &text, ExpiresIn: new(int(m.Client.AccessSeconds())), TokenType: new("Bearer")}}, nil
}

// provesSecret reports whether a text is one of the client's secrets. Of a client without secrets nothing is.
func provesSecret(c *pool.Client, given secret.Text) bool {
	proven := false
	for _, s := range c.Secrets {
		proven = given.Equal(s.Value) || proven
	}
	return proven
}
