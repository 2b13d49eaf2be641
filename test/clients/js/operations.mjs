// The built operations through the JavaScript SDK, above all the members that older clients do not know.

import assert from 'node:assert/strict';
import * as sdk from '@aws-sdk/client-cognito-identity-provider';
import { account, idp, listed, makePool, pairs, refused, run, send, unique } from './harness.mjs';

const makeUser = async (pool, attributes = {}) => {
  const user = { UserPoolId: pool.Id, Username: unique('user') };
  await send('AdminCreateUser', { ...user, UserAttributes: pairs(attributes), MessageAction: 'SUPPRESS' });
  return user;
};

const scenarios = {
  async 'the newest members of a pool are stored'() {
    const settings = {
      KeyConfiguration: {
        KeyType: 'CUSTOMER_MANAGED_KEY',
        KmsKeyArn: `arn:aws:kms:us-east-1:${account}:key/mrk-0123456789abcdef0123456789abcdef`,
      },
      IssuerConfiguration: { Type: 'UPDATED' },
      DcrConfiguration: {
        EnableStatus: 'Enabled',
        OpenDcrEnabled: true,
        AuthenticatedGrantTypes: ['code', 'client_credentials'],
        OpenDcrGrantTypes: ['code'],
        AllowedScopes: ['openid', 'email'],
      },
      AcrConfiguration: {
        Level1: { AcrValue: 'bronze' },
        Level2: { AcrValue: 'urn:example:silver' },
        Level3: { AcrValue: 'gold' },
        Level4: { AcrValue: 'platinum' },
      },
    };
    const pool = await makePool(settings);
    const { UserPool } = await send('DescribeUserPool', { UserPoolId: pool.Id });
    for (const [name, value] of Object.entries(settings)) {
      assert.deepEqual(UserPool[name], value, name);
    }
    assert.deepEqual(UserPool, pool);
    assert.ok(UserPool.CreationDate instanceof Date);

    await send('UpdateUserPool', { UserPoolId: pool.Id, AcrConfiguration: { Level1: { AcrValue: 'copper' } } });
    const updated = (await send('DescribeUserPool', { UserPoolId: pool.Id })).UserPool;
    assert.deepEqual(updated.AcrConfiguration.Level1, { AcrValue: 'copper' });
    assert.deepEqual(updated.AcrConfiguration.Level2, { AcrValue: 'urn:cognito:loa:2' }, 'a level without a name of its own has the default');
    assert.deepEqual(updated.KeyConfiguration, settings.KeyConfiguration, 'an update keeps the key that it does not name');
    assert.deepEqual(updated.IssuerConfiguration, settings.IssuerConfiguration, 'an update keeps the issuer that it does not name');
  },

  async 'a client says its type'() {
    const pool = await makePool();
    const { UserPoolClient } = await send('CreateUserPoolClient', { UserPoolId: pool.Id, ClientName: 'web' });
    assert.equal(UserPoolClient.ClientType, 'REGULAR');
    const of = async (ClientType) => (await send('ListUserPoolClients', { UserPoolId: pool.Id, MaxResults: 10, ClientType })).UserPoolClients;
    assert.deepEqual((await of('REGULAR')).map((one) => one.ClientId), [UserPoolClient.ClientId]);
    assert.deepEqual(await of('DCR'), []);
  },

  async 'attributes of a user are updated'() {
    const pool = await makePool({ Schema: [{ Name: 'tier', AttributeDataType: 'String' }] });
    const user = await makeUser(pool, { email: 'a@example.com', email_verified: 'true' });
    const answer = await send('AdminUpdateUserAttributes', {
      ...user,
      UserAttributes: pairs({ email: 'b@example.com', email_verified: 'true', 'custom:tier': 'größe 😀' }),
      ClientMetadata: { k: 'v' },
    });
    assert.deepEqual(Object.keys(answer), ['$metadata']);
    const got = await send('AdminGetUser', user);
    const { sub, ...rest } = listed(got.UserAttributes);
    assert.match(sub, /^[0-9a-f]{8}-[0-9a-f]{4}-70[0-9a-f]{2}-[0-9a-f]{4}-[0-9a-f]{12}$/);
    assert.deepEqual(rest, { email: 'b@example.com', email_verified: 'true', 'custom:tier': 'größe 😀' });
    assert.ok(got.UserLastModifiedDate >= got.UserCreateDate);
  },

  async 'refusals are typed exceptions'() {
    const pool = await makePool({ UsernameAttributes: ['email'] });
    for (const Username of ['one@example.com', 'two@example.com']) {
      await send('AdminCreateUser', { UserPoolId: pool.Id, Username, MessageAction: 'SUPPRESS' });
    }
    const user = { UserPoolId: pool.Id, Username: 'two@example.com' };
    await refused(sdk.AliasExistsException, 'An account with the given email already exists.', 'AdminUpdateUserAttributes', {
      ...user,
      UserAttributes: pairs({ email: 'one@example.com' }),
    });
    await refused(sdk.InvalidParameterException, 'user.custom:x: Attribute does not exist in the schema.\n', 'AdminUpdateUserAttributes', {
      ...user,
      UserAttributes: pairs({ 'custom:x': '1' }),
    });
    await refused(
      sdk.InvalidParameterException,
      "1 validation error detected: Value null at 'userAttributes' failed to satisfy constraint: Member must not be null",
      'AdminUpdateUserAttributes',
      user,
    );
    await refused(sdk.UserNotFoundException, 'User does not exist.', 'AdminGetUser', { UserPoolId: pool.Id, Username: 'nobody' });
    await refused(sdk.UsernameExistsException, 'User account already exists', 'AdminCreateUser', user);
    await refused(sdk.ResourceNotFoundException, 'User pool us-east-1_000000000 does not exist.', 'DescribeUserPool', {
      UserPoolId: 'us-east-1_000000000',
    });
  },

  async 'the paginators walk to the end'() {
    const pool = await makePool();
    const names = [];
    for (let n = 0; n < 5; n++) {
      names.push((await makeUser(pool)).Username);
      await send('CreateUserPoolClient', { UserPoolId: pool.Id, ClientName: `c${n}` });
    }
    const users = [];
    let PaginationToken;
    do {
      const page = await send('ListUsers', { UserPoolId: pool.Id, Limit: 2, PaginationToken });
      users.push(...page.Users.map((one) => one.Username));
      PaginationToken = page.PaginationToken;
    } while (PaginationToken);
    assert.deepEqual(users.sort(), names.sort());
    const clients = [];
    for await (const page of sdk.paginateListUserPoolClients({ client: idp, pageSize: 2 }, { UserPoolId: pool.Id })) {
      clients.push(...page.UserPoolClients.map((one) => one.ClientName));
    }
    assert.deepEqual(clients.sort(), ['c0', 'c1', 'c2', 'c3', 'c4']);
    const pools = [];
    for await (const page of sdk.paginateListUserPools({ client: idp, pageSize: 2 }, { MaxResults: 2 })) {
      pools.push(...page.UserPools.map((one) => one.Id));
    }
    assert.ok(pools.includes(pool.Id));
    assert.equal(new Set(pools).size, pools.length);
  },

  async 'parallel updates of one user lose nothing'() {
    const names = Array.from({ length: 16 }, (_, n) => `a${n}`);
    const pool = await makePool({ Schema: names.map((Name) => ({ Name, AttributeDataType: 'String' })) });
    const user = await makeUser(pool);
    await Promise.all(
      names.map((name) => send('AdminUpdateUserAttributes', { ...user, UserAttributes: pairs({ [`custom:${name}`]: name }) })),
    );
    const { sub, ...rest } = listed((await send('AdminGetUser', user)).UserAttributes);
    assert.ok(sub);
    assert.deepEqual(rest, Object.fromEntries(names.map((name) => [`custom:${name}`, name])));
  },

  async 'what is not built says so'() {
    const pool = await makePool();
    await assert.rejects(send('GetUserPoolSessionConfiguration', { UserPoolId: pool.Id }), (error) => {
      assert.equal(error.name, 'UnsupportedOperationException');
      assert.equal(error.message, 'The operation GetUserPoolSessionConfiguration is described here and not built yet.');
      return true;
    });
  },
};

await run(scenarios);
