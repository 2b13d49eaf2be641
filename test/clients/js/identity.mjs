// Users of amazon-cognito-identity-js, unchanged: they sign up, prove passwords by SRP and second factors, change what they have, and
// sign out.

import assert from 'node:assert/strict';
import { AuthenticationDetails, CognitoRefreshToken, CognitoUser, CognitoUserPool } from 'amazon-cognito-identity-js';
import { account, appCode, claims, listed, makePool, newestCode, pairs, run, send, withFunctions, wrong } from './harness.mjs';

const endpoint = process.env.AWS_ENDPOINT_URL;
const password = 'Correct-h0rse';
const next = 'Battery-st4ple';
const phone = '+15555550100';
const smsSettings = { SmsConfiguration: { SnsCallerArn: `arn:aws:iam::${account}:role/sms` } };

// What a browser keeps between two visits.
class Memory extends Map {
  getItem(key) {
    return this.get(key) ?? null;
  }
  setItem(key, value) {
    return this.set(key, value);
  }
  removeItem(key) {
    return this.delete(key);
  }
}

// A pool of the library with a user of it, and the pool itself.
const visit = async (settings = {}, client = {}) => {
  const pool = await makePool({ AutoVerifiedAttributes: ['email'], ...settings });
  const settled = { UserPoolId: pool.Id, ClientName: 'web', AuthSessionValidity: 15, ...client };
  const { UserPoolClient } = await send('CreateUserPoolClient', settled);
  const storage = new Memory();
  const site = new CognitoUserPool({ UserPoolId: pool.Id, ClientId: UserPoolClient.ClientId, endpoint, Storage: storage });
  return { pool, site, storage, user: (name = 'jane') => new CognitoUser({ Username: name, Pool: site, Storage: storage }) };
};

// A pool with a user who has a password.
const known = async (settings, attributes = { email: 'jane@example.com', email_verified: 'true' }) => {
  const visited = await visit(settings);
  const jane = { UserPoolId: visited.pool.Id, Username: 'jane' };
  await send('AdminCreateUser', { ...jane, MessageAction: 'SUPPRESS', UserAttributes: pairs(attributes) });
  await send('AdminSetUserPassword', { ...jane, Password: password, Permanent: true });
  return visited;
};

// What the library calls back with: the callback's name and what it was given.
const outcome = (start) =>
  new Promise((resolve) => {
    start(new Proxy({}, { get: (_, name) => (...given) => resolve([name, ...given]) }));
  });

// The same, where only one of the callbacks is right.
const expect = async (name, start) => {
  const [called, ...given] = await outcome(start);
  assert.equal(called, name, `${called} was called with ${given.map(String)}`);
  return given.length > 1 ? given : given[0];
};
const refusal = async (code, message, start) => {
  const error = await expect('onFailure', start);
  assert.deepEqual([error.code, error.name, error.message], [code, code, message]);
};

// Functions that take one callback with an error first.
const answer = (start) => new Promise((resolve, reject) => start((error, value) => (error ? reject(error) : resolve(value))));
const refused = (code, message, start) => assert.rejects(answer(start), { code, name: code, message });

const details = (secret = password, Username = 'jane') => new AuthenticationDetails({ Username, Password: secret });
const signIn = (user, secret = password) => expect('onSuccess', (on) => user.authenticateUser(details(secret), on));
const incorrect = ['NotAuthorizedException', 'Incorrect username or password.'];

await run({
  async 'sign-up, confirmation and a sign-in by SRP'() {
    const { pool, site, user } = await visit();
    const email = [{ Name: 'email', Value: 'jane@example.com' }];
    await refused('InvalidPasswordException', 'Password did not conform with policy: Password not long enough', (done) =>
      site.signUp('jane', 'Sh0rt!', email, null, done),
    );
    const made = await answer((done) => site.signUp('jane', password, email, null, done));
    assert.deepEqual([made.userConfirmed, made.codeDeliveryDetails.Destination], [false, 'j***@e***']);
    const jane = made.user;
    await refusal('UserNotConfirmedException', 'User is not confirmed.', (on) => jane.authenticateUser(details(), on));
    await answer((done) => jane.resendConfirmationCode(done));
    const code = await newestCode(pool, 'jane@example.com');
    await refused('CodeMismatchException', 'Invalid verification code provided, please try again.', (done) =>
      jane.confirmRegistration(wrong(code), true, done),
    );
    assert.equal(await answer((done) => jane.confirmRegistration(code, true, done)), 'SUCCESS');
    await refusal(...incorrect, (on) => jane.authenticateUser(details(`${password} `), on));

    const session = await signIn(jane);
    assert.ok(session.isValid());
    assert.deepEqual([session.getAccessToken().decodePayload().username, session.getIdToken().decodePayload().sub], ['jane', made.userSub]);
    const attributes = listed(await answer((done) => jane.getUserAttributes(done)));
    assert.deepEqual(attributes, { sub: made.userSub, email: 'jane@example.com', email_verified: 'true' });

    // The next visit finds the session, and another name of the user opens one too.
    const again = site.getCurrentUser();
    assert.equal(again.getUsername(), 'jane');
    assert.equal((await answer((done) => again.getSession(done))).getIdToken().getJwtToken(), session.getIdToken().getJwtToken());
    const bySub = user(made.userSub);
    await signIn(bySub);
    assert.equal(bySub.getUsername(), 'jane');
  },

  async 'a sign-in by the password itself'() {
    const { user } = await known();
    const jane = user();
    jane.setAuthenticationFlowType('USER_PASSWORD_AUTH');
    await refusal('InvalidParameterException', 'USER_PASSWORD_AUTH flow not enabled for this client', (on) => jane.authenticateUser(details(), on));
    const open = await visit({}, { ExplicitAuthFlows: ['ALLOW_USER_PASSWORD_AUTH', 'ALLOW_REFRESH_TOKEN_AUTH'] });
    await send('AdminCreateUser', { UserPoolId: open.pool.Id, Username: 'jane', MessageAction: 'SUPPRESS' });
    await send('AdminSetUserPassword', { UserPoolId: open.pool.Id, Username: 'jane', Password: password, Permanent: true });
    const typed = open.user();
    typed.setAuthenticationFlowType('USER_PASSWORD_AUTH');
    await refusal(...incorrect, (on) => typed.authenticateUser(details(next), on));
    assert.ok((await signIn(typed)).isValid());
  },

  async 'names and passwords in all letters'() {
    const { pool, site, storage } = await visit();
    const people = { 'größe-Ü': 'Pässwört 1 😀', 'ジェーン': '０Aa1 пароль!', jane_doe: '0'.repeat(90) + 'aA!', 'j+%2B': '"\\\'<&> Aa1 x' };
    for (const [Username, Password] of Object.entries(people)) {
      await send('AdminCreateUser', { UserPoolId: pool.Id, Username, MessageAction: 'SUPPRESS' });
      await send('AdminSetUserPassword', { UserPoolId: pool.Id, Username, Password, Permanent: true });
      const user = new CognitoUser({ Username, Pool: site, Storage: storage });
      const session = await expect('onSuccess', (on) => user.authenticateUser(details(Password, Username), on));
      assert.equal(claims(session.getIdToken().getJwtToken())['cognito:username'], Username);
      await refusal(...incorrect, (on) => user.authenticateUser(details(Password.slice(1), Username), on));
    }
  },

  async 'a new password is required'() {
    const { pool, user } = await visit({ Schema: [{ Name: 'name', Required: true, Mutable: true, AttributeDataType: 'String' }] });
    await send('AdminCreateUser', {
      UserPoolId: pool.Id,
      Username: 'jane',
      TemporaryPassword: password,
      MessageAction: 'SUPPRESS',
      UserAttributes: pairs({ email: 'jane@example.com', email_verified: 'true' }),
    });
    const jane = user();
    const [attributes, required] = await expect('newPasswordRequired', (on) => jane.authenticateUser(details(), on));
    assert.deepEqual(attributes, { email: 'jane@example.com', email_verified: 'true' });
    assert.deepEqual(required, ['name']);
    await refusal('InvalidPasswordException', 'Password does not conform to policy: Password not long enough', (on) =>
      jane.completeNewPasswordChallenge('Sh0rt!', { name: 'Jane' }, on),
    );
    const session = await expect('onSuccess', (on) => jane.completeNewPasswordChallenge(next, { name: 'Jane' }, on));
    assert.equal(session.getIdToken().decodePayload().name, 'Jane');
    assert.equal((await send('AdminGetUser', { UserPoolId: pool.Id, Username: 'jane' })).UserStatus, 'CONFIRMED');
    await refusal(...incorrect, (on) => user().authenticateUser(details(), on));
    await signIn(user(), next);
  },

  async 'an authenticator app, set up by a user and asked for'() {
    const { pool, user } = await known();
    await send('SetUserPoolMfaConfig', { UserPoolId: pool.Id, MfaConfiguration: 'OPTIONAL', SoftwareTokenMfaConfiguration: { Enabled: true } });
    const jane = user();
    await signIn(jane);
    const secret = await expect('associateSecretCode', (on) => jane.associateSoftwareToken(on));
    await refusal('EnableSoftwareTokenMFAException', 'Code mismatch', async (on) => jane.verifySoftwareToken(wrong(await appCode(secret)), 'phone', on));
    assert.equal((await expect('onSuccess', async (on) => jane.verifySoftwareToken(await appCode(secret), 'phone', on))).Status, 'SUCCESS');
    const preferred = { PreferredMfa: true, Enabled: true };
    assert.equal(await answer((done) => jane.setUserMfaPreference(null, preferred, done)), 'SUCCESS');
    const data = await answer((done) => jane.getUserData(done, { bypassCache: true }));
    assert.deepEqual([data.PreferredMfaSetting, data.UserMFASettingList], ['SOFTWARE_TOKEN_MFA', ['SOFTWARE_TOKEN_MFA']]);

    const again = user();
    const [name, parameters] = await expect('totpRequired', (on) => again.authenticateUser(details(), on));
    assert.deepEqual([name, parameters.FRIENDLY_DEVICE_NAME], ['SOFTWARE_TOKEN_MFA', 'phone']);
    const code = await appCode(secret);
    const entering = (text) => (on) => again.sendMFACode(text, on, 'SOFTWARE_TOKEN_MFA');
    await refusal('CodeMismatchException', 'Invalid code received for user', entering(wrong(code)));
    assert.ok((await expect('onSuccess', entering(code))).isValid());
    await expect('totpRequired', (on) => again.authenticateUser(details(), on));
    await refusal('ExpiredCodeException', 'Your software token has already been used once.', entering(code));
  },

  async 'an authenticator app, set up within a sign-in'() {
    const { pool, user } = await known();
    await send('SetUserPoolMfaConfig', { UserPoolId: pool.Id, MfaConfiguration: 'ON', SoftwareTokenMfaConfiguration: { Enabled: true } });
    const jane = user();
    const [, parameters] = await expect('mfaSetup', (on) => jane.authenticateUser(details(), on));
    assert.deepEqual(JSON.parse(parameters.MFAS_CAN_SETUP), ['SOFTWARE_TOKEN_MFA']);
    const secret = await expect('associateSecretCode', (on) => jane.associateSoftwareToken(on));
    assert.ok((await expect('onSuccess', async (on) => jane.verifySoftwareToken(await appCode(secret), 'phone', on))).isValid());
    const again = user();
    await expect('totpRequired', (on) => again.authenticateUser(details(), on));
    await expect('onSuccess', async (on) => again.sendMFACode(await appCode(secret), on, 'SOFTWARE_TOKEN_MFA'));
  },

  async 'a code by SMS, and the choice between two factors'() {
    const { pool, user } = await known(smsSettings, { phone_number: phone, phone_number_verified: 'true' });
    await send('SetUserPoolMfaConfig', {
      UserPoolId: pool.Id,
      MfaConfiguration: 'OPTIONAL',
      SmsMfaConfiguration: smsSettings,
      SoftwareTokenMfaConfiguration: { Enabled: true },
    });
    const jane = user();
    await signIn(jane);
    const on = { PreferredMfa: false, Enabled: true };
    await answer((done) => jane.setUserMfaPreference({ ...on, PreferredMfa: true }, null, done));
    const again = user();
    const [name, parameters] = await expect('mfaRequired', (to) => again.authenticateUser(details(), to));
    assert.deepEqual([name, parameters.CODE_DELIVERY_DELIVERY_MEDIUM, parameters.CODE_DELIVERY_DESTINATION], ['SMS_MFA', 'SMS', '+*******0100']);
    const code = await newestCode(pool, phone);
    await refusal('CodeMismatchException', 'Invalid code or auth state for the user.', (to) => again.sendMFACode(wrong(code), to));
    await expect('onSuccess', (to) => again.sendMFACode(code, to));

    const secret = await expect('associateSecretCode', (to) => again.associateSoftwareToken(to));
    await expect('onSuccess', async (to) => again.verifySoftwareToken(await appCode(secret), 'phone', to));
    await answer((done) => again.setUserMfaPreference(on, on, done));
    const chosen = user();
    const [, choice] = await expect('selectMFAType', (to) => chosen.authenticateUser(details(), to));
    assert.deepEqual(JSON.parse(choice.MFAS_CAN_CHOOSE), ['SMS_MFA', 'SOFTWARE_TOKEN_MFA']);
    await expect('mfaRequired', (to) => chosen.sendMFASelectionAnswer('SMS_MFA', to));
    await expect('onSuccess', async (to) => chosen.sendMFACode(await newestCode(pool, phone), to));
    const other = user();
    await expect('selectMFAType', (to) => other.authenticateUser(details(), to));
    await expect('totpRequired', (to) => other.sendMFASelectionAnswer('SOFTWARE_TOKEN_MFA', to));
    await expect('onSuccess', async (to) => other.sendMFACode(await appCode(secret), to, 'SOFTWARE_TOKEN_MFA'));
  },

  async 'a challenge of the application, after SRP and without'() {
    const { user } = await known(withFunctions);
    const question = { USERNAME: 'jane', question: 'What opens the cave?' };
    const custom = () => {
      const jane = user();
      jane.setAuthenticationFlowType('CUSTOM_AUTH');
      return jane;
    };
    await refusal(...incorrect, (on) => custom().authenticateUser(details(next), on));
    const jane = custom();
    assert.deepEqual(await expect('customChallenge', (on) => jane.authenticateUser(details(), on)), question);
    assert.deepEqual(await expect('customChallenge', (on) => jane.sendCustomChallengeAnswer('rye', on)), question);
    const session = await expect('onSuccess', (on) => jane.sendCustomChallengeAnswer('sesame', on));
    assert.equal(session.getAccessToken().decodePayload().username, 'jane');

    const without = custom();
    const name = new AuthenticationDetails({ Username: 'jane' });
    assert.deepEqual(await expect('customChallenge', (on) => without.initiateAuth(name, on)), question);
    await expect('customChallenge', (on) => without.sendCustomChallengeAnswer('rye', on));
    await expect('customChallenge', (on) => without.sendCustomChallengeAnswer('barley', on));
    await refusal(...incorrect, (on) => without.sendCustomChallengeAnswer('oats', on));
    await expect('customChallenge', (on) => without.initiateAuth(name, on));
    assert.ok((await expect('onSuccess', (on) => without.sendCustomChallengeAnswer('sesame', on))).isValid());
  },

  async 'a forgotten password'() {
    const { pool, user } = await known();
    const jane = user();
    const data = await expect('inputVerificationCode', (on) => jane.forgotPassword(on));
    assert.deepEqual(data.CodeDeliveryDetails, { AttributeName: 'email', DeliveryMedium: 'EMAIL', Destination: 'j***@e***' });
    const code = await newestCode(pool, 'jane@example.com');
    await refusal('CodeMismatchException', 'Invalid verification code provided, please try again.', (on) => jane.confirmPassword(wrong(code), next, on));
    assert.equal(await expect('onSuccess', (on) => jane.confirmPassword(code, next, on)), 'SUCCESS');
    await refusal(...incorrect, (on) => user().authenticateUser(details(), on));
    await signIn(user(), next);
  },

  async 'attributes and password of who is signed in'() {
    const { pool, user } = await known();
    const jane = user();
    await signIn(jane);
    assert.equal(await answer((done) => jane.changePassword(password, next, done)), 'SUCCESS');
    await refused(...incorrect, (done) => jane.changePassword(password, 'An0ther-one!', done));
    await answer((done) => jane.updateAttributes(pairs({ nickname: 'J', email: 'new@example.com' }), done));
    await expect('inputVerificationCode', (on) => jane.getAttributeVerificationCode('email', on));
    const code = await newestCode(pool, 'new@example.com');
    assert.equal(await expect('onSuccess', (on) => jane.verifyAttribute('email', code, on)), 'SUCCESS');
    await answer((done) => jane.deleteAttributes(['nickname'], done));
    const { sub, ...rest } = listed(await answer((done) => jane.getUserAttributes(done)));
    assert.ok(sub);
    assert.deepEqual(rest, { email: 'new@example.com', email_verified: 'true' });
    await signIn(user(), next);
    assert.equal(await answer((done) => jane.deleteUser(done)), 'SUCCESS');
    await refusal('UserNotFoundException', 'User does not exist.', (on) => user().authenticateUser(details(next), on));
  },

  async 'refresh, sign-out and sign-out everywhere'() {
    const { site, storage, user } = await known();
    const jane = user();
    const first = await signIn(jane);
    const refresh = first.getRefreshToken();
    const second = await answer((done) => jane.refreshSession(refresh, done));
    assert.notEqual(second.getAccessToken().getJwtToken(), first.getAccessToken().getJwtToken());
    assert.equal(second.getRefreshToken().getToken(), refresh.getToken());
    const kept = (session) => {
      const { auth_time, origin_jti, sub } = claims(session.getAccessToken().getJwtToken());
      return { auth_time, origin_jti, sub };
    };
    assert.deepEqual(kept(second), kept(first));
    // Tokens that a visit long ago left behind are replaced by the refresh token.
    for (const key of [...storage.keys()].filter((one) => one.endsWith('.clockDrift'))) {
      storage.set(key, '-100000');
    }
    const visited = site.getCurrentUser();
    assert.deepEqual(kept(await answer((done) => visited.getSession(done))), kept(first));

    // The device that signs out is out, and no other.
    const phoneUser = user();
    const elsewhere = await signIn(phoneUser);
    await answer((done) => visited.signOut(done));
    assert.equal(storage.size, 0);
    const revoked = ['NotAuthorizedException', 'Refresh Token has been revoked'];
    const using = (session) => (done) => user().refreshSession(new CognitoRefreshToken({ RefreshToken: session.getRefreshToken().getToken() }), done);
    await refused(...revoked, using(first));
    await answer(using(elsewhere));

    assert.equal(await expect('onSuccess', (on) => phoneUser.globalSignOut(on)), 'SUCCESS');
    await refused(...revoked, using(elsewhere));
  },
});
