// Sign-ins that the newest SDK knows and older clients do not: by the user's choice, by functions, and with tokens that rotate.

import assert from 'node:assert/strict';
import * as sdk from '@aws-sdk/client-cognito-identity-provider';
import { account, claims, makePool, newestCode, pairs, refused, run, send, withFunctions, wrong } from './harness.mjs';

const password = 'Correct-h0rse';
const next = 'Battery-st4ple';
const phone = '+15555550100';
const incorrect = [sdk.NotAuthorizedException, 'Incorrect username or password.'];

// A pool, an app client of it, and its user.
const setUp = async (settings, client) => {
  const pool = await makePool(settings);
  const settled = { UserPoolId: pool.Id, ClientName: 'web', AuthSessionValidity: 15, ...client };
  const { UserPoolClient } = await send('CreateUserPoolClient', settled);
  const jane = { UserPoolId: pool.Id, Username: 'jane' };
  const attributes = { email: 'jane@example.com', email_verified: 'true', phone_number: phone, phone_number_verified: 'true' };
  await send('AdminCreateUser', { ...jane, MessageAction: 'SUPPRESS', UserAttributes: pairs(attributes) });
  await send('AdminSetUserPassword', { ...jane, Password: password, Permanent: true });
  const { ClientId } = UserPoolClient;
  const answering = (ChallengeName, { Session }, responses) => {
    const ChallengeResponses = { USERNAME: 'jane', ...responses };
    return ['RespondToAuthChallenge', { ClientId, ChallengeName, Session, ChallengeResponses }];
  };
  return {
    pool,
    ClientId,
    begin: (AuthFlow, parameters = {}) => send('InitiateAuth', { ClientId, AuthFlow, AuthParameters: { USERNAME: 'jane', ...parameters } }),
    respond: (...given) => send(...answering(...given)),
    fails: ([kind, message], ...given) => refused(kind, message, ...answering(...given)),
  };
};
const isJane = ({ AuthenticationResult }) => assert.equal(claims(AuthenticationResult.AccessToken).username, 'jane');

await run({
  async 'the user chooses a first factor'() {
    const { pool, begin, respond, fails } = await setUp(
      {
        Policies: { SignInPolicy: { AllowedFirstAuthFactors: ['PASSWORD', 'EMAIL_OTP', 'SMS_OTP'] } },
        SmsConfiguration: { SnsCallerArn: `arn:aws:iam::${account}:role/sms` },
      },
      { ExplicitAuthFlows: ['ALLOW_USER_AUTH', 'ALLOW_REFRESH_TOKEN_AUTH'] },
    );
    const offer = await begin('USER_AUTH');
    assert.equal(offer.ChallengeName, 'SELECT_CHALLENGE');
    assert.deepEqual(offer.AvailableChallenges.toSorted(), ['EMAIL_OTP', 'PASSWORD', 'PASSWORD_SRP', 'SMS_OTP']);
    await fails(incorrect, 'SELECT_CHALLENGE', offer, { ANSWER: 'PASSWORD', PASSWORD: next });
    isJane(await respond('SELECT_CHALLENGE', offer, { ANSWER: 'PASSWORD', PASSWORD: password }));

    const bySMS = await respond('SELECT_CHALLENGE', await begin('USER_AUTH'), { ANSWER: 'SMS_OTP' });
    assert.deepEqual([bySMS.ChallengeName, bySMS.ChallengeParameters.CODE_DELIVERY_DESTINATION], ['SMS_OTP', '+*******0100']);
    const code = await newestCode(pool, phone);
    await fails([sdk.CodeMismatchException, 'Invalid code or auth state for the user.'], 'SMS_OTP', bySMS, { SMS_OTP_CODE: wrong(code) });
    isJane(await respond('SMS_OTP', bySMS, { SMS_OTP_CODE: code }));

    const byMail = await begin('USER_AUTH', { PREFERRED_CHALLENGE: 'EMAIL_OTP' });
    assert.equal(byMail.ChallengeName, 'EMAIL_OTP');
    isJane(await respond('EMAIL_OTP', byMail, { EMAIL_OTP_CODE: await newestCode(pool, 'jane@example.com') }));
    isJane(await begin('USER_AUTH', { PREFERRED_CHALLENGE: 'PASSWORD', PASSWORD: password }));
  },

  async 'functions decide'() {
    const { begin, respond, fails } = await setUp(withFunctions, { ExplicitAuthFlows: ['ALLOW_CUSTOM_AUTH', 'ALLOW_REFRESH_TOKEN_AUTH'] });
    const asked = await begin('CUSTOM_AUTH');
    assert.equal(asked.ChallengeName, 'CUSTOM_CHALLENGE');
    assert.deepEqual(asked.ChallengeParameters, { USERNAME: 'jane', question: 'What opens the cave?' });
    const again = await respond('CUSTOM_CHALLENGE', asked, { ANSWER: 'rye' });
    assert.equal(again.ChallengeName, 'CUSTOM_CHALLENGE');
    const once = [sdk.NotAuthorizedException, 'Invalid session for the user, session can only be used once.'];
    await fails(once, 'CUSTOM_CHALLENGE', asked, { ANSWER: 'sesame' });
    isJane(await respond('CUSTOM_CHALLENGE', again, { ANSWER: 'sesame' }));
  },

  async 'refresh tokens rotate'() {
    const { ClientId, begin } = await setUp(
      {},
      {
        ExplicitAuthFlows: ['ALLOW_USER_PASSWORD_AUTH'],
        RefreshTokenRotation: { Feature: 'ENABLED', RetryGracePeriodSeconds: 60 },
      },
    );
    const first = (await begin('USER_PASSWORD_AUTH', { PASSWORD: password })).AuthenticationResult;
    const renew = async (RefreshToken) => (await send('GetTokensFromRefreshToken', { ClientId, RefreshToken })).AuthenticationResult;
    const second = await renew(first.RefreshToken);
    assert.notEqual(second.RefreshToken, first.RefreshToken);
    assert.equal(claims(second.AccessToken).origin_jti, claims(first.AccessToken).origin_jti);
    // An answer that was lost is asked for again.
    assert.ok((await renew(first.RefreshToken)).RefreshToken);
    const third = await renew(second.RefreshToken);
    await send('RevokeToken', { ClientId, Token: third.RefreshToken });
    await refused(sdk.NotAuthorizedException, 'Refresh Token has been revoked', 'GetTokensFromRefreshToken', {
      ClientId,
      RefreshToken: third.RefreshToken,
    });
    await refused(sdk.NotAuthorizedException, 'Access Token has been revoked', 'GetUser', { AccessToken: first.AccessToken });
  },
});
