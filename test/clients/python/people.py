"""The life of a user as boto3 sees it: from the sign-up over a forgotten password to another address, and in groups."""

from harness import claims, client, equal, includes, listed, main, messages, newest_code, other, pairs, refused, scenario, tokens, unique

idp = client()
WRONG = "Invalid verification code provided, please try again."
EXPIRED = "Invalid code provided, please request a code again."
PASSWORD, NEXT = "Correct-h0rse", "Battery-st4ple"


def make_pool(**members):
    """A pool that verifies e-mail addresses, and an app client."""
    pool = idp.create_user_pool(PoolName=unique("pool"), AutoVerifiedAttributes=["email"], **members)["UserPool"]
    return pool, idp.create_user_pool_client(UserPoolId=pool["Id"], ClientName="web")["UserPoolClient"]


def sign_up(app, name, email):
    return idp.sign_up(ClientId=app["ClientId"], Username=name, Password=PASSWORD, UserAttributes=pairs(email=email))


def confirm(app, name, code, **members):
    return idp.confirm_sign_up(ClientId=app["ClientId"], Username=name, ConfirmationCode=code, **members)


def user(pool, name):
    return idp.admin_get_user(UserPoolId=pool["Id"], Username=name)


def attributes(pool, name):
    return listed(user(pool, name)["UserAttributes"])


def nobody(pool, name):
    refused(idp.exceptions.UserNotFoundException, "User does not exist.", user, pool=pool, name=name)


def by_mail(destination):
    return {"Destination": destination, "DeliveryMedium": "EMAIL", "AttributeName": "email"}


@scenario
def a_user_signs_up_and_is_confirmed():
    pool, app = make_pool()
    answer = sign_up(app, "jane", "jane@example.com")
    includes(answer, {"UserConfirmed": False, "CodeDeliveryDetails": by_mail("j***@e***")})
    equal(user(pool, "jane")["UserStatus"], "UNCONFIRMED")
    equal(attributes(pool, "jane"), {"sub": answer["UserSub"], "email": "jane@example.com", "email_verified": "false"})
    refused(idp.exceptions.UsernameExistsException, "User already exists", sign_up, app=app, name="jane", email="else@example.com")
    refused(idp.exceptions.InvalidPasswordException, "Password did not conform with policy: Password not long enough",
            idp.sign_up, ClientId=app["ClientId"], Username="joe", Password="Sh0rt!")

    first = newest_code(pool, "jane@example.com")
    refused(idp.exceptions.CodeMismatchException, WRONG, confirm, app=app, name="jane", code=other(first))
    again = idp.resend_confirmation_code(ClientId=app["ClientId"], Username="jane")
    equal(again["CodeDeliveryDetails"], by_mail("j***@e***"))
    equal(len(messages(pool, "jane@example.com")), 2)
    code = newest_code(pool, "jane@example.com")
    if code != first:
        refused(idp.exceptions.CodeMismatchException, WRONG, confirm, app=app, name="jane", code=first)
    confirm(app, "jane", code)
    equal(user(pool, "jane")["UserStatus"], "CONFIRMED")
    equal(attributes(pool, "jane")["email_verified"], "true")
    refused(idp.exceptions.NotAuthorizedException, "User cannot be confirmed. Current status is CONFIRMED",
            confirm, app=app, name="jane", code=code)


@scenario
def an_administrator_confirms_a_user():
    pool, app = make_pool()
    sign_up(app, "jane", "jane@example.com")
    idp.admin_confirm_sign_up(UserPoolId=pool["Id"], Username="jane")
    equal(user(pool, "jane")["UserStatus"], "CONFIRMED")
    equal(attributes(pool, "jane")["email_verified"], "false")


@scenario
def a_forgotten_password_is_replaced():
    pool, app = make_pool()
    sign_up(app, "jane", "jane@example.com")
    confirm(app, "jane", newest_code(pool, "jane@example.com"))
    forget = dict(ClientId=app["ClientId"], Username="jane")
    equal(idp.forgot_password(**forget)["CodeDeliveryDetails"], by_mail("j***@e***"))
    code = newest_code(pool, "jane@example.com")
    call = idp.confirm_forgot_password
    refused(idp.exceptions.CodeMismatchException, WRONG, call, ConfirmationCode=other(code), Password=NEXT, **forget)
    refused(idp.exceptions.InvalidPasswordException, "Password does not conform to policy: Password not long enough",
            call, ConfirmationCode=code, Password="Sh0rt!", **forget)
    call(ConfirmationCode=code, Password=NEXT, **forget)
    refused(idp.exceptions.ExpiredCodeException, EXPIRED, call, ConfirmationCode=code, Password=PASSWORD, **forget)

    # The new password is the current one.
    token = tokens(pool, app, "jane")["AccessToken"]
    refused(idp.exceptions.NotAuthorizedException, "Incorrect username or password.", idp.change_password,
            AccessToken=token, PreviousPassword=PASSWORD, ProposedPassword="An0ther-one!")
    idp.change_password(AccessToken=token, PreviousPassword=NEXT, ProposedPassword="An0ther-one!")

    idp.admin_reset_user_password(UserPoolId=pool["Id"], Username="jane")
    equal(user(pool, "jane")["UserStatus"], "RESET_REQUIRED")
    call(ConfirmationCode=newest_code(pool, "jane@example.com"), Password=PASSWORD, **forget)
    equal(user(pool, "jane")["UserStatus"], "CONFIRMED")


@scenario
def a_changed_address_waits_for_its_verification():
    pool, app = make_pool(
        AliasAttributes=["email"], UserAttributeUpdateSettings={"AttributesRequireVerificationBeforeUpdate": ["email"]})
    sign_up(app, "jane", "old@example.com")
    confirm(app, "jane", newest_code(pool, "old@example.com"))
    access = tokens(pool, app, "jane")["AccessToken"]
    answer = idp.update_user_attributes(AccessToken=access, UserAttributes=pairs(email="new@example.com", nickname="J"))
    equal(answer["CodeDeliveryDetailsList"], [by_mail("n***@e***")])

    def in_force(email):
        includes(listed(idp.get_user(AccessToken=access)["UserAttributes"]), {"email": email, "email_verified": "true", "nickname": "J"})
        includes(claims(tokens(pool, app, email)["IdToken"]), {"email": email, "email_verified": True, "cognito:username": "jane"})
        equal(user(pool, email)["Username"], "jane")

    in_force("old@example.com")
    nobody(pool, "new@example.com")
    # Asked for again, the code goes to the address that waits.
    details = idp.get_user_attribute_verification_code(AccessToken=access, AttributeName="email")["CodeDeliveryDetails"]
    equal(details, by_mail("n***@e***"))
    equal(len(messages(pool, "old@example.com")), 1)
    code = newest_code(pool, "new@example.com")
    verify = dict(AccessToken=access, AttributeName="email")
    refused(idp.exceptions.CodeMismatchException, WRONG, idp.verify_user_attribute, Code=other(code), **verify)
    in_force("old@example.com")
    idp.verify_user_attribute(Code=code, **verify)
    in_force("new@example.com")
    nobody(pool, "old@example.com")


@scenario
def an_alias_moves():
    pool, app = make_pool(AliasAttributes=["email"])
    for name in ("first", "second"):
        sign_up(app, name, "shared@example.com")
    codes = {one["username"]: one["code"] for one in messages(pool, "shared@example.com")}
    confirm(app, "first", codes["first"])
    equal(user(pool, "shared@example.com")["Username"], "first")
    refused(idp.exceptions.AliasExistsException, "An account with the email already exists.",
            confirm, app=app, name="second", code=codes["second"])
    equal(user(pool, "second")["UserStatus"], "UNCONFIRMED")
    confirm(app, "second", codes["second"], ForceAliasCreation=True)
    equal(user(pool, "shared@example.com")["Username"], "second")
    includes(attributes(pool, "second"), {"email": "shared@example.com", "email_verified": "true"})
    includes(attributes(pool, "first"), {"email": "shared@example.com", "email_verified": "false"})
    equal(user(pool, "first")["UserStatus"], "CONFIRMED")


@scenario
def groups_have_a_precedence():
    pool, app = make_pool()
    idp.admin_create_user(UserPoolId=pool["Id"], Username="jane", MessageAction="SUPPRESS")
    idp.admin_set_user_password(UserPoolId=pool["Id"], Username="jane", Password=PASSWORD, Permanent=True)
    role = "arn:aws:iam::000000000000:role/%s"
    for name, members in {
        "staff": {"Precedence": 10, "RoleArn": role % "staff"}, "boss": {"Precedence": 1, "RoleArn": role % "boss"}, "all": {},
    }.items():
        made = idp.create_group(UserPoolId=pool["Id"], GroupName=name, Description="d", **members)["Group"]
        includes(made, dict(members, GroupName=name, UserPoolId=pool["Id"], Description="d"))
        idp.admin_add_user_to_group(UserPoolId=pool["Id"], Username="jane", GroupName=name)
    refused(idp.exceptions.GroupExistsException, "A group with the name already exists.",
            idp.create_group, UserPoolId=pool["Id"], GroupName="boss")

    def of_jane():
        return [one["GroupName"] for one in idp.admin_list_groups_for_user(UserPoolId=pool["Id"], Username="jane")["Groups"]]

    equal(of_jane(), ["boss", "staff", "all"])
    issued = tokens(pool, app, "jane")
    equal(claims(issued["AccessToken"])["cognito:groups"], ["boss", "staff", "all"])
    includes(claims(issued["IdToken"]), {
        "cognito:groups": ["boss", "staff", "all"], "cognito:roles": [role % "boss", role % "staff"], "cognito:preferred_role": role % "boss",
    })
    # Another precedence, in the next token.
    idp.update_group(UserPoolId=pool["Id"], GroupName="staff", Precedence=0)
    includes(claims(tokens(pool, app, "jane")["IdToken"]), {"cognito:preferred_role": role % "staff", "cognito:groups": ["staff", "boss", "all"]})
    # Between groups of the same precedence none is preferred, unless their role is the same.
    idp.update_group(UserPoolId=pool["Id"], GroupName="boss", Precedence=0)
    assert "cognito:preferred_role" not in claims(tokens(pool, app, "jane")["IdToken"])

    equal([one["Username"] for one in idp.list_users_in_group(UserPoolId=pool["Id"], GroupName="staff")["Users"]], ["jane"])
    idp.admin_remove_user_from_group(UserPoolId=pool["Id"], Username="jane", GroupName="boss")
    idp.delete_group(UserPoolId=pool["Id"], GroupName="all")
    equal(of_jane(), ["staff"])
    equal(sorted(one["GroupName"] for one in idp.list_groups(UserPoolId=pool["Id"])["Groups"]), ["boss", "staff"])
    refused(idp.exceptions.ResourceNotFoundException, "Group not found.", idp.get_group, UserPoolId=pool["Id"], GroupName="all")


@scenario
def a_token_ends_with_its_user():
    pool, app = make_pool()
    sign_up(app, "jane", "jane@example.com")
    confirm(app, "jane", newest_code(pool, "jane@example.com"))
    access = tokens(pool, app, "jane")["AccessToken"]
    idp.global_sign_out(AccessToken=access)
    refused(idp.exceptions.NotAuthorizedException, "Access Token has been revoked", idp.get_user, AccessToken=access)
    access = tokens(pool, app, "jane")["AccessToken"]
    idp.delete_user(AccessToken=access)
    nobody(pool, "jane")


if __name__ == "__main__":
    main()
