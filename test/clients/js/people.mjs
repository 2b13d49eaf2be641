// The life of a user as the newest JavaScript SDK sees it: from the sign-up over a forgotten password to another address, and in groups.

import assert from 'node:assert/strict';
import * as sdk from '@aws-sdk/client-cognito-identity-provider';
import { account, claims, idp, listed, makePool, messages, newestCode, pairs, refused, run, send, tokens, wrong } from './harness.mjs';

const mismatch = 'Invalid verification code provided, please try again.';
const password = 'Correct-h0rse';
const next = 'Battery-st4ple';

// A pool that verifies e-mail addresses, with an app client.
const setUp = async (settings = {}) => {
  const pool = await makePool({ AutoVerifiedAttributes: ['email'], ...settings });
  const { UserPoolClient } = await send('CreateUserPoolClient', { UserPoolId: pool.Id, ClientName: 'web' });
  return { pool, client: UserPoolClient };
};
const signUp = (client, Username, email) =>
  send('SignUp', { ClientId: client.ClientId, Username, Password: password, UserAttributes: pairs({ email }) });
const confirm = (client, Username, ConfirmationCode, more = {}) =>
  send('ConfirmSignUp', { ClientId: client.ClientId, Username, ConfirmationCode, ...more });
const user = (pool, Username) => send('AdminGetUser', { UserPoolId: pool.Id, Username });
const attributes = async (pool, name) => listed((await user(pool, name)).UserAttributes);
const nobody = (pool, Username) => refused(sdk.UserNotFoundException, 'User does not exist.', 'AdminGetUser', { UserPoolId: pool.Id, Username });
const byMail = (Destination) => ({ Destination, DeliveryMedium: 'EMAIL', AttributeName: 'email' });

await run({
  async 'a user signs up and is confirmed'() {
    const { pool, client } = await setUp();
    const answer = await signUp(client, 'jane', 'jane@example.com');
    assert.equal(answer.UserConfirmed, false);
    assert.deepEqual(answer.CodeDeliveryDetails, byMail('j***@e***'));
    assert.deepEqual(await attributes(pool, 'jane'), { sub: answer.UserSub, email: 'jane@example.com', email_verified: 'false' });
    const input = { ClientId: client.ClientId, Username: 'jane' };
    await refused(sdk.UsernameExistsException, 'User already exists', 'SignUp', { ...input, Password: password });
    await refused(sdk.InvalidPasswordException, 'Password did not conform with policy: Password not long enough', 'SignUp', {
      ...input,
      Username: 'joe',
      Password: 'Sh0rt!',
    });

    const first = await newestCode(pool, 'jane@example.com');
    await refused(sdk.CodeMismatchException, mismatch, 'ConfirmSignUp', { ...input, ConfirmationCode: wrong(first) });
    assert.deepEqual((await send('ResendConfirmationCode', input)).CodeDeliveryDetails, byMail('j***@e***'));
    const ConfirmationCode = await newestCode(pool, 'jane@example.com');
    if (first !== ConfirmationCode) {
      await refused(sdk.CodeMismatchException, mismatch, 'ConfirmSignUp', { ...input, ConfirmationCode: first });
    }
    assert.deepEqual(Object.keys(await send('ConfirmSignUp', { ...input, ConfirmationCode })), ['$metadata']);
    assert.equal((await user(pool, 'jane')).UserStatus, 'CONFIRMED');
    assert.equal((await attributes(pool, 'jane')).email_verified, 'true');
    await refused(sdk.NotAuthorizedException, 'User cannot be confirmed. Current status is CONFIRMED', 'ConfirmSignUp', { ...input, ConfirmationCode });
  },

  async 'a forgotten password is replaced'() {
    const { pool, client } = await setUp();
    await signUp(client, 'jane', 'jane@example.com');
    await confirm(client, 'jane', await newestCode(pool, 'jane@example.com'));
    const input = { ClientId: client.ClientId, Username: 'jane' };
    assert.deepEqual((await send('ForgotPassword', input)).CodeDeliveryDetails, byMail('j***@e***'));
    const ConfirmationCode = await newestCode(pool, 'jane@example.com');
    const change = { ...input, ConfirmationCode, Password: next };
    await refused(sdk.CodeMismatchException, mismatch, 'ConfirmForgotPassword', { ...change, ConfirmationCode: wrong(ConfirmationCode) });
    await refused(sdk.InvalidPasswordException, 'Password does not conform to policy: Password not long enough', 'ConfirmForgotPassword', {
      ...change,
      Password: 'Sh0rt!',
    });
    await send('ConfirmForgotPassword', change);
    await refused(sdk.ExpiredCodeException, 'Invalid code provided, please request a code again.', 'ConfirmForgotPassword', change);

    // The new password is the current one.
    const { AccessToken } = await tokens(pool, client, 'jane');
    const again = { AccessToken, PreviousPassword: password, ProposedPassword: 'An0ther-one!' };
    await refused(sdk.NotAuthorizedException, 'Incorrect username or password.', 'ChangePassword', again);
    await send('ChangePassword', { ...again, PreviousPassword: next });
  },

  async 'a changed address waits for its verification'() {
    const { pool, client } = await setUp({
      AliasAttributes: ['email'],
      UserAttributeUpdateSettings: { AttributesRequireVerificationBeforeUpdate: ['email'] },
    });
    await signUp(client, 'jane', 'old@example.com');
    await confirm(client, 'jane', await newestCode(pool, 'old@example.com'));
    const { AccessToken } = await tokens(pool, client, 'jane');
    const answer = await send('UpdateUserAttributes', { AccessToken, UserAttributes: pairs({ email: 'new@example.com', nickname: 'J' }) });
    assert.deepEqual(answer.CodeDeliveryDetailsList, [byMail('n***@e***')]);
    const inForce = async (email) => {
      const { sub, ...rest } = listed((await send('GetUser', { AccessToken })).UserAttributes);
      assert.ok(sub);
      assert.deepEqual(rest, { email, email_verified: 'true', nickname: 'J' });
      const said = claims((await tokens(pool, client, email)).IdToken);
      assert.deepEqual([said.email, said.email_verified, said['cognito:username']], [email, true, 'jane']);
      assert.equal((await user(pool, email)).Username, 'jane');
    };
    await inForce('old@example.com');
    await nobody(pool, 'new@example.com');
    assert.equal((await messages(pool, 'old@example.com')).length, 1);
    const Code = await newestCode(pool, 'new@example.com');
    const verify = { AccessToken, AttributeName: 'email' };
    await refused(sdk.CodeMismatchException, mismatch, 'VerifyUserAttribute', { ...verify, Code: wrong(Code) });
    await inForce('old@example.com');
    await send('VerifyUserAttribute', { ...verify, Code });
    await inForce('new@example.com');
    await nobody(pool, 'old@example.com');
  },

  async 'an alias moves'() {
    const { pool, client } = await setUp({ AliasAttributes: ['email'] });
    await signUp(client, 'first', 'shared@example.com');
    await signUp(client, 'second', 'shared@example.com');
    const codes = Object.fromEntries((await messages(pool, 'shared@example.com')).map(({ username, code }) => [username, code]));
    await confirm(client, 'first', codes.first);
    assert.equal((await user(pool, 'shared@example.com')).Username, 'first');
    const input = { ClientId: client.ClientId, Username: 'second', ConfirmationCode: codes.second };
    await refused(sdk.AliasExistsException, 'An account with the email already exists.', 'ConfirmSignUp', input);
    assert.equal((await user(pool, 'second')).UserStatus, 'UNCONFIRMED');
    await confirm(client, 'second', codes.second, { ForceAliasCreation: true });
    assert.equal((await user(pool, 'shared@example.com')).Username, 'second');
    assert.equal((await attributes(pool, 'second')).email_verified, 'true');
    assert.equal((await attributes(pool, 'first')).email_verified, 'false');
  },

  async 'groups have a precedence'() {
    const { pool, client } = await setUp();
    const jane = { UserPoolId: pool.Id, Username: 'jane' };
    await send('AdminCreateUser', { ...jane, MessageAction: 'SUPPRESS' });
    await send('AdminSetUserPassword', { ...jane, Password: password, Permanent: true });
    const role = (name) => `arn:aws:iam::${account}:role/${name}`;
    const groups = { staff: { Precedence: 10, RoleArn: role('staff') }, boss: { Precedence: 1, RoleArn: role('boss') }, all: {} };
    for (const [GroupName, settings] of Object.entries(groups)) {
      const { Group } = await send('CreateGroup', { UserPoolId: pool.Id, GroupName, ...settings });
      assert.ok(Group.CreationDate instanceof Date);
      assert.equal(Group.Precedence, settings.Precedence);
      await send('AdminAddUserToGroup', { ...jane, GroupName });
    }
    await refused(sdk.GroupExistsException, 'A group with the name already exists.', 'CreateGroup', { UserPoolId: pool.Id, GroupName: 'boss' });
    const names = [];
    for await (const page of sdk.paginateAdminListGroupsForUser({ client: idp, pageSize: 2 }, jane)) {
      names.push(...page.Groups.map(({ GroupName }) => GroupName));
    }
    assert.deepEqual(names, ['boss', 'staff', 'all']);
    const issued = await tokens(pool, client, 'jane');
    assert.deepEqual(claims(issued.AccessToken)['cognito:groups'], names);
    const id = claims(issued.IdToken);
    assert.deepEqual([id['cognito:groups'], id['cognito:roles'], id['cognito:preferred_role']], [names, [role('boss'), role('staff')], role('boss')]);
    // Another precedence, in the next token.
    await send('UpdateGroup', { UserPoolId: pool.Id, GroupName: 'staff', Precedence: 0 });
    assert.equal(claims((await tokens(pool, client, 'jane')).IdToken)['cognito:preferred_role'], role('staff'));
    await send('AdminRemoveUserFromGroup', { ...jane, GroupName: 'staff' });
    await send('DeleteGroup', { UserPoolId: pool.Id, GroupName: 'all' });
    assert.deepEqual(claims((await tokens(pool, client, 'jane')).AccessToken)['cognito:groups'], ['boss']);
  },
});
