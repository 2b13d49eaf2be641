// What custom senders receive, decrypted with the public AWS Encryption SDK as a function in production does it: through a KMS client,
// which is pointed at the server.
//
// HOOK_URL is where the server hands its events to: GET answers those so far as a JSON list. A scenario passes when its function
// returns. The test in Go reads the reports from standard output.

import assert from 'node:assert/strict';
import { randomUUID } from 'node:crypto';
import { setTimeout as pause } from 'node:timers/promises';
import { buildClient, CommitmentPolicy, getClient, KMS, KmsKeyringNode } from '@aws-crypto/client-node';
import * as sdk from '@aws-sdk/client-cognito-identity-provider';

const endpoint = process.env.AWS_ENDPOINT_URL;
const account = '000000000000';
const key = `arn:aws:kms:us-east-1:${account}:key/11112222-3333-4444-5555-666677778888`;
const idp = new sdk.CognitoIdentityProviderClient({ endpoint, region: process.env.AWS_REGION, maxAttempts: 1 });
const send = (name, input) => idp.send(new sdk[`${name}Command`](input));
const pairs = (values) => Object.entries(values).map(([Name, Value]) => ({ Name, Value }));

// Messages of this suite commit to no key, so the receiver needs the policy that takes them.
const { decrypt } = buildClient(CommitmentPolicy.REQUIRE_ENCRYPT_ALLOW_DECRYPT);
const keyring = (keyIds) => new KmsKeyringNode({ clientProvider: getClient(KMS, { endpoint, maxAttempts: 1 }), keyIds });

const open = async (event) => {
  const { plaintext, messageHeader } = await decrypt(keyring([key]), Buffer.from(event.request.code, 'base64'));
  assert.equal(messageHeader.encryptionContext['userpool-id'], event.userPoolId);
  return plaintext.toString();
};

const makePool = async (settings = {}) => {
  const sender = (name) => ({ LambdaVersion: 'V1_0', LambdaArn: `arn:aws:lambda:us-east-1:${account}:function:${name}` });
  const { UserPool } = await send('CreateUserPool', {
    PoolName: `pool-${randomUUID().slice(0, 8)}`,
    AutoVerifiedAttributes: ['email', 'phone_number'],
    SmsConfiguration: { SnsCallerArn: `arn:aws:iam::${account}:role/sms` },
    ...settings,
    LambdaConfig: { CustomEmailSender: sender('email'), CustomSMSSender: sender('sms'), KMSKeyID: key },
  });
  return UserPool;
};

// events waits for a number of events of a pool, the oldest first.
const events = async (pool, count) => {
  for (const late = Date.now() + 20_000; Date.now() < late; await pause(20)) {
    const list = (await (await fetch(process.env.HOOK_URL)).json()).filter((one) => one.userPoolId === pool.Id);
    if (list.length >= count) {
      assert.equal(list.length, count);
      return list;
    }
  }
  assert.fail(`${count} events did not come`);
};

const inbox = async (to) => (await (await fetch(`${endpoint}/_poolhouse/inbox.json?to=${encodeURIComponent(to)}`)).json()).messages;

const scenarios = {
  async 'AdminCreateUser: both senders get the temporary password'() {
    const pool = await makePool();
    const email = `${randomUUID()}@example.com`;
    const { User } = await send('AdminCreateUser', {
      UserPoolId: pool.Id,
      Username: 'jane',
      TemporaryPassword: 'Aa1<b>&"9!',
      UserAttributes: pairs({ email, phone_number: '+15555550100' }),
      DesiredDeliveryMediums: ['EMAIL', 'SMS'],
      ClientMetadata: { k: 'v' },
    });
    const got = Object.fromEntries((await events(pool, 2)).map((one) => [one.triggerSource, one]));
    assert.deepEqual(Object.keys(got).sort(), ['CustomEmailSender_AdminCreateUser', 'CustomSMSSender_AdminCreateUser']);
    for (const [source, event] of Object.entries(got)) {
      assert.equal(await open(event), 'Aa1&lt;b&gt;&"9!', source);
      assert.equal(event.request.type, source.startsWith('CustomEmail') ? 'customEmailSenderRequestV1' : 'customSMSSenderRequestV1');
      assert.equal(event.request.clientMetadata, null);
      assert.equal(event.request.userAttributes.email, email);
      assert.equal(event.request.userAttributes['cognito:user_status'], 'FORCE_CHANGE_PASSWORD');
      assert.equal(event.request.userAttributes.sub, User.Attributes.find((one) => one.Name === 'sub').Value);
      assert.equal(event.callerContext.clientId, 'CLIENT_ID_NOT_APPLICABLE');
      assert.equal(event.userName, 'jane');
      assert.equal(event.version, '1');
    }
    const [shown] = await inbox(email);
    assert.equal(shown.code, 'Aa1<b>&"9!', 'the inbox shows it as it is');
    assert.equal(shown.function, `arn:aws:lambda:us-east-1:${account}:function:email`);
  },

  async 'AdminUpdateUserAttributes: the code that the inbox shows'() {
    const pool = await makePool();
    const email = `${randomUUID()}@example.com`;
    await send('AdminCreateUser', { UserPoolId: pool.Id, Username: 'jane', MessageAction: 'SUPPRESS' });
    await send('AdminUpdateUserAttributes', { UserPoolId: pool.Id, Username: 'jane', UserAttributes: pairs({ email }) });
    const [event] = await events(pool, 1);
    assert.equal(event.triggerSource, 'CustomEmailSender_UpdateUserAttribute');
    const code = await open(event);
    assert.match(code, /^\d{6}$/);
    assert.equal((await inbox(email))[0].code, code);
  },

  async 'SignUp and ResendConfirmationCode: the codes confirm'() {
    const pool = await makePool();
    const { UserPoolClient } = await send('CreateUserPoolClient', { UserPoolId: pool.Id, ClientName: 'web' });
    const user = { ClientId: UserPoolClient.ClientId, Username: 'jane' };
    const email = `${randomUUID()}@example.com`;
    await send('SignUp', { ...user, Password: 'Passw0rd!x', UserAttributes: pairs({ email }), ClientMetadata: { k: 'v' } });
    const [first] = await events(pool, 1);
    assert.equal(first.triggerSource, 'CustomEmailSender_SignUp');
    assert.deepEqual(first.request.clientMetadata, { k: 'v' });
    assert.equal(first.callerContext.clientId, user.ClientId);
    assert.equal((await inbox(email))[0].code, await open(first));
    await send('ResendConfirmationCode', { ...user, ClientMetadata: { k: 'v' } });
    const [, second] = await events(pool, 2);
    assert.equal(second.triggerSource, 'CustomEmailSender_ResendCode');
    assert.equal(second.request.clientMetadata, null);
    await send('ConfirmSignUp', { ...user, ConfirmationCode: await open(second) });
    const { UserStatus } = await send('AdminGetUser', { UserPoolId: pool.Id, Username: 'jane' });
    assert.equal(UserStatus, 'CONFIRMED');
  },

  async 'a message opens with its own key and context alone'() {
    const pool = await makePool();
    await send('AdminCreateUser', {
      UserPoolId: pool.Id,
      Username: 'jane',
      UserAttributes: pairs({ email: 'jane@example.com' }),
      DesiredDeliveryMediums: ['EMAIL'],
    });
    const [event] = await events(pool, 1);
    const message = Buffer.from(event.request.code, 'base64');
    await assert.rejects(decrypt(keyring([`${key}9`]), message), 'under another key');
    const other = Buffer.from(message);
    other[other.indexOf(pool.Id)] ^= 1;
    await assert.rejects(decrypt(keyring([key]), other), 'with another context');
    const strict = buildClient(CommitmentPolicy.REQUIRE_ENCRYPT_REQUIRE_DECRYPT);
    await assert.rejects(strict.decrypt(keyring([key]), message), /commitment/i, 'where messages must commit to their key');
  },
};

const report = (line) => process.stdout.write(`${JSON.stringify(line)}\n`);

report({ scenarios: Object.keys(scenarios) });
for (const [name, run] of Object.entries(scenarios)) {
  let error = '';
  try {
    await run();
  } catch (caught) {
    error = caught.stack ?? String(caught);
    process.exitCode = 1;
  }
  report({ name, error });
}
idp.destroy();
