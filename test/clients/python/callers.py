"""Who may call a server that verifies signatures."""

import datetime
import importlib
import os
import types

from harness import client, equal, main, refused, scenario, unique

KEY, SECRET = os.environ["AWS_ACCESS_KEY_ID"], os.environ["AWS_SECRET_ACCESS_KEY"]
MISMATCH = ("The request signature we calculated does not match the signature you provided. Check your AWS Secret Access Key and "
            "signing method. Consult the service documentation for details.")


@scenario
def the_right_key_may():
    idp = client()
    pool = idp.create_user_pool(PoolName=unique("pool"))["UserPool"]
    equal(idp.describe_user_pool(UserPoolId=pool["Id"])["UserPool"], pool)


@scenario
def another_secret_may_not():
    idp = client(aws_access_key_id=KEY, aws_secret_access_key="x" + SECRET[1:])
    refused("InvalidSignatureException", MISMATCH, idp.list_user_pools, MaxResults=1)


@scenario
def an_unknown_key_may_not():
    idp = client(aws_access_key_id="AKIA0000000000000000", aws_secret_access_key=SECRET)
    refused("UnrecognizedClientException", "The security token included in the request is invalid.", idp.list_user_pools, MaxResults=1)


@scenario
def the_region_of_the_signature_decides_where_a_pool_is_made():
    here, there = client(), client(region="eu-west-1")
    pool = there.create_user_pool(PoolName=unique("pool"))["UserPool"]
    equal(pool["Id"].partition("_")[0], "eu-west-1")
    assert pool["Arn"].startswith("arn:aws:cognito-idp:eu-west-1:"), pool["Arn"]
    assert pool["Id"] in [one["Id"] for one in there.list_user_pools(MaxResults=60)["UserPools"]]
    assert pool["Id"] not in [one["Id"] for one in here.list_user_pools(MaxResults=60)["UserPools"]]


class Clock(datetime.datetime):
    """The clock of a machine whose time is wrong."""

    ahead = datetime.timedelta(0)

    @classmethod
    def utcnow(cls):
        return datetime.datetime.utcnow() + cls.ahead

    @classmethod
    def now(cls, zone=None):
        return datetime.datetime.now(zone) + cls.ahead


def signers():
    """The modules of botocore that sign: its own, and the one that takes over where the AWS common runtime is installed."""
    yield importlib.import_module("botocore.auth")
    try:
        yield importlib.import_module("botocore.crt.auth")
    except ImportError:
        pass  # the common runtime is not there, so nothing takes over


def with_clock(ahead, call):
    """Runs the call with botocore's signers on another clock, which older and newer releases read in different ways."""
    kept = []
    Clock.ahead = ahead
    for module in signers():
        if hasattr(module, "get_current_datetime"):
            name = "get_current_datetime"
            right = getattr(module, name)

            def wrong(*arguments, right=right, **named):
                return right(*arguments, **named) + ahead
        else:
            name, right = "datetime", module.datetime
            wrong = types.SimpleNamespace(datetime=Clock, timedelta=datetime.timedelta, timezone=datetime.timezone)
        kept.append((module, name, right))
        setattr(module, name, wrong)
    try:
        return call()
    finally:
        for module, name, right in kept:
            setattr(module, name, right)


@scenario
def a_clock_that_is_wrong_by_more_than_five_minutes_may_not():
    idp = client()
    for minutes, text in ((-6, "Signature expired: "), (6, "Signature not yet current: ")):
        try:
            answer = with_clock(datetime.timedelta(minutes=minutes), lambda: idp.list_user_pools(MaxResults=1))
        except idp.exceptions.ClientError as error:
            equal(error.response["Error"]["Code"], "InvalidSignatureException")
            assert error.response["Error"]["Message"].startswith(text), error
        else:
            raise AssertionError("accepted %d minutes: %r" % (minutes, answer))
    for minutes in (-4, 4):
        with_clock(datetime.timedelta(minutes=minutes), lambda: idp.list_user_pools(MaxResults=1))


if __name__ == "__main__":
    main()
