package ops

import (
	"github.com/poolhouse/poolhouse/api"
	"github.com/poolhouse/poolhouse/internal/domain/pool"
)

const featureOn, featureOff = "ENABLED", "DISABLED"

// clientInput translates a request to create an app client.
func clientInput(in *api.CreateUserPoolClientInput) pool.ClientInput {
	w := pool.ClientInput{
		Name:             &in.ClientName,
		Refresh:          in.RefreshTokenValidity,
		Access:           in.AccessTokenValidity,
		ID:               in.IdTokenValidity,
		Read:             in.ReadAttributes,
		Write:            in.WriteAttributes,
		AuthFlows:        in.ExplicitAuthFlows,
		Providers:        in.SupportedIdentityProviders,
		CallbackURLs:     in.CallbackURLs,
		LogoutURLs:       in.LogoutURLs,
		DefaultRedirect:  in.DefaultRedirectURI,
		OAuthFlows:       in.AllowedOAuthFlows,
		OAuthScopes:      in.AllowedOAuthScopes,
		OAuth:            is(in.AllowedOAuthFlowsUserPoolClient),
		HideUsers:        in.PreventUserExistenceErrors,
		Revocation:       in.EnableTokenRevocation,
		PropagateContext: is(in.EnablePropagateAdditionalUserContextData),
		SessionMinutes:   in.AuthSessionValidity,
	}
	if u := in.TokenValidityUnits; u != nil {
		w.Units = &pool.ValidityUnits{Access: u.AccessToken, ID: u.IdToken, Refresh: u.RefreshToken}
	}
	if a := in.AnalyticsConfiguration; a != nil {
		w.Analytics = &pool.Analytics{ApplicationID: a.ApplicationId, ApplicationArn: a.ApplicationArn, RoleArn: a.RoleArn,
			ExternalID: a.ExternalId, UserDataShared: a.UserDataShared}
	}
	if r := in.RefreshTokenRotation; r != nil {
		w.Rotation = &pool.Rotation{Enabled: r.Feature == featureOn, Grace: r.RetryGracePeriodSeconds}
	}
	return w
}

// clientUpdate translates a request to update an app client, whose members are those of creation.
func clientUpdate(in *api.UpdateUserPoolClientInput) pool.ClientInput {
	w := clientInput(&api.CreateUserPoolClientInput{
		RefreshTokenValidity:                     in.RefreshTokenValidity,
		AccessTokenValidity:                      in.AccessTokenValidity,
		IdTokenValidity:                          in.IdTokenValidity,
		TokenValidityUnits:                       in.TokenValidityUnits,
		ReadAttributes:                           in.ReadAttributes,
		WriteAttributes:                          in.WriteAttributes,
		ExplicitAuthFlows:                        in.ExplicitAuthFlows,
		SupportedIdentityProviders:               in.SupportedIdentityProviders,
		CallbackURLs:                             in.CallbackURLs,
		LogoutURLs:                               in.LogoutURLs,
		DefaultRedirectURI:                       in.DefaultRedirectURI,
		AllowedOAuthFlows:                        in.AllowedOAuthFlows,
		AllowedOAuthScopes:                       in.AllowedOAuthScopes,
		AllowedOAuthFlowsUserPoolClient:          in.AllowedOAuthFlowsUserPoolClient,
		AnalyticsConfiguration:                   in.AnalyticsConfiguration,
		PreventUserExistenceErrors:               in.PreventUserExistenceErrors,
		EnableTokenRevocation:                    in.EnableTokenRevocation,
		EnablePropagateAdditionalUserContextData: in.EnablePropagateAdditionalUserContextData,
		AuthSessionValidity:                      in.AuthSessionValidity,
		RefreshTokenRotation:                     in.RefreshTokenRotation,
	})
	w.Name = in.ClientName
	return w
}

// clientType shows an app client. What was not configured is absent but for the members that always have a value.
func clientType(c *pool.Client) *api.UserPoolClientType {
	out := &api.UserPoolClientType{
		UserPoolId:                               &c.PoolID,
		ClientName:                               &c.Name,
		ClientId:                                 &c.ID,
		LastModifiedDate:                         instant(c.Modified),
		CreationDate:                             instant(c.Created),
		RefreshTokenValidity:                     &c.RefreshValidity,
		AccessTokenValidity:                      c.AccessValidity,
		IdTokenValidity:                          c.IDValidity,
		ReadAttributes:                           c.Read,
		WriteAttributes:                          c.Write,
		ExplicitAuthFlows:                        c.AuthFlows,
		SupportedIdentityProviders:               c.Providers,
		CallbackURLs:                             c.CallbackURLs,
		LogoutURLs:                               c.LogoutURLs,
		DefaultRedirectURI:                       c.DefaultRedirect,
		AllowedOAuthFlows:                        c.OAuthFlows,
		AllowedOAuthScopes:                       c.OAuthScopes,
		AllowedOAuthFlowsUserPoolClient:          &c.OAuth,
		PreventUserExistenceErrors:               c.HideUsers,
		EnableTokenRevocation:                    &c.Revocation,
		EnablePropagateAdditionalUserContextData: &c.PropagateContext,
		AuthSessionValidity:                      &c.SessionMinutes,
		ClientType:                               &c.Type,
	}
	if len(c.Secrets) > 0 {
		out.ClientSecret = &c.Secrets[0].Value
	}
	if u := c.Units; u != nil {
		out.TokenValidityUnits = &api.TokenValidityUnitsType{AccessToken: u.Access, IdToken: u.ID, RefreshToken: u.Refresh}
	}
	if a := c.Analytics; a != nil {
		out.AnalyticsConfiguration = &api.AnalyticsConfigurationType{ApplicationId: a.ApplicationID, ApplicationArn: a.ApplicationArn,
			RoleArn: a.RoleArn, ExternalId: a.ExternalID, UserDataShared: a.UserDataShared}
	}
	if r := c.Rotation; r != nil {
		out.RefreshTokenRotation = &api.RefreshTokenRotationType{Feature: word(r.Enabled, featureOn, featureOff), RetryGracePeriodSeconds: r.Grace}
	}
	return out
}
