#!/usr/bin/env python3
"""Runs the tests of src/aws against moto, an AWS that other people wrote.

Why: the sandbox is Curfew's own idea of AWS. moto is somebody else's, so what only the two of us believe shows here.

    .ci/moto.py target/debug/deps/witness-… [names of tests]

Needs Python 3.9 or later and .ci/moto-requirements.txt. Starts a moto server on a free port, fills it through boto3 with what
tests/witness expects, runs the tests with CURFEW_MOTO_ENDPOINT, and stops the server. Its exit status is the tests'.
"""

import os
import socket
import subprocess
import sys
import tempfile
import time

import boto3
import botocore.config
import botocore.exceptions

START_WITHIN, STOP_WITHIN, TESTS_WITHIN = 60, 10, 300  # seconds
CROWD = 230  # more people than two pages of any listing hold


def client(service, endpoint):
    config = botocore.config.Config(proxies={}, retries={"max_attempts": 1})
    return boto3.client(
        service, endpoint_url=endpoint, region_name="eu-central-1",
        aws_access_key_id="test", aws_secret_access_key="test", config=config,
    )


def fill(endpoint):
    organizations, sso, store = (client(name, endpoint) for name in ("organizations", "sso-admin", "identitystore"))
    organizations.create_organization(FeatureSet="ALL")
    root = organizations.list_roots()["Roots"][0]["Id"]
    unit = organizations.create_organizational_unit(ParentId=root, Name="prod")["OrganizationalUnit"]["Id"]
    accounts = {}
    for name, env in (("payments-prod", "prod"), ("payments-staging", "staging")):
        made = organizations.create_account(
            AccountName=name, Email=f"{name}@example.com", Tags=[{"Key": "env", "Value": env}],
        )
        accounts[name] = made["CreateAccountStatus"]["AccountId"]
    organizations.move_account(AccountId=accounts["payments-prod"], SourceParentId=root, DestinationParentId=unit)

    instance = sso.list_instances()["Instances"][0]
    arn, directory = instance["InstanceArn"], instance["IdentityStoreId"]
    sets = {}
    for name, duration in (("production-admin", "PT1H"), ("read-only", "PT8H")):
        made = sso.create_permission_set(InstanceArn=arn, Name=name, SessionDuration=duration)
        sets[name] = made["PermissionSet"]["PermissionSetArn"]

    def person(name):
        return store.create_user(
            IdentityStoreId=directory, UserName=f"{name}@example.com", DisplayName=name.title(),
            Name={"GivenName": name, "FamilyName": "Example"},
            Emails=[{"Value": f"{name}@example.com", "Type": "work", "Primary": True}],
        )["UserId"]

    for group, name in (("engineers", "engineer"), ("production-approvers", "approver")):
        made = store.create_group(IdentityStoreId=directory, DisplayName=group)["GroupId"]
        store.create_group_membership(IdentityStoreId=directory, GroupId=made, MemberId={"UserId": person(name)})
    crowd = store.create_group(IdentityStoreId=directory, DisplayName="crowd")["GroupId"]
    for number in range(CROWD):
        one = person(f"crowd-{number}")
        store.create_group_membership(IdentityStoreId=directory, GroupId=crowd, MemberId={"UserId": one})
        sso.create_account_assignment(
            InstanceArn=arn, TargetId=accounts["payments-prod"], TargetType="AWS_ACCOUNT",
            PermissionSetArn=sets["read-only"], PrincipalType="USER", PrincipalId=one,
        )


def wait_until_it_answers(server, endpoint):
    deadline = time.monotonic() + START_WITHIN
    while True:
        try:
            return client("sts", endpoint).get_caller_identity()
        except botocore.exceptions.BotoCoreError as error:
            if server.poll() is not None or time.monotonic() > deadline:
                raise SystemExit(f"moto does not start: {error}") from error
            time.sleep(0.2)


def main(tests):
    if not tests:
        raise SystemExit(__doc__)
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    endpoint = f"http://127.0.0.1:{port}"
    with tempfile.TemporaryFile() as log:
        server = subprocess.Popen(
            [sys.executable, "-m", "moto.server", "-H", "127.0.0.1", "-p", str(port)],
            stdin=subprocess.DEVNULL, stdout=log, stderr=log,
        )
        try:
            wait_until_it_answers(server, endpoint)
            fill(endpoint)
            environment = {**os.environ, "CURFEW_MOTO_ENDPOINT": endpoint}
            status = subprocess.run(tests, env=environment, timeout=TESTS_WITHIN, check=False).returncode
        finally:
            server.terminate()
            try:
                server.wait(STOP_WITHIN)
            except subprocess.TimeoutExpired:
                server.kill()
                server.wait()
    return status


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
