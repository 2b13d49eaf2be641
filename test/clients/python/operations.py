"""Every built operation, with every documented member, as boto3 sends and reads it."""

import concurrent.futures
import datetime

from harness import client, equal, includes, listed, main, pairs, refused, scenario, unique

idp = client()
ACCOUNT = "000000000000"

# Every member of CreateUserPool that this server takes, but those that exclude each other. SMS comes in as a whole.
POLICIES = {
    "PasswordPolicy": {
        "MinimumLength": 12, "RequireUppercase": True, "RequireLowercase": True, "RequireNumbers": True, "RequireSymbols": False,
        "PasswordHistorySize": 3, "TemporaryPasswordValidityDays": 3,
    },
    "SignInPolicy": {"AllowedFirstAuthFactors": ["PASSWORD", "EMAIL_OTP"]},
}
TEMPLATE = {
    "SmsMessage": "Code {####}", "EmailMessage": "Your code is {####}.", "EmailSubject": "Code",
    "DefaultEmailOption": "CONFIRM_WITH_CODE",
}
SMS = {"SnsCallerArn": "arn:aws:iam::%s:role/sms" % ACCOUNT, "ExternalId": "external", "SnsRegion": "us-east-1"}
SETTINGS = {
    "Policies": POLICIES,
    "DeletionProtection": "INACTIVE",
    "LambdaConfig": {"PostConfirmation": "arn:aws:lambda:us-east-1:%s:function:after" % ACCOUNT},
    "AutoVerifiedAttributes": ["email", "phone_number"],
    "VerificationMessageTemplate": TEMPLATE,
    "SmsAuthenticationMessage": "Sign in with {####}",
    "MfaConfiguration": "OPTIONAL",
    "UserAttributeUpdateSettings": {"AttributesRequireVerificationBeforeUpdate": ["email"]},
    "DeviceConfiguration": {"ChallengeRequiredOnNewDevice": True, "DeviceOnlyRememberedOnUserPrompt": False},
    "EmailConfiguration": {
        "EmailSendingAccount": "DEVELOPER", "SourceArn": "arn:aws:ses:us-east-1:%s:identity/example.com" % ACCOUNT,
        "ReplyToEmailAddress": "help@example.com", "From": "Accounts <accounts@example.com>", "ConfigurationSet": "set-1",
    },
    "SmsConfiguration": SMS,
    "UserPoolTags": {"team": "blue", "stage": "test"},
    "AdminCreateUserConfig": {
        "AllowAdminCreateUserOnly": True,
        "InviteMessageTemplate": {
            "SMSMessage": "{username} {####}", "EmailMessage": "Hello {username}, {####}", "EmailSubject": "Welcome",
        },
    },
    "UserPoolAddOns": {"AdvancedSecurityMode": "AUDIT", "AdvancedSecurityAdditionalFlows": {"CustomAuthMode": "AUDIT"}},
    "AccountRecoverySetting": {
        "RecoveryMechanisms": [{"Priority": 1, "Name": "verified_email"}, {"Priority": 2, "Name": "verified_phone_number"}],
    },
    "UserPoolTier": "PLUS",
    "KeyConfiguration": {
        "KeyType": "CUSTOMER_MANAGED_KEY",
        "KmsKeyArn": "arn:aws:kms:us-east-1:%s:key/mrk-0123456789abcdef0123456789abcdef" % ACCOUNT,
    },
    "IssuerConfiguration": {"Type": "UPDATED"},
    "DcrConfiguration": {
        "EnableStatus": "Enabled", "OpenDcrEnabled": False, "AuthenticatedGrantTypes": ["code"], "AllowedScopes": ["openid"],
    },
    "AcrConfiguration": {"Level1": {"AcrValue": "bronze"}, "Level2": {"AcrValue": "silver"}},
}
FIXED = {
    "AliasAttributes": ["email", "preferred_username"],
    "UsernameConfiguration": {"CaseSensitive": False},
    "Schema": [
        {"Name": "email", "AttributeDataType": "String", "Required": True, "Mutable": True,
         "StringAttributeConstraints": {"MinLength": "5", "MaxLength": "200"}},
        {"Name": "tier", "AttributeDataType": "String", "Mutable": True, "StringAttributeConstraints": {"MinLength": "1", "MaxLength": "10"}},
        {"Name": "score", "AttributeDataType": "Number", "NumberAttributeConstraints": {"MinValue": "0", "MaxValue": "100"}},
        {"Name": "flag", "AttributeDataType": "Boolean"},
        {"Name": "since", "AttributeDataType": "DateTime"},
        {"Name": "note", "AttributeDataType": "String", "DeveloperOnlyAttribute": True},
    ],
}
STANDARD = [
    "sub", "name", "given_name", "family_name", "middle_name", "nickname", "preferred_username", "profile", "picture", "website", "email",
    "email_verified", "gender", "birthdate", "zoneinfo", "locale", "phone_number", "phone_number_verified", "address", "updated_at",
]


def make_pool(**members):
    return idp.create_user_pool(PoolName=unique("pool"), **members)["UserPool"]


def make_user(pool, **attributes):
    name = unique()
    idp.admin_create_user(UserPoolId=pool["Id"], Username=name, UserAttributes=pairs(**attributes), MessageAction="SUPPRESS")
    return name


def attributes_of(pool, name):
    return listed(idp.admin_get_user(UserPoolId=pool["Id"], Username=name)["UserAttributes"])


@scenario
def the_smallest_pool_has_the_defaults():
    pool = make_pool()
    region, _, rest = pool["Id"].partition("_")
    equal((region, len(rest)), ("us-east-1", 9))
    equal(pool["Arn"], "arn:aws:cognito-idp:us-east-1:%s:userpool/%s" % (ACCOUNT, pool["Id"]))
    includes(pool, {
        "Policies": {
            "PasswordPolicy": {
                "MinimumLength": 8, "RequireUppercase": True, "RequireLowercase": True, "RequireNumbers": True, "RequireSymbols": True,
                "TemporaryPasswordValidityDays": 7,
            },
            "SignInPolicy": {"AllowedFirstAuthFactors": ["PASSWORD"]},
        },
        "DeletionProtection": "INACTIVE", "LambdaConfig": {}, "MfaConfiguration": "OFF", "EstimatedNumberOfUsers": 0,
        "VerificationMessageTemplate": {"DefaultEmailOption": "CONFIRM_WITH_CODE"},
        "UserAttributeUpdateSettings": {"AttributesRequireVerificationBeforeUpdate": []},
        "EmailConfiguration": {"EmailSendingAccount": "COGNITO_DEFAULT"}, "UserPoolTags": {}, "UserPoolTier": "ESSENTIALS",
        "AdminCreateUserConfig": {"AllowAdminCreateUserOnly": False, "UnusedAccountValidityDays": 7},
    })
    equal([one["Name"] for one in pool["SchemaAttributes"]], STANDARD)
    for absent in ("AutoVerifiedAttributes", "AliasAttributes", "UsernameAttributes", "SmsConfiguration", "DeviceConfiguration"):
        assert absent not in pool, "%s should be absent" % absent
    assert abs(datetime.datetime.now(datetime.timezone.utc) - pool["CreationDate"]) < datetime.timedelta(minutes=5), pool["CreationDate"]
    equal(idp.describe_user_pool(UserPoolId=pool["Id"])["UserPool"], pool)


@scenario
def every_setting_of_a_pool_is_stored():
    pool = make_pool(**SETTINGS, **FIXED)
    includes(pool, SETTINGS)
    includes(pool, {name: FIXED[name] for name in ("AliasAttributes", "UsernameConfiguration")})
    # A text of the template is also shown under its legacy name.
    includes(pool, {"SmsVerificationMessage": "Code {####}", "EmailVerificationMessage": "Your code is {####}.", "EmailVerificationSubject": "Code"})
    schema = {one["Name"]: one for one in pool["SchemaAttributes"]}
    equal(sorted(schema), sorted(STANDARD + ["custom:tier", "custom:score", "custom:flag", "custom:since", "dev:custom:note"]))
    equal(schema["email"]["StringAttributeConstraints"], {"MinLength": "5", "MaxLength": "200"})
    equal(schema["email"]["Required"], True)
    equal(schema["custom:score"]["NumberAttributeConstraints"], {"MinValue": "0", "MaxValue": "100"})
    equal(schema["dev:custom:note"]["DeveloperOnlyAttribute"], True)
    equal(idp.describe_user_pool(UserPoolId=pool["Id"])["UserPool"], pool)


@scenario
def username_attributes_are_stored():
    pool = make_pool(UsernameAttributes=["email", "phone_number"], UserPoolTags={"a": "b"})
    equal(sorted(pool["UsernameAttributes"]), ["email", "phone_number"])
    refused(idp.exceptions.InvalidParameterException,
            "Only one of the aliasAttributes or usernameAttributes can be set in a User pool.",
            idp.create_user_pool, PoolName="both", UsernameAttributes=["email"], AliasAttributes=["email"])


@scenario
def the_legacy_names_of_the_texts_fill_the_template():
    pool = make_pool(SmsVerificationMessage="Text {####}", EmailVerificationMessage="Mail {####}", EmailVerificationSubject="Subject")
    includes(pool["VerificationMessageTemplate"], {"SmsMessage": "Text {####}", "EmailMessage": "Mail {####}", "EmailSubject": "Subject"})
    links = make_pool(VerificationMessageTemplate={
        "EmailMessageByLink": "Click {##here##} now", "EmailSubjectByLink": "Click", "DefaultEmailOption": "CONFIRM_WITH_LINK",
    })
    includes(links["VerificationMessageTemplate"], {"EmailMessageByLink": "Click {##here##} now", "EmailSubjectByLink": "Click"})


@scenario
def an_update_of_a_pool_replaces_settings():
    pool = make_pool(AutoVerifiedAttributes=["email"], UserPoolTags={"a": "b"}, Policies=POLICIES)
    equal(idp.update_user_pool(UserPoolId=pool["Id"], PoolName="renamed", **SETTINGS)["ResponseMetadata"]["HTTPStatusCode"], 200)
    after = idp.describe_user_pool(UserPoolId=pool["Id"])["UserPool"]
    includes(after, dict(SETTINGS, Name="renamed"))
    assert after["LastModifiedDate"] >= pool["LastModifiedDate"]
    # What is left out falls back, but for policies, MFA, tier, name, key and issuer.
    idp.update_user_pool(UserPoolId=pool["Id"], SmsConfiguration=SMS, UserPoolAddOns={"AdvancedSecurityMode": "OFF"})
    after = idp.describe_user_pool(UserPoolId=pool["Id"])["UserPool"]
    includes(after, {
        "Name": "renamed", "Policies": POLICIES, "MfaConfiguration": "OPTIONAL", "UserPoolTier": "PLUS", "LambdaConfig": {},
        "UserPoolTags": {}, "EmailConfiguration": {"EmailSendingAccount": "COGNITO_DEFAULT"},
    })
    assert "AutoVerifiedAttributes" not in after, after


@scenario
def pools_are_listed_in_pages():
    made = {make_pool()["Id"] for _ in range(5)}
    seen = []
    for page in idp.get_paginator("list_user_pools").paginate(PaginationConfig={"PageSize": 2}):
        assert len(page["UserPools"]) <= 2
        seen += [one["Id"] for one in page["UserPools"]]
    equal(len(seen), len(set(seen)))
    assert made <= set(seen), "missing %r" % (made - set(seen))
    refused(idp.exceptions.InvalidParameterException,
            "1 validation error detected: Value '61' at 'maxResults' failed to satisfy constraint: "
            "Member must have value less than or equal to 60", idp.list_user_pools, MaxResults=61)
    refused(idp.exceptions.InvalidParameterException, "Invalid nextToken specified", idp.list_user_pools, MaxResults=1, NextToken="bogus")


@scenario
def a_pool_is_deleted():
    pool = make_pool(DeletionProtection="ACTIVE")
    refused(idp.exceptions.InvalidParameterException,
            "The user pool cannot be deleted because deletion protection is activated. "
            "Deletion protection must be inactivated first.", idp.delete_user_pool, UserPoolId=pool["Id"])
    idp.update_user_pool(UserPoolId=pool["Id"], DeletionProtection="INACTIVE")
    idp.delete_user_pool(UserPoolId=pool["Id"])
    refused(idp.exceptions.ResourceNotFoundException, "User pool %s does not exist." % pool["Id"],
            idp.describe_user_pool, UserPoolId=pool["Id"])


@scenario
def custom_attributes_are_added():
    pool = make_pool()
    idp.add_custom_attributes(UserPoolId=pool["Id"], CustomAttributes=FIXED["Schema"][1:])
    names = [one["Name"] for one in idp.describe_user_pool(UserPoolId=pool["Id"])["UserPool"]["SchemaAttributes"]]
    equal(names, STANDARD + ["custom:tier", "custom:score", "custom:flag", "custom:since", "dev:custom:note"])
    refused(idp.exceptions.InvalidParameterException, "custom:tier: Existing attribute already has name custom:tier.",
            idp.add_custom_attributes, UserPoolId=pool["Id"], CustomAttributes=[{"Name": "tier", "AttributeDataType": "String"}])


CLIENT = {
    "RefreshTokenValidity": 10, "AccessTokenValidity": 20, "IdTokenValidity": 30,
    "TokenValidityUnits": {"AccessToken": "minutes", "IdToken": "minutes", "RefreshToken": "days"},
    "ReadAttributes": ["email", "name"], "WriteAttributes": ["email", "name"],
    "ExplicitAuthFlows": ["ALLOW_USER_SRP_AUTH", "ALLOW_USER_PASSWORD_AUTH", "ALLOW_ADMIN_USER_PASSWORD_AUTH", "ALLOW_CUSTOM_AUTH", "ALLOW_USER_AUTH"],
    "SupportedIdentityProviders": ["COGNITO"],
    "CallbackURLs": ["https://app.example.com/in", "http://localhost:3000/in", "myapp://in"], "LogoutURLs": ["https://app.example.com/out"],
    "DefaultRedirectURI": "https://app.example.com/in",
    "AllowedOAuthFlows": ["code"], "AllowedOAuthScopes": ["openid", "email"], "AllowedOAuthFlowsUserPoolClient": True,
    "AnalyticsConfiguration": {
        "ApplicationArn": "arn:aws:mobiletargeting:us-east-1:%s:apps/0123456789abcdef0123456789abcdef" % ACCOUNT, "UserDataShared": True,
    },
    "PreventUserExistenceErrors": "ENABLED", "EnableTokenRevocation": False, "EnablePropagateAdditionalUserContextData": True,
    "AuthSessionValidity": 5, "RefreshTokenRotation": {"Feature": "ENABLED", "RetryGracePeriodSeconds": 10},
}


def unordered(settings):
    """Lists of an app client are sets."""
    return {name: sorted(value) if isinstance(value, list) else value for name, value in settings.items()}


@scenario
def a_client_is_made_read_changed_and_deleted():
    pool = make_pool()
    made = idp.create_user_pool_client(UserPoolId=pool["Id"], ClientName="web app", GenerateSecret=True, **CLIENT)["UserPoolClient"]
    includes(unordered(made), unordered(CLIENT))
    includes(made, {"UserPoolId": pool["Id"], "ClientName": "web app"})
    equal(len(made["ClientId"]), 26)
    assert 24 <= len(made["ClientSecret"]) <= 64, made["ClientSecret"]
    equal(idp.describe_user_pool_client(UserPoolId=pool["Id"], ClientId=made["ClientId"])["UserPoolClient"], made)

    # An update replaces everything but the name and the secret.
    changed = idp.update_user_pool_client(UserPoolId=pool["Id"], ClientId=made["ClientId"], AccessTokenValidity=2)["UserPoolClient"]
    includes(changed, {
        "ClientName": "web app", "ClientSecret": made["ClientSecret"], "AccessTokenValidity": 2, "RefreshTokenValidity": 30,
        "EnableTokenRevocation": True, "AllowedOAuthFlowsUserPoolClient": False, "AuthSessionValidity": 3,
    })
    for absent in ("CallbackURLs", "ReadAttributes", "AllowedOAuthFlows", "AnalyticsConfiguration", "DefaultRedirectURI"):
        assert absent not in changed, "%s should be absent in %r" % (absent, changed)
    back = idp.update_user_pool_client(UserPoolId=pool["Id"], ClientId=made["ClientId"], ClientName="site", **CLIENT)["UserPoolClient"]
    includes(unordered(back), unordered(dict(CLIENT, ClientName="site")))

    idp.delete_user_pool_client(UserPoolId=pool["Id"], ClientId=made["ClientId"])
    refused(idp.exceptions.ResourceNotFoundException, "User pool client %s does not exist." % made["ClientId"],
            idp.describe_user_pool_client, UserPoolId=pool["Id"], ClientId=made["ClientId"])


@scenario
def a_client_can_bring_its_secret():
    pool = make_pool()
    secret = "0123456789abcdefghijklmnopqrstuv"
    made = idp.create_user_pool_client(UserPoolId=pool["Id"], ClientName="own", ClientSecret=secret)["UserPoolClient"]
    equal(made["ClientSecret"], secret)


@scenario
def a_client_is_refused_with_typed_exceptions():
    pool = make_pool()
    refused(idp.exceptions.InvalidOAuthFlowException, "CallbackUrls can not be empty when code flow or implicit flow is selected",
            idp.create_user_pool_client, UserPoolId=pool["Id"], ClientName="c", AllowedOAuthFlows=["code"], AllowedOAuthScopes=["openid"],
            AllowedOAuthFlowsUserPoolClient=True)
    refused(idp.exceptions.ScopeDoesNotExistException, "Invalid scope requested: nope/read",
            idp.create_user_pool_client, UserPoolId=pool["Id"], ClientName="c", AllowedOAuthFlows=["code"], AllowedOAuthScopes=["nope/read"],
            CallbackURLs=["https://app.example.com"], AllowedOAuthFlowsUserPoolClient=True)
    refused(idp.exceptions.InvalidParameterException, "http://app.example.com cannot use the HTTP protocol.",
            idp.create_user_pool_client, UserPoolId=pool["Id"], ClientName="c", CallbackURLs=["http://app.example.com"])


@scenario
def clients_are_listed_in_pages():
    pool = make_pool()
    made = {idp.create_user_pool_client(UserPoolId=pool["Id"], ClientName="c%d" % n)["UserPoolClient"]["ClientId"] for n in range(5)}
    pages = list(idp.get_paginator("list_user_pool_clients").paginate(UserPoolId=pool["Id"], PaginationConfig={"PageSize": 2}))
    seen = [one["ClientId"] for page in pages for one in page["UserPoolClients"]]
    equal((len(seen), set(seen)), (5, made))
    assert len(pages) >= 3, pages
    one = pages[0]["UserPoolClients"][0]
    equal(sorted(one), ["ClientId", "ClientName", "UserPoolId"])


@scenario
def a_client_type_selects_clients():
    pool = make_pool()
    made = idp.create_user_pool_client(UserPoolId=pool["Id"], ClientName="c")["UserPoolClient"]
    regular = idp.list_user_pool_clients(UserPoolId=pool["Id"], MaxResults=10, ClientType="REGULAR")["UserPoolClients"]
    equal([one["ClientId"] for one in regular], [made["ClientId"]])
    equal(idp.list_user_pool_clients(UserPoolId=pool["Id"], MaxResults=10, ClientType="DCR")["UserPoolClients"], [])


@scenario
def a_user_is_made_with_every_member():
    pool = make_pool(AliasAttributes=["email"], Schema=FIXED["Schema"][1:], AutoVerifiedAttributes=["email"])
    answer = idp.admin_create_user(
        UserPoolId=pool["Id"], Username="jane", TemporaryPassword="Tempor4ry!x", ForceAliasCreation=False, MessageAction="SUPPRESS",
        DesiredDeliveryMediums=["EMAIL"], ClientMetadata={"k": "v"}, ValidationData=[{"Name": "ip", "Value": "192.0.2.1"}],
        UserAttributes=pairs(
            email="jane@example.com", email_verified="True", custom__tier="gold", custom__score="7", dev__custom__note="n"))["User"]
    includes(answer, {"Username": "jane", "Enabled": True, "UserStatus": "FORCE_CHANGE_PASSWORD"})
    equal(answer["Attributes"][0]["Name"], "sub")
    got = idp.admin_get_user(UserPoolId=pool["Id"], Username="jane@example.com")
    includes(got, {"Username": "jane", "Enabled": True, "UserStatus": "FORCE_CHANGE_PASSWORD", "UserCreateDate": answer["UserCreateDate"]})
    includes(listed(got["UserAttributes"]), {
        "email": "jane@example.com", "email_verified": "true", "custom:tier": "gold", "custom:score": "7", "dev:custom:note": "n",
    })
    refused(idp.exceptions.UsernameExistsException, "User account already exists", idp.admin_create_user, UserPoolId=pool["Id"], Username="jane")
    refused(idp.exceptions.InvalidPasswordException, "Password did not conform with policy: Password not long enough",
            idp.admin_create_user, UserPoolId=pool["Id"], Username="joe", TemporaryPassword="Sh0rt!")
    again = idp.admin_create_user(UserPoolId=pool["Id"], Username="jane", MessageAction="RESEND", DesiredDeliveryMediums=["EMAIL"])["User"]
    equal(again["UserStatus"], "FORCE_CHANGE_PASSWORD")


@scenario
def a_password_is_set_and_the_user_disabled_enabled_deleted():
    pool = make_pool()
    name = make_user(pool)

    def state():
        user = idp.admin_get_user(UserPoolId=pool["Id"], Username=name)
        return user["UserStatus"], user["Enabled"]

    idp.admin_set_user_password(UserPoolId=pool["Id"], Username=name, Password="Correct-h0rse", Permanent=True)
    equal(state(), ("CONFIRMED", True))
    idp.admin_set_user_password(UserPoolId=pool["Id"], Username=name, Password="Correct-h0rse2", Permanent=False)
    equal(state(), ("FORCE_CHANGE_PASSWORD", True))
    refused(idp.exceptions.InvalidPasswordException, "Password does not conform to policy: Password must have uppercase characters",
            idp.admin_set_user_password, UserPoolId=pool["Id"], Username=name, Password="correct-h0rse", Permanent=True)
    idp.admin_disable_user(UserPoolId=pool["Id"], Username=name)
    equal(state(), ("FORCE_CHANGE_PASSWORD", False))
    idp.admin_enable_user(UserPoolId=pool["Id"], Username=name)
    equal(state(), ("FORCE_CHANGE_PASSWORD", True))
    idp.admin_delete_user(UserPoolId=pool["Id"], Username=name)
    for call in (idp.admin_get_user, idp.admin_delete_user, idp.admin_disable_user, idp.admin_enable_user):
        refused(idp.exceptions.UserNotFoundException, "User does not exist.", call, UserPoolId=pool["Id"], Username=name)


@scenario
def attributes_are_updated_and_deleted():
    pool = make_pool(Schema=FIXED["Schema"][1:])
    name = make_user(pool, email="a@example.com", email_verified="true", nickname="old", locale="en")
    before = idp.admin_get_user(UserPoolId=pool["Id"], Username=name)
    sub = listed(before["UserAttributes"])["sub"]
    answer = idp.admin_update_user_attributes(
        UserPoolId=pool["Id"], Username=name, ClientMetadata={"k": "v"},
        UserAttributes=pairs(email="b@example.com", nickname="", custom__tier="gold", custom__flag="TRUE", custom__score="99.5"))
    equal(sorted(answer), ["ResponseMetadata"])
    assert answer["ResponseMetadata"]["RequestId"], answer
    after = idp.admin_get_user(UserPoolId=pool["Id"], Username=sub)
    equal(listed(after["UserAttributes"]), {
        "sub": sub, "email": "b@example.com", "email_verified": "false", "locale": "en", "custom:tier": "gold", "custom:flag": "true",
        "custom:score": "99.5",
    })
    assert after["UserLastModifiedDate"] >= before["UserLastModifiedDate"]
    idp.admin_delete_user_attributes(UserPoolId=pool["Id"], Username=name, UserAttributeNames=["locale", "custom:tier", "nickname"])
    equal(sorted(attributes_of(pool, name)), ["custom:flag", "custom:score", "email", "email_verified", "sub"])


@scenario
def updates_are_refused_with_typed_exceptions():
    pool = make_pool(UsernameAttributes=["email"], Schema=FIXED["Schema"][1:])
    names = []
    for address in ("one@example.com", "two@example.com"):
        user = idp.admin_create_user(UserPoolId=pool["Id"], Username=address, MessageAction="SUPPRESS")["User"]
        equal(user["Username"], listed(user["Attributes"])["sub"])
        names.append(user["Username"])

    def update(**attributes):
        return idp.admin_update_user_attributes(UserPoolId=pool["Id"], Username=names[1], UserAttributes=pairs(**attributes))

    invalid = idp.exceptions.InvalidParameterException
    refused(idp.exceptions.AliasExistsException, "An account with the given email already exists.", update, email="one@example.com")
    refused(invalid, "user.custom:nope: Attribute does not exist in the schema.\n", update, custom__nope="1")
    refused(invalid, "Cannot modify the non-mutable attribute sub", update, sub="x")
    refused(invalid, "Invalid email address format.", update, email="nope")
    refused(invalid, "Invalid phone number format.", update, phone_number="5551234567")
    refused(invalid, "Phone Number is required to verify/un-verify a phone number", update, phone_number_verified="true")
    refused(invalid,
            "1 validation error detected: Value at 'userAttributes.1.member.value' failed to satisfy constraint: "
            "Member must have length less than or equal to 2048", update, nickname="x" * 2049)
    refused(idp.exceptions.UserNotFoundException, "User does not exist.", idp.admin_update_user_attributes,
            UserPoolId=pool["Id"], Username="nobody", UserAttributes=[])
    refused(idp.exceptions.ResourceNotFoundException, "User pool us-east-1_000000000 does not exist.", idp.admin_update_user_attributes,
            UserPoolId="us-east-1_000000000", Username="nobody", UserAttributes=[])
    equal(sorted(attributes_of(pool, names[1])), ["email", "sub"])


@scenario
def parallel_updates_of_one_user_lose_nothing():
    names = ["a%02d" % n for n in range(16)]
    pool = make_pool(Schema=[{"Name": name, "AttributeDataType": "String"} for name in names])
    user = make_user(pool)
    rounds = 10

    def write(name):
        for n in range(rounds):
            idp.admin_update_user_attributes(
                UserPoolId=pool["Id"], Username=user, UserAttributes=[{"Name": "custom:" + name, "Value": "%s %d" % (name, n)}])

    with concurrent.futures.ThreadPoolExecutor(len(names)) as workers:
        for done in [workers.submit(write, name) for name in names]:
            done.result()
    got = attributes_of(pool, user)
    del got["sub"]
    equal(got, {"custom:" + name: "%s %d" % (name, rounds - 1) for name in names})


@scenario
def users_are_listed_filtered_and_paged():
    pool = make_pool()
    for n in range(7):
        idp.admin_create_user(
            UserPoolId=pool["Id"], Username="user%d" % n, MessageAction="SUPPRESS",
            UserAttributes=pairs(email="user%d@example.com" % n, name='Quote " %d' % n if n == 3 else "Name %d" % n, nickname="n"))
    idp.admin_disable_user(UserPoolId=pool["Id"], Username="user5")
    idp.admin_set_user_password(UserPoolId=pool["Id"], Username="user6", Password="Correct-h0rse", Permanent=True)

    def names(**members):
        return [one["Username"] for one in idp.list_users(UserPoolId=pool["Id"], **members)["Users"]]

    seen = []
    for page in idp.get_paginator("list_users").paginate(UserPoolId=pool["Id"], PaginationConfig={"PageSize": 3}):
        assert len(page["Users"]) <= 3
        seen += [one["Username"] for one in page["Users"]]
    equal(sorted(seen), ["user%d" % n for n in range(7)])
    equal(names(Filter='username = "user2"'), ["user2"])
    equal(names(Filter='email ^= "user1@"'), ["user1"])
    equal(names(Filter='name = "Quote \\" 3"'), ["user3"])
    equal(names(Filter='status = "Disabled"'), ["user5"])
    equal(names(Filter='cognito:user_status = "confirmed"'), ["user6"])
    equal(len(names(Filter="")), 7)
    one = idp.list_users(UserPoolId=pool["Id"], AttributesToGet=["email"], Filter='username = "user0"', Limit=1)["Users"][0]
    equal(one["Attributes"], pairs(email="user0@example.com"))
    includes(one, {"Enabled": True, "UserStatus": "FORCE_CHANGE_PASSWORD"})
    sub = attributes_of(pool, "user4")["sub"]
    equal(names(Filter='sub = "%s"' % sub), ["user4"])

    invalid = idp.exceptions.InvalidParameterException
    refused(invalid, "Error while parsing filter", names, Filter="username user2")
    refused(invalid, "Invalid search attribute: custom:tier", names, Filter='custom:tier = "x"')
    refused(invalid, "Invalid pagination token given.", names, PaginationToken="bogus")
    refused(invalid, "Input fails to satisfy the constraints.", names, AttributesToGet=["sub"])
    token = idp.list_users(UserPoolId=pool["Id"], Limit=2)["PaginationToken"]
    other = make_pool()
    refused(invalid, "Invalid pagination token given.", idp.list_users, UserPoolId=other["Id"], Limit=2, PaginationToken=token)


@scenario
def pools_are_tagged():
    pool = make_pool(UserPoolTags={"a": "1"})
    idp.tag_resource(ResourceArn=pool["Arn"], Tags={"b": "2", "a": "3"})
    equal(idp.list_tags_for_resource(ResourceArn=pool["Arn"])["Tags"], {"a": "3", "b": "2"})
    idp.untag_resource(ResourceArn=pool["Arn"], TagKeys=["a", "absent"])
    equal(idp.list_tags_for_resource(ResourceArn=pool["Arn"])["Tags"], {"b": "2"})
    equal(idp.describe_user_pool(UserPoolId=pool["Id"])["UserPool"]["UserPoolTags"], {"b": "2"})
    gone = pool["Arn"][:-9] + "000000000"
    refused(idp.exceptions.ResourceNotFoundException, "User pool %s does not exist." % gone.rpartition("/")[2],
            idp.list_tags_for_resource, ResourceArn=gone)


@scenario
def an_operation_that_is_not_built_says_so():
    pool = make_pool()
    refused("UnsupportedOperationException", "The operation GetSigningCertificate is described here and not built yet.",
            idp.get_signing_certificate, UserPoolId=pool["Id"])


@scenario
def operations_of_a_later_contract_are_known():
    pool = make_pool()
    refused("UnsupportedOperationException", "The operation ListUserPoolReplicas is described here and not built yet.",
            idp.list_user_pool_replicas, UserPoolId=pool["Id"])


@scenario
def custom_ids_are_taken_in_dev():
    name = "fixed%s" % unique("").replace("-", "")[:4]
    pool = make_pool(UserPoolTags={"_custom_id_": "us-east-1_" + name})
    equal(pool["Id"], "us-east-1_" + name)
    made = idp.create_user_pool_client(UserPoolId=pool["Id"], ClientName="_custom_id_:myclient")["UserPoolClient"]
    equal(made["ClientId"], "myclient")


if __name__ == "__main__":
    main()
