"""Sign-ins as a server of an application makes them with boto3: for its users, with the administrator's operations, and for itself."""

import json

from harness import (
    app_code, claims, client, equal, includes, main, newest_code, other, pairs, refused, scenario, secret_hash, unique,
)

idp = client()
PASSWORD, NEXT = "Correct-h0rse", "Battery-st4ple"
WRONG = "Incorrect username or password."
PHONE = "+15555550100"


def make_pool(flows=("ALLOW_ADMIN_USER_PASSWORD_AUTH", "ALLOW_REFRESH_TOKEN_AUTH"), **members):
    """A pool with an app client that has no secret unless it asks for one, and its user jane."""
    settings = {name: members.pop(name) for name in ("GenerateSecret", "RefreshTokenRotation") if name in members}
    pool = idp.create_user_pool(PoolName=unique("pool"), **members)["UserPool"]
    settings.update(ClientName="server", ExplicitAuthFlows=list(flows), AuthSessionValidity=15)
    app = idp.create_user_pool_client(UserPoolId=pool["Id"], **settings)["UserPoolClient"]
    attributes = pairs(email="jane@example.com", email_verified="true", phone_number=PHONE, phone_number_verified="true")
    idp.admin_create_user(UserPoolId=pool["Id"], Username="jane", TemporaryPassword=PASSWORD, MessageAction="SUPPRESS", UserAttributes=attributes)
    return pool, app


def permanent(pool):
    idp.admin_set_user_password(UserPoolId=pool["Id"], Username="jane", Password=PASSWORD, Permanent=True)


def sign_in(pool, app, password=PASSWORD, **parameters):
    parameters = dict(parameters, USERNAME="jane", PASSWORD=password)
    return idp.admin_initiate_auth(
        UserPoolId=pool["Id"], ClientId=app["ClientId"], AuthFlow="ADMIN_USER_PASSWORD_AUTH", AuthParameters=parameters)


def respond(pool, app, asked, **responses):
    return idp.admin_respond_to_auth_challenge(
        UserPoolId=pool["Id"], ClientId=app["ClientId"], ChallengeName=asked["ChallengeName"], Session=asked["Session"],
        ChallengeResponses=dict(responses, USERNAME="jane"))


def refresh(pool, app, token, **parameters):
    return idp.admin_initiate_auth(
        UserPoolId=pool["Id"], ClientId=app["ClientId"], AuthFlow="REFRESH_TOKEN_AUTH", AuthParameters=dict(parameters, REFRESH_TOKEN=token))


@scenario
def a_server_signs_its_user_in():
    pool, app = make_pool(AccountRecoverySetting={"RecoveryMechanisms": [{"Name": "verified_email", "Priority": 1}]})
    permanent(pool)
    refused(idp.exceptions.NotAuthorizedException, WRONG, sign_in, pool=pool, app=app, password=NEXT)
    answer = sign_in(pool, app)
    equal(answer["ChallengeParameters"], {})
    result = answer["AuthenticationResult"]
    includes(result, {"ExpiresIn": 3600, "TokenType": "Bearer"})
    includes(claims(result["AccessToken"]), {"username": "jane", "client_id": app["ClientId"], "token_use": "access"})
    includes(claims(result["IdToken"]), {"cognito:username": "jane", "aud": app["ClientId"], "email": "jane@example.com", "email_verified": True})
    equal(idp.get_user(AccessToken=result["AccessToken"])["Username"], "jane")
    nobody = dict(UserPoolId=pool["Id"], ClientId=app["ClientId"], AuthFlow="ADMIN_USER_PASSWORD_AUTH",
                  AuthParameters={"USERNAME": "nobody", "PASSWORD": PASSWORD})
    refused(idp.exceptions.UserNotFoundException, "User does not exist.", idp.admin_initiate_auth, **nobody)
    refused(idp.exceptions.InvalidParameterException, "Initiate Auth method not supported.", idp.initiate_auth,
            ClientId=app["ClientId"], AuthFlow="ADMIN_USER_PASSWORD_AUTH", AuthParameters=nobody["AuthParameters"])

    idp.admin_disable_user(UserPoolId=pool["Id"], Username="jane")
    refused(idp.exceptions.NotAuthorizedException, "User is disabled.", sign_in, pool=pool, app=app)
    idp.admin_enable_user(UserPoolId=pool["Id"], Username="jane")
    idp.admin_reset_user_password(UserPoolId=pool["Id"], Username="jane")
    refused(idp.exceptions.PasswordResetRequiredException, "Password reset required for the user", sign_in, pool=pool, app=app)


@scenario
def a_user_of_a_client_with_a_secret():
    pool, app = make_pool(GenerateSecret=True)
    permanent(pool)
    right = secret_hash(app, "jane")
    text = "Unable to verify secret hash for client %s" % app["ClientId"]
    refused(idp.exceptions.NotAuthorizedException, text, sign_in, pool=pool, app=app, SECRET_HASH=secret_hash(app, "joe"))
    result = sign_in(pool, app, SECRET_HASH=right)["AuthenticationResult"]
    text = "SecretHash does not match for the client: %s" % app["ClientId"]
    refused(idp.exceptions.NotAuthorizedException, text, refresh, pool=pool, app=app, token=result["RefreshToken"], SECRET_HASH="x")
    sub = claims(result["AccessToken"])["sub"]
    again = refresh(pool, app, result["RefreshToken"], SECRET_HASH=secret_hash(app, sub))["AuthenticationResult"]
    equal(claims(again["AccessToken"])["origin_jti"], claims(result["AccessToken"])["origin_jti"])
    revoke = dict(Token=result["RefreshToken"], ClientId=app["ClientId"])
    refused(idp.exceptions.UnauthorizedException, "Invalid client credentials.", idp.revoke_token, ClientSecret="wrong" * 6, **revoke)
    idp.revoke_token(ClientSecret=app["ClientSecret"], **revoke)
    refused(idp.exceptions.NotAuthorizedException, "Access Token has been revoked", idp.get_user, AccessToken=again["AccessToken"])


@scenario
def a_new_password_is_required():
    schema = [{"Name": "name", "Required": False, "Mutable": True, "AttributeDataType": "String"}]
    pool, app = make_pool(Schema=schema)
    asked = sign_in(pool, app)
    equal(asked["ChallengeName"], "NEW_PASSWORD_REQUIRED")
    assert "AuthenticationResult" not in asked, asked
    parameters = asked["ChallengeParameters"]
    equal(parameters["USER_ID_FOR_SRP"], "jane")
    equal(json.loads(parameters["requiredAttributes"]), [])
    includes(json.loads(parameters["userAttributes"]), {"email": "jane@example.com", "phone_number": PHONE})
    refused(idp.exceptions.InvalidPasswordException, "Password does not conform to policy: Password not long enough",
            respond, pool=pool, app=app, asked=asked, NEW_PASSWORD="Sh0rt!")
    answer = respond(pool, app, asked, **{"NEW_PASSWORD": NEXT, "userAttributes.name": "Jane"})
    includes(claims(answer["AuthenticationResult"]["IdToken"]), {"name": "Jane"})
    equal(idp.admin_get_user(UserPoolId=pool["Id"], Username="jane")["UserStatus"], "CONFIRMED")
    refused(idp.exceptions.NotAuthorizedException, "Invalid session for the user, session can only be used once.",
            respond, pool=pool, app=app, asked=asked, NEW_PASSWORD=PASSWORD)
    refused(idp.exceptions.NotAuthorizedException, WRONG, sign_in, pool=pool, app=app)
    assert sign_in(pool, app, password=NEXT)["AuthenticationResult"]


@scenario
def an_authenticator_app():
    pool, app = make_pool()
    permanent(pool)
    config = dict(UserPoolId=pool["Id"], MfaConfiguration="OPTIONAL", SoftwareTokenMfaConfiguration={"Enabled": True})
    includes(idp.set_user_pool_mfa_config(**config), {"MfaConfiguration": "OPTIONAL", "SoftwareTokenMfaConfiguration": {"Enabled": True}})
    access = sign_in(pool, app)["AuthenticationResult"]["AccessToken"]
    secret = idp.associate_software_token(AccessToken=access)["SecretCode"]
    code = app_code(secret)
    refused(idp.exceptions.EnableSoftwareTokenMFAException, "Code mismatch", idp.verify_software_token, AccessToken=access, UserCode=other(code))
    equal(idp.verify_software_token(AccessToken=access, UserCode=code, FriendlyDeviceName="phone")["Status"], "SUCCESS")
    idp.admin_set_user_mfa_preference(
        UserPoolId=pool["Id"], Username="jane", SoftwareTokenMfaSettings={"Enabled": True, "PreferredMfa": True})
    includes(idp.admin_get_user(UserPoolId=pool["Id"], Username="jane"),
             {"UserMFASettingList": ["SOFTWARE_TOKEN_MFA"], "PreferredMfaSetting": "SOFTWARE_TOKEN_MFA"})

    asked = sign_in(pool, app)
    equal(asked["ChallengeName"], "SOFTWARE_TOKEN_MFA")
    equal(asked["ChallengeParameters"], {"USER_ID_FOR_SRP": "jane", "FRIENDLY_DEVICE_NAME": "phone"})
    refused(idp.exceptions.ExpiredCodeException, "Your software token has already been used once.",
            respond, pool=pool, app=app, asked=asked, SOFTWARE_TOKEN_MFA_CODE=code)
    code = app_code(secret)
    refused(idp.exceptions.CodeMismatchException, "Invalid code received for user",
            respond, pool=pool, app=app, asked=asked, SOFTWARE_TOKEN_MFA_CODE=other(code))
    assert respond(pool, app, asked, SOFTWARE_TOKEN_MFA_CODE=code)["AuthenticationResult"]

    # An administrator takes the lost app away.
    idp.admin_delete_software_token(UserPoolId=pool["Id"], Username="jane")
    assert sign_in(pool, app)["AuthenticationResult"]


@scenario
def an_authenticator_app_set_up_within_a_sign_in():
    pool, app = make_pool()
    permanent(pool)
    idp.set_user_pool_mfa_config(UserPoolId=pool["Id"], MfaConfiguration="ON", SoftwareTokenMfaConfiguration={"Enabled": True})
    asked = sign_in(pool, app)
    equal(asked["ChallengeName"], "MFA_SETUP")
    equal(json.loads(asked["ChallengeParameters"]["MFAS_CAN_SETUP"]), ["SOFTWARE_TOKEN_MFA"])
    made = idp.associate_software_token(Session=asked["Session"])
    verified = idp.verify_software_token(Session=made["Session"], UserCode=app_code(made["SecretCode"]))
    equal(verified["Status"], "SUCCESS")
    assert respond(pool, app, dict(asked, Session=verified["Session"]))["AuthenticationResult"]
    equal(sign_in(pool, app)["ChallengeName"], "SOFTWARE_TOKEN_MFA")


@scenario
def a_code_by_sms():
    sms = {"SnsCallerArn": "arn:aws:iam::000000000000:role/sms"}
    pool, app = make_pool(SmsConfiguration=sms)
    permanent(pool)
    idp.set_user_pool_mfa_config(
        UserPoolId=pool["Id"], MfaConfiguration="ON", SmsMfaConfiguration={"SmsConfiguration": sms, "SmsAuthenticationMessage": "It is {####}."})
    asked = sign_in(pool, app)
    equal(asked["ChallengeName"], "SMS_MFA")
    includes(asked["ChallengeParameters"], {"CODE_DELIVERY_DELIVERY_MEDIUM": "SMS", "CODE_DELIVERY_DESTINATION": "+*******0100"})
    code = newest_code(pool, PHONE)
    refused(idp.exceptions.CodeMismatchException, "Invalid code or auth state for the user.",
            respond, pool=pool, app=app, asked=asked, SMS_MFA_CODE=other(code))
    assert respond(pool, app, asked, SMS_MFA_CODE=code)["AuthenticationResult"]


@scenario
def a_user_is_signed_out_everywhere():
    pool, app = make_pool()
    permanent(pool)
    one, two = sign_in(pool, app)["AuthenticationResult"], sign_in(pool, app)["AuthenticationResult"]
    idp.revoke_token(Token=one["RefreshToken"], ClientId=app["ClientId"])
    gone = (idp.exceptions.NotAuthorizedException, "Refresh Token has been revoked")
    refused(*gone, call=refresh, pool=pool, app=app, token=one["RefreshToken"])
    assert "RefreshToken" not in refresh(pool, app, two["RefreshToken"])["AuthenticationResult"]
    idp.admin_user_global_sign_out(UserPoolId=pool["Id"], Username="jane")
    refused(*gone, call=refresh, pool=pool, app=app, token=two["RefreshToken"])


@scenario
def refresh_tokens_rotate():
    pool, app = make_pool(
        flows=["ALLOW_ADMIN_USER_PASSWORD_AUTH"], RefreshTokenRotation={"Feature": "ENABLED", "RetryGracePeriodSeconds": 0})
    permanent(pool)
    first = sign_in(pool, app)["AuthenticationResult"]

    def renew(token):
        return idp.get_tokens_from_refresh_token(RefreshToken=token, ClientId=app["ClientId"])["AuthenticationResult"]

    second = renew(first["RefreshToken"])
    assert second["RefreshToken"] != first["RefreshToken"]
    equal(claims(second["AccessToken"])["origin_jti"], claims(first["AccessToken"])["origin_jti"])
    # A token that was used already is in two hands: the whole family ends.
    refused(idp.exceptions.RefreshTokenReuseException, "Refresh token has been reused.", renew, token=first["RefreshToken"])
    refused(idp.exceptions.NotAuthorizedException, "Refresh Token has been revoked", renew, token=second["RefreshToken"])


@scenario
def too_many_wrong_passwords():
    pool, app = make_pool()
    permanent(pool)
    for _ in range(5):
        refused(idp.exceptions.NotAuthorizedException, WRONG, sign_in, pool=pool, app=app, password=NEXT)
    refused(idp.exceptions.NotAuthorizedException, "Password attempts exceeded", sign_in, pool=pool, app=app)


if __name__ == "__main__":
    main()
