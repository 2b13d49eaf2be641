// Users of aws-amplify, unchanged, in a real browser. The page is of another origin than the server, as that of an application is. The
// argument is the browser to start.

import assert from 'node:assert/strict';
import { readFile } from 'node:fs/promises';
import { createServer } from 'node:http';
import { build } from 'esbuild';
import { chromium } from 'playwright-core';
import { account, appCode, claims, console as control, makePool, newestCode, pairs, run, send, withFunctions, wrong } from './harness.mjs';

const password = 'Correct-h0rse';
const next = 'Battery-st4ple';

const file = (name) => new URL(`amplify/${name}`, import.meta.url).pathname;
const { outputFiles } = await build({ entryPoints: [file('page.js')], bundle: true, format: 'iife', target: 'chrome120', write: false });
const parts = {
  '/': ['text/html', await readFile(file('index.html'))],
  '/page.js': ['text/javascript', outputFiles[0].contents],
};
const site = createServer((request, answer) => {
  const [type, content] = parts[request.url];
  answer.writeHead(200, { 'content-type': type }).end(content);
});
await new Promise((ready) => site.listen(0, '127.0.0.1', ready));

const browser = await chromium.launch({
  executablePath: process.argv[2],
  args: [
    '--disable-gpu',
    '--disable-quic',
    '--no-first-run',
    '--disable-background-networking',
    '--disable-component-update',
    '--disable-sync',
  ],
});

// A pool, an app client of it, and a browser that has never been to the site. Its methods are those of the library's auth module; they
// run in the page.
const visit = async (settings = {}, client = {}) => {
  const pool = await makePool({ AutoVerifiedAttributes: ['email'], ...settings });
  const settled = { UserPoolId: pool.Id, ClientName: 'web', AuthSessionValidity: 15, ...client };
  const { UserPoolClient } = await send('CreateUserPoolClient', settled);
  const page = await (await browser.newContext()).newPage();
  const loud = [];
  page.on('pageerror', (error) => loud.push(String(error)));
  const configuration = { userPoolId: pool.Id, userPoolClientId: UserPoolClient.ClientId, userPoolEndpoint: process.env.AWS_ENDPOINT_URL };
  const open = async () => {
    await page.goto(`http://127.0.0.1:${site.address().port}/`);
    await page.evaluate((Cognito) => globalThis.app.Amplify.configure({ Auth: { Cognito } }), configuration);
  };
  await open();
  const call = (name, input) =>
    page.evaluate(
      async ([method, given]) => {
        try {
          const value = await globalThis.app.auth[method](given);
          return { value: value && JSON.parse(JSON.stringify(value, (key, one) => (one?.payload ? one.toString() : one))) };
        } catch (error) {
          return { error: [error.name, error.message] };
        }
      },
      [name, input],
    );
  const auth = new Proxy(
    {},
    {
      get: (_, name) => async (input) => {
        const { value, error } = await call(name, input);
        assert.equal(error, undefined, `${name}: ${error}`);
        return value;
      },
    },
  );
  const refused = async (kind, message, name, input) => assert.deepEqual((await call(name, input)).error, [kind, message]);
  return { pool, page, open, auth, refused, close: () => (assert.deepEqual(loud, []), page.context().close()) };
};

// The same with a user who has a password.
const known = async (settings, attributes = { email: 'jane@example.com', email_verified: 'true' }, client = {}) => {
  const visited = await visit(settings, client);
  const jane = { UserPoolId: visited.pool.Id, Username: 'jane' };
  await send('AdminCreateUser', { ...jane, MessageAction: 'SUPPRESS', UserAttributes: pairs(attributes) });
  await send('AdminSetUserPassword', { ...jane, Password: password, Permanent: true });
  return visited;
};

const jane = { username: 'jane', password };
const done = { isSignedIn: true, nextStep: { signInStep: 'DONE' } };
const incorrect = ['NotAuthorizedException', 'Incorrect username or password.'];
const signedOut = ['UserUnAuthenticatedException', 'User needs to be authenticated to call this API.'];

await run(
  {
    async 'sign-up, confirmation, and a sign-in by SRP'() {
      const { pool, open, auth, refused, close } = await visit();
      const options = { userAttributes: { email: 'jane@example.com' } };
      const details = ['InvalidPasswordException', 'Password did not conform with policy: Password not long enough'];
      await refused(...details, 'signUp', { username: 'jane', password: 'Sh0rt!', options });
      const made = await auth.signUp({ ...jane, options });
      assert.deepEqual(made.nextStep, {
        signUpStep: 'CONFIRM_SIGN_UP',
        codeDeliveryDetails: { deliveryMedium: 'EMAIL', destination: 'j***@e***', attributeName: 'email' },
      });
      assert.equal((await auth.signIn(jane)).nextStep.signInStep, 'CONFIRM_SIGN_UP');
      await auth.resendSignUpCode({ username: 'jane' });
      const code = await newestCode(pool, 'jane@example.com');
      const mismatch = ['CodeMismatchException', 'Invalid verification code provided, please try again.'];
      await refused(...mismatch, 'confirmSignUp', { username: 'jane', confirmationCode: wrong(code) });
      const confirmed = await auth.confirmSignUp({ username: 'jane', confirmationCode: code });
      assert.deepEqual(confirmed, { isSignUpComplete: true, nextStep: { signUpStep: 'DONE' } });
      await refused(...incorrect, 'signIn', { ...jane, password: next });
      assert.deepEqual(await auth.signIn(jane), done);
      const signedIn = { username: 'jane', userId: made.userId, signInDetails: { loginId: 'jane', authFlowType: 'USER_SRP_AUTH' } };
      assert.deepEqual(await auth.getCurrentUser(), signedIn);
      const attributes = { sub: made.userId, email: 'jane@example.com', email_verified: 'true' };
      assert.deepEqual(await auth.fetchUserAttributes(), attributes);
      // The next visit finds the user, too.
      await open();
      assert.deepEqual(await auth.getCurrentUser(), signedIn);
      await refused('UserAlreadyAuthenticatedException', 'There is already a signed in user.', 'signIn', jane);
      await auth.deleteUser();
      await refused(...signedOut, 'getCurrentUser');
      await close();
    },

    async 'sessions are refreshed, and end'() {
      const { page, auth, refused, close } = await known();
      await page.clock.install();
      await auth.signIn(jane);
      const { tokens: first } = await auth.fetchAuthSession();
      assert.deepEqual((await auth.fetchAuthSession()).tokens, first);
      const { tokens: second } = await auth.fetchAuthSession({ forceRefresh: true });
      const kept = ({ accessToken }) => {
        const { auth_time, origin_jti, sub } = claims(accessToken);
        return { auth_time, origin_jti, sub };
      };
      assert.notEqual(second.accessToken, first.accessToken);
      assert.deepEqual(kept(second), kept(first));
      // An hour later, for browser and server, the tokens have expired.
      await page.clock.fastForward('01:05:00');
      await control('clock', { advance: '65m' });
      const { tokens: third } = await auth.fetchAuthSession();
      assert.ok(claims(third.accessToken).iat >= claims(second.accessToken).exp);
      assert.deepEqual(kept(third), kept(first));
      assert.equal((await auth.fetchUserAttributes()).email, 'jane@example.com');

      const keys = () => page.evaluate(() => Object.keys(localStorage).filter((key) => key.endsWith('Token')));
      assert.equal((await keys()).length, 3);
      await auth.signOut();
      assert.deepEqual(await keys(), []);
      await refused(...signedOut, 'getCurrentUser');
      const over = { AccessToken: third.accessToken };
      await assert.rejects(send('GetUser', over), { name: 'NotAuthorizedException', message: 'Access Token has been revoked' });

      await auth.signIn(jane);
      const { tokens: fourth } = await auth.fetchAuthSession();
      await auth.signOut({ global: true });
      await assert.rejects(send('GetUser', { AccessToken: fourth.accessToken }), { message: 'Access Token has been revoked' });
      await close();
    },

    async 'refresh tokens rotate'() {
      const RefreshTokenRotation = { Feature: 'ENABLED', RetryGracePeriodSeconds: 0 };
      const { page, auth, close } = await known({}, undefined, { RefreshTokenRotation, ExplicitAuthFlows: ['ALLOW_USER_SRP_AUTH'] });
      await auth.signIn(jane);
      const kept = () => page.evaluate(() => Object.entries(localStorage).find(([key]) => key.endsWith('refreshToken'))[1]);
      const seen = new Set([await kept()]);
      for (let round = 0; round < 3; round++) {
        const { tokens } = await auth.fetchAuthSession({ forceRefresh: true });
        assert.equal((await send('GetUser', { AccessToken: tokens.accessToken })).Username, 'jane');
        seen.add(await kept());
      }
      assert.equal(seen.size, 4);
      await close();
    },

    async 'an authenticator app, set up by the user and asked for'() {
      const { pool, auth, refused, close } = await known();
      await send('SetUserPoolMfaConfig', { UserPoolId: pool.Id, MfaConfiguration: 'OPTIONAL', SoftwareTokenMfaConfiguration: { Enabled: true } });
      await auth.signIn(jane);
      const { sharedSecret } = await auth.setUpTOTP();
      await refused('EnableSoftwareTokenMFAException', 'Code mismatch', 'verifyTOTPSetup', { code: wrong(await appCode(sharedSecret)) });
      await auth.verifyTOTPSetup({ code: await appCode(sharedSecret) });
      await auth.updateMFAPreference({ totp: 'PREFERRED' });
      assert.deepEqual(await auth.fetchMFAPreference(), { enabled: ['TOTP'], preferred: 'TOTP' });
      await auth.signOut();
      assert.equal((await auth.signIn(jane)).nextStep.signInStep, 'CONFIRM_SIGN_IN_WITH_TOTP_CODE');
      const challengeResponse = await appCode(sharedSecret);
      await refused('CodeMismatchException', 'Invalid code received for user', 'confirmSignIn', { challengeResponse: wrong(challengeResponse) });
      assert.deepEqual(await auth.confirmSignIn({ challengeResponse }), done);
      await close();
    },

    async 'a new password and an authenticator app, within a sign-in'() {
      const { pool, auth, close } = await visit({ Schema: [{ Name: 'name', Required: true, Mutable: true, AttributeDataType: 'String' }] });
      await send('SetUserPoolMfaConfig', { UserPoolId: pool.Id, MfaConfiguration: 'ON', SoftwareTokenMfaConfiguration: { Enabled: true } });
      await send('AdminCreateUser', { UserPoolId: pool.Id, Username: 'jane', TemporaryPassword: password, MessageAction: 'SUPPRESS' });
      const { nextStep } = await auth.signIn(jane);
      assert.deepEqual(nextStep, { signInStep: 'CONFIRM_SIGN_IN_WITH_NEW_PASSWORD_REQUIRED', missingAttributes: ['name'] });
      const step = await auth.confirmSignIn({ challengeResponse: next, options: { userAttributes: { name: 'Jane' } } });
      assert.equal(step.nextStep.signInStep, 'CONTINUE_SIGN_IN_WITH_TOTP_SETUP');
      const challengeResponse = await appCode(step.nextStep.totpSetupDetails.sharedSecret);
      assert.deepEqual(await auth.confirmSignIn({ challengeResponse }), done);
      assert.equal((await auth.fetchUserAttributes()).name, 'Jane');
      await close();
    },

    async 'a code by SMS'() {
      const SmsConfiguration = { SnsCallerArn: `arn:aws:iam::${account}:role/sms` };
      const phone = '+15555550100';
      const { pool, auth, close } = await known({ SmsConfiguration }, { phone_number: phone, phone_number_verified: 'true' });
      await send('SetUserPoolMfaConfig', { UserPoolId: pool.Id, MfaConfiguration: 'ON', SmsMfaConfiguration: { SmsConfiguration } });
      assert.deepEqual((await auth.signIn(jane)).nextStep, {
        signInStep: 'CONFIRM_SIGN_IN_WITH_SMS_CODE',
        codeDeliveryDetails: { deliveryMedium: 'SMS', destination: '+*******0100' },
      });
      assert.deepEqual(await auth.confirmSignIn({ challengeResponse: await newestCode(pool, phone) }), done);
      await close();
    },

    async 'a challenge of the application, after SRP and without'() {
      const { auth, refused, close } = await known(withFunctions);
      const asked = {
        isSignedIn: false,
        nextStep: { signInStep: 'CONFIRM_SIGN_IN_WITH_CUSTOM_CHALLENGE', additionalInfo: { USERNAME: 'jane', question: 'What opens the cave?' } },
      };
      const bySRP = { ...jane, options: { authFlowType: 'CUSTOM_WITH_SRP' } };
      await refused(...incorrect, 'signIn', { ...bySRP, password: next });
      assert.deepEqual(await auth.signIn(bySRP), asked);
      assert.deepEqual(await auth.confirmSignIn({ challengeResponse: 'rye' }), asked);
      assert.deepEqual(await auth.confirmSignIn({ challengeResponse: 'sesame' }), done);
      await auth.signOut();
      assert.deepEqual(await auth.signIn({ username: 'jane', options: { authFlowType: 'CUSTOM_WITHOUT_SRP' } }), asked);
      assert.deepEqual(await auth.confirmSignIn({ challengeResponse: 'sesame' }), done);
      assert.equal((await auth.getCurrentUser()).username, 'jane');
      await close();
    },

    async 'the user chooses how to sign in'() {
      const factors = { Policies: { SignInPolicy: { AllowedFirstAuthFactors: ['PASSWORD', 'EMAIL_OTP'] } } };
      const flows = { ExplicitAuthFlows: ['ALLOW_USER_AUTH', 'ALLOW_REFRESH_TOKEN_AUTH'] };
      const { pool, auth, refused, close } = await known(factors, undefined, flows);
      const options = { authFlowType: 'USER_AUTH' };
      for (const preferredChallenge of ['PASSWORD', 'PASSWORD_SRP']) {
        const preferring = { ...jane, options: { ...options, preferredChallenge } };
        await refused(...incorrect, 'signIn', { ...preferring, password: next });
        assert.deepEqual(await auth.signIn(preferring), done);
        await auth.signOut();
      }
      const { nextStep } = await auth.signIn({ username: 'jane', options });
      assert.equal(nextStep.signInStep, 'CONTINUE_SIGN_IN_WITH_FIRST_FACTOR_SELECTION');
      assert.deepEqual(nextStep.availableChallenges.toSorted(), ['EMAIL_OTP', 'PASSWORD', 'PASSWORD_SRP']);
      assert.deepEqual((await auth.confirmSignIn({ challengeResponse: 'EMAIL_OTP' })).nextStep, {
        signInStep: 'CONFIRM_SIGN_IN_WITH_EMAIL_CODE',
        codeDeliveryDetails: { deliveryMedium: 'EMAIL', destination: 'j***@e***' },
      });
      assert.deepEqual(await auth.confirmSignIn({ challengeResponse: await newestCode(pool, 'jane@example.com') }), done);
      await auth.signOut();
      await auth.signIn({ username: 'jane', options });
      assert.equal((await auth.confirmSignIn({ challengeResponse: 'PASSWORD_SRP' })).nextStep.signInStep, 'CONFIRM_SIGN_IN_WITH_PASSWORD');
      assert.deepEqual(await auth.confirmSignIn({ challengeResponse: password }), done);
      await auth.signOut();

      // Who has just confirmed the sign-up is signed in by that.
      const signUp = { username: 'joe', password, options: { userAttributes: { email: 'joe@example.com' }, autoSignIn: options } };
      await auth.signUp(signUp);
      const confirmationCode = await newestCode(pool, 'joe@example.com');
      assert.equal((await auth.confirmSignUp({ username: 'joe', confirmationCode })).nextStep.signUpStep, 'COMPLETE_AUTO_SIGN_IN');
      assert.deepEqual(await auth.autoSignIn(), done);
      assert.equal((await auth.getCurrentUser()).username, 'joe');
      await close();
    },

    async 'a forgotten password, and a changed one'() {
      const { pool, auth, refused, close } = await known();
      const { nextStep } = await auth.resetPassword({ username: 'jane' });
      assert.equal(nextStep.resetPasswordStep, 'CONFIRM_RESET_PASSWORD_WITH_CODE');
      const confirmationCode = await newestCode(pool, 'jane@example.com');
      await auth.confirmResetPassword({ username: 'jane', confirmationCode, newPassword: next });
      await refused(...incorrect, 'signIn', jane);
      assert.deepEqual(await auth.signIn({ ...jane, password: next }), done);
      await auth.updatePassword({ oldPassword: next, newPassword: password });
      const changed = await auth.updateUserAttributes({ userAttributes: { email: 'new@example.com', nickname: 'J' } });
      assert.equal(changed.email.nextStep.updateAttributeStep, 'CONFIRM_ATTRIBUTE_WITH_CODE');
      await auth.confirmUserAttribute({ userAttributeKey: 'email', confirmationCode: await newestCode(pool, 'new@example.com') });
      const { sub, ...rest } = await auth.fetchUserAttributes();
      assert.ok(sub);
      assert.deepEqual(rest, { email: 'new@example.com', email_verified: 'true', nickname: 'J' });
      await auth.signOut();
      assert.deepEqual(await auth.signIn(jane), done);
      await close();
    },
  },
  async () => {
    await browser.close();
    site.close();
  },
);
