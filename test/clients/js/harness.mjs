// What the scripts of this folder share: a client for the server under test, and scenarios that report themselves.

import assert from 'node:assert/strict';
import { createHmac, randomUUID } from 'node:crypto';
import * as sdk from '@aws-sdk/client-cognito-identity-provider';

const endpoint = process.env.AWS_ENDPOINT_URL;

// Retries are off, so that a refusal is seen as it is.
export const idp = new sdk.CognitoIdentityProviderClient({ endpoint, region: process.env.AWS_REGION, maxAttempts: 1 });
export const account = '000000000000';

export const unique = (prefix) => `${prefix}-${randomUUID().slice(0, 8)}`;
export const send = (name, input) => idp.send(new sdk[`${name}Command`](input));
export const makePool = async (settings = {}) => (await send('CreateUserPool', { PoolName: unique('pool'), ...settings })).UserPool;
export const pairs = (values) => Object.entries(values).map(([Name, Value]) => ({ Name, Value }));
export const listed = (attributes) => Object.fromEntries(attributes.map(({ Name, Value }) => [Name, Value]));

// The settings of a pool with the functions of custom sign-ins. What runs for them is in functions_test.go.
const called = (name) => `arn:aws:lambda:us-east-1:${account}:function:${name}`;
export const withFunctions = {
  LambdaConfig: { DefineAuthChallenge: called('define'), CreateAuthChallenge: called('create'), VerifyAuthChallengeResponse: called('verify') },
};

// The call must be refused with an instance of exactly this class.
export const refused = async (kind, message, name, input) => {
  await assert.rejects(send(name, input), (error) => {
    assert.equal(error.constructor, kind, `got ${error.name}: ${error.message}`);
    assert.equal(error.name, kind.name);
    assert.equal(error.message, message);
    assert.equal(error.$fault, 'client');
    assert.equal(error.$metadata.httpStatusCode, 400);
    assert.match(error.$metadata.requestId, /^[0-9a-f-]{36}$/);
    return true;
  });
};

// What the console of the server answers, as a test without a page reads it.
export const console = async (path, data) => {
  const answer = await fetch(`${endpoint}/_poolhouse/${path}`, {
    method: data ? 'POST' : 'GET',
    headers: { accept: 'application/json', 'content-type': 'application/json' },
    body: data && JSON.stringify(data),
  });
  assert.equal(answer.status, 200);
  return answer.json();
};

// The messages of a pool to an address, the newest first.
export const messages = async (pool, to) => (await console(`inbox?${new URLSearchParams({ pool: pool.Id, to })}`)).messages;
export const newestCode = async (pool, to) => (await messages(pool, to))[0].code;
export const wrong = (code) => String((Number(code) + 1) % 1_000_000).padStart(6, '0');

// The tokens of a user, without a sign-in.
export const tokens = async (pool, client, username) =>
  (await console('tokens', { pool: pool.Id, client: client.ClientId, username })).AuthenticationResult;
export const claims = (token) => JSON.parse(Buffer.from(token.split('.')[1], 'base64url').toString());

// The instant that the server goes by, moved on by a duration such as 30s.
const advance = async (duration) => Date.parse((await console('clock', { advance: duration })).now);

// The code that an authenticator app shows for a secret. No code works twice, so the next one is waited for, by moving the clock on.
export const appCode = async (secret) => {
  const bits = [...secret].map((letter) => 'ABCDEFGHIJKLMNOPQRSTUVWXYZ234567'.indexOf(letter).toString(2).padStart(5, '0')).join('');
  const key = Buffer.from(bits.match(/.{8}/g).map((byte) => parseInt(byte, 2)));
  const step = Buffer.alloc(8);
  step.writeBigUInt64BE(BigInt(Math.floor((await advance('30s')) / 30_000)));
  const mac = createHmac('sha1', key).update(step).digest();
  return String((mac.readUInt32BE(mac.at(-1) & 15) & 0x7fffffff) % 1_000_000).padStart(6, '0');
};

const report = (line) => process.stdout.write(`${JSON.stringify(line)}\n`);

// Runs scenarios, and what ends after them. One passes when its function returns. The test in Go reads the reports from standard output.
export const run = async (scenarios, end = () => {}) => {
  report({ scenarios: Object.keys(scenarios) });
  for (const [name, scenario] of Object.entries(scenarios)) {
    let error = '';
    try {
      await scenario();
    } catch (caught) {
      error = caught.stack ?? String(caught);
      process.exitCode = 1;
    }
    report({ name, error });
  }
  await end();
  idp.destroy();
};
