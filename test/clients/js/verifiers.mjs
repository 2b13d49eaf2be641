// Tokens, as the libraries verify them that back ends use: aws-jwt-verify and jose, while the keys change. Who runs this decides by the
// server's settings whether the issuer is that of the server or that of the service.

import assert from 'node:assert/strict';
import { CognitoJwtVerifier, JwtVerifier } from 'aws-jwt-verify';
import { SimpleJwksCache } from 'aws-jwt-verify/jwk';
import { createLocalJWKSet, createRemoteJWKSet, jwtVerify } from 'jose';
import { console as control, makePool, run, send } from './harness.mjs';

const endpoint = process.env.AWS_ENDPOINT_URL;
const password = 'Correct-h0rse';

// The clock of this process goes with the server's, since the libraries look at it for tokens and for key sets.
let ahead = 0;
const Present = Date;
globalThis.Date = class extends Present {
  constructor(...given) {
    super(...(given.length ? given : [Present.now() + ahead]));
  }
  static now() {
    return Present.now() + ahead;
  }
};
const advance = async (duration) => {
  const { now } = await control('clock', { advance: duration });
  ahead = Present.parse(now) - Present.now();
};

const getJSON = async (url) => {
  const answer = await fetch(url);
  assert.equal(answer.status, 200);
  const [, maxAge] = answer.headers.get('cache-control').match(/max-age=(\d+)/);
  return { value: await answer.json(), until: Date.now() + maxAge * 1000 };
};

// A pool, a client whose tokens live for a day, and its user.
const setUp = async () => {
  const pool = await makePool();
  const { UserPoolClient } = await send('CreateUserPoolClient', {
    UserPoolId: pool.Id,
    ClientName: 'web',
    ExplicitAuthFlows: ['ALLOW_USER_PASSWORD_AUTH', 'ALLOW_REFRESH_TOKEN_AUTH'],
    AccessTokenValidity: 24,
    IdTokenValidity: 24,
  });
  await send('AdminCreateUser', { UserPoolId: pool.Id, Username: 'jane', MessageAction: 'SUPPRESS' });
  await send('AdminSetUserPassword', { UserPoolId: pool.Id, Username: 'jane', Password: password, Permanent: true });
  const base = `${endpoint}/${pool.Id}/.well-known`;
  const { issuer } = (await getJSON(`${base}/openid-configuration`)).value;
  return { pool, clientId: UserPoolClient.ClientId, issuer, keys: `${base}/jwks.json` };
};
const start = async ({ clientId }, AuthFlow, AuthParameters) =>
  (await send('InitiateAuth', { ClientId: clientId, AuthFlow, AuthParameters })).AuthenticationResult;
const signIn = (app) => start(app, 'USER_PASSWORD_AUTH', { USERNAME: 'jane', PASSWORD: password });
const refresh = (app, REFRESH_TOKEN) => start(app, 'REFRESH_TOKEN_AUTH', { REFRESH_TOKEN });
const rotate = (app, more = {}) => control('keys/rotate', { pool: app.pool.Id, ...more });
const signer = (token) => JSON.parse(Buffer.from(token.split('.')[0], 'base64url')).kid;

const byJose = (app, set) => (use, token) =>
  jwtVerify(token, set, { issuer: app.issuer, algorithms: ['RS256'], ...(use === 'id' ? { audience: app.clientId } : {}) });

// The verifier for pools of the service takes the address of its keys from the pool's id; a fetcher leads it to this server.
const byPool = (app) => {
  const fetcher = { fetch: async (uri) => (await fetch(uri.replace(app.issuer, `${endpoint}/${app.pool.Id}`))).arrayBuffer() };
  const { clientId } = app;
  const verifier = CognitoJwtVerifier.create({ userPoolId: app.pool.Id, clientId, tokenUse: null }, { jwksCache: new SimpleJwksCache({ fetcher }) });
  return (use, token) => verifier.verify(token, { clientId, tokenUse: use });
};

// The verifier for any issuer fetches the keys itself.
const byIssuer = (app) => {
  const customJwtCheck = ({ payload }) => assert.equal(payload.aud ?? payload.client_id, app.clientId);
  const verifier = JwtVerifier.create({ issuer: app.issuer, jwksUri: app.keys, audience: null, customJwtCheck });
  return (use, token) => verifier.verify(token, { audience: use === 'id' ? app.clientId : null });
};

const verifiers = (app) => ({
  'aws-jwt-verify': app.issuer.includes('amazonaws.com') ? byPool(app) : byIssuer(app),
  jose: byJose(app, createRemoteJWKSet(new URL(app.keys))),
});

// Somebody who keeps the key set for as long as its answer allows.
const keeper = (app) => {
  let kept = { until: 0 };
  return async (use, token) => {
    if (Date.now() >= kept.until) {
      kept = await getJSON(app.keys);
    }
    return byJose(app, createLocalJWKSet(kept.value))(use, token);
  };
};

const believed = async (all, result) => {
  for (const [name, verify] of Object.entries(all)) {
    for (const [use, token] of [['access', result.AccessToken], ['id', result.IdToken]]) {
      await assert.doesNotReject(verify(use, token), `${name}, ${use} token of key ${signer(token)}`);
    }
  }
};
const doubted = async (all, use, token, kind) => {
  for (const [name, verify] of Object.entries(all)) {
    const error = await verify(use, token).then(
      () => assert.fail(`${name} believed it`),
      (reason) => reason,
    );
    assert.match(error.message, kind, `${name} said ${error.message}`);
  }
};

await run({
  async 'tokens of the server are believed, and no others'() {
    const app = await setUp();
    const all = verifiers(app);
    const result = await signIn(app);
    await believed(all, result);
    assert.notEqual(signer(result.AccessToken), signer(result.IdToken));

    await doubted(verifiers({ ...app, clientId: 'another' }), 'id', result.IdToken, /another|aud/i);
    await doubted(all, 'id', result.AccessToken, /token use|aud/i);
    const [header, payload, signature] = result.IdToken.split('.');
    const text = Buffer.from(payload, 'base64url').toString().replace('"jane"', '"joan"');
    await doubted(all, 'id', [header, Buffer.from(text).toString('base64url'), signature].join('.'), /signature/i);
    const other = await signIn(await setUp());
    await doubted(verifiers(app), 'id', other.IdToken, /issuer|not found in the JWKS|no applicable key/i);
    await doubted(verifiers(app), 'id', [other.IdToken.split('.')[0], payload, signature].join('.'), /not found in the JWKS|no applicable key/i);
    await advance('24h1m');
    await doubted(all, 'id', result.IdToken, /expired|"exp" claim/i);
  },

  async 'keys rotate, and no token is refused'() {
    const app = await setUp();
    const all = { ...verifiers(app), 'who keeps the set': keeper(app) };
    let { RefreshToken, ...latest } = await signIn(app);
    await believed(all, latest);
    const signers = new Set([signer(latest.AccessToken)]);
    await advance('26h'); // the set of old keys may be kept for a day
    for (let round = 0; round < 3; round++) {
      const recent = [await refresh(app, RefreshToken)];
      await believed(all, recent[0]);
      assert.equal((await rotate(app)).keys.length, 4);
      for (let hours = 0; hours < 55; hours += 5) {
        recent.unshift(await refresh(app, RefreshToken));
        signers.add(signer(recent[0].AccessToken));
        // Those who were there before, and who comes now, believe all tokens that have not expired.
        for (const result of recent.slice(0, 4)) {
          await believed({ ...all, 'a fresh verifier': byJose(app, createRemoteJWKSet(new URL(app.keys))) }, result);
        }
        await advance('5h');
      }
    }
    assert.equal(signers.size, 4);
  },

  async 'keys that sign at once are fetched when they are met'() {
    const app = await setUp();
    const all = verifiers(app);
    const before = await signIn(app);
    await believed(all, before);
    for (let round = 0; round < 3; round++) {
      await rotate(app, { now: true });
      await advance('31s'); // jose fetches a set twice a minute at most
      const after = await refresh(app, before.RefreshToken);
      assert.notEqual(signer(after.AccessToken), signer(before.AccessToken));
      await believed(all, after);
      await believed(all, before);
    }
  },

  async 'keys that were taken back are believed no more'() {
    const app = await setUp();
    const before = await signIn(app);
    await believed(verifiers(app), before);
    await rotate(app, { now: true, revoke: true });
    await doubted(verifiers(app), 'access', before.AccessToken, /not found in the JWKS|no applicable key/i);
    await assert.rejects(send('GetUser', { AccessToken: before.AccessToken }), { name: 'NotAuthorizedException', message: 'Invalid Access Token' });
    const after = await refresh(app, before.RefreshToken);
    await believed(verifiers(app), after);
    assert.equal((await send('GetUser', { AccessToken: after.AccessToken })).Username, 'jane');
  },
});
