"""What the scripts of this folder share: a client for the server under test, and scenarios that report themselves.

A scenario is a function marked @scenario. It passes when it returns. The test in Go reads the reports from standard output.
"""

import base64
import datetime
import hashlib
import hmac
import json
import os
import sys
import traceback
import urllib.parse
import urllib.request
import uuid

import boto3
import botocore.config
import botocore.exceptions

SCENARIOS = []


def scenario(function):
    SCENARIOS.append(function)
    return function


def client(region=None, retries=0, endpoint=None, **credentials):
    """A client of the server. Retries are off, so that a refusal is seen as it is."""
    session = boto3.session.Session(region_name=region or os.environ["AWS_REGION"], **credentials)
    config = botocore.config.Config(retries={"max_attempts": retries}, max_pool_connections=32)
    return session.client("cognito-idp", endpoint_url=endpoint or os.environ["AWS_ENDPOINT_URL"], config=config)


def equal(got, wanted):
    assert got == wanted, "got    %r\nwanted %r" % (got, wanted)


def includes(got, wanted):
    """Every member that is wanted is there with that value; others may be."""
    for name, value in wanted.items():
        assert name in got, "%s is missing in %r" % (name, got)
        if isinstance(value, dict) and isinstance(got[name], dict):
            includes(got[name], value)
        else:
            assert got[name] == value, "%s:\ngot    %r\nwanted %r" % (name, got[name], value)


def refused(kind, message, call, **members):
    """The call raises exactly this exception with exactly this text. The kind is a class of client.exceptions, or a code as text."""
    try:
        answer = call(**members)
    except botocore.exceptions.ClientError as error:
        if isinstance(kind, str):
            equal(error.response["Error"]["Code"], kind)
        else:
            assert type(error) is kind, "got    %r\nwanted %r" % (error, kind)
        equal(error.response["Error"]["Message"], message)
        return error
    raise AssertionError("it was accepted and answered %r" % answer)


def unique(prefix="u"):
    return "%s-%s" % (prefix, uuid.uuid4().hex[:12])


def listed(attributes):
    """Attributes as a dictionary, for those that are lists of name and value."""
    return {one["Name"]: one["Value"] for one in attributes}


def pairs(**values):
    """The other way. Two underscores stand for a colon."""
    return [{"Name": name.replace("__", ":"), "Value": value} for name, value in values.items()]


def console(path, data=None, **query):
    """What the console of the server answers, as a test without a page reads it."""
    url = "%s/_poolhouse/%s?%s" % (os.environ["AWS_ENDPOINT_URL"], path, urllib.parse.urlencode(query))
    body = None if data is None else json.dumps(data).encode()
    request = urllib.request.Request(url, body, {"accept": "application/json", "content-type": "application/json"})
    with urllib.request.urlopen(request) as answer:
        return json.load(answer)


def messages(pool, to):
    """The messages of a pool to an address, the newest first."""
    return console("inbox", pool=pool["Id"], to=to)["messages"]


def newest_code(pool, to):
    """The code in the newest message to an address, whose text has it too."""
    newest = messages(pool, to)[0]
    assert newest["code"] in newest["body"], newest
    return newest["code"]


def other(code):
    """A code that is wrong."""
    return "%06d" % ((int(code) + 1) % 1000000)


def tokens(pool, app, name):
    """The tokens of a user, without a sign-in."""
    return console("tokens", {"pool": pool["Id"], "client": app["ClientId"], "username": name})["AuthenticationResult"]


def app_code(secret):
    """The code that an authenticator app shows. No code works twice, so the next one is waited for, by moving the clock on."""
    now = datetime.datetime.fromisoformat(console("clock", {"advance": "30s"})["now"].replace("Z", "+00:00"))
    step = int(now.timestamp() // 30).to_bytes(8, "big")
    mac = hmac.new(base64.b32decode(secret + "=" * (-len(secret) % 8)), step, hashlib.sha1).digest()
    at = mac[-1] & 15
    return "%06d" % ((int.from_bytes(mac[at:at + 4], "big") & 0x7FFFFFFF) % 1000000)


def secret_hash(app, name):
    """What a client with a secret adds to a request about a user."""
    mac = hmac.new(app["ClientSecret"].encode(), (name + app["ClientId"]).encode(), hashlib.sha256)
    return base64.b64encode(mac.digest()).decode()


def claims(token):
    """What a token says. Whether its signature is right is for others to test."""
    text = token.split(".")[1]
    return json.loads(base64.urlsafe_b64decode(text + "=" * (-len(text) % 4)))


def main():
    print(json.dumps({"scenarios": [function.__name__ for function in SCENARIOS]}), flush=True)
    failed = False
    for function in SCENARIOS:
        error = ""
        try:
            function()
        except BaseException:  # a scenario that ends the process is a failed one too
            error, failed = traceback.format_exc(), True
        print(json.dumps({"name": function.__name__, "error": error}), flush=True)
    sys.exit(1 if failed else 0)
