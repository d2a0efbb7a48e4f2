"""The template before two judges who do not know us: cfn-lint, and checkov, which looks for what is insecure.

checkov sees the template as it is written, and the stack of each kind of Redis as SAM and CloudFormation would
make it, with the roles that SAM adds and without any condition left. What it objects to and we keep is in
ACCEPTED, with the reason, and nowhere else.
"""

from __future__ import annotations

import json
import subprocess

import pytest

from sidelamb_local.scaffold import template
from tests.deploy.deployed import sam_installed
from tests.deploy.translated import KINDS, Deployed
from tests.tools import installed

VERSION = "3.3.30"
REGIONS = ["us-east-1", "us-west-2", "eu-west-1", "eu-central-1", "ap-southeast-2", "ap-northeast-1"]

OPTIONS = ["--framework", "cloudformation", "--compact", "--skip-download", "--output", "json"]

ACCEPTED = {
    "CKV_AWS_65": (
        "Container Insights on the cluster: paid by the metric, for one small task. Whether the poller "
        "lives and what it does is in the stack's own metrics."
    ),
    "CKV_AWS_115": (
        "A concurrency limit of the function: a fresh account has none to give, and then nothing deploys. "
        "The poller's InFlight is the limit; WorkerReserved sets one."
    ),
    "CKV_AWS_116": (
        "A dead letter queue: it takes asynchronous events that failed. The functions are invoked "
        "synchronously, and a job that fails is in Redis."
    ),
    "CKV_AWS_117": (
        "Functions in a VPC: those with a Redis on the internet would lose their way to it. With a Redis of "
        "the stack's own, or given subnets, they are in one."
    ),
    "CKV_AWS_158": (
        "Logs encrypted by a key of one's own: they are encrypted by AWS's. A key is 1 USD a month and can "
        "be lost; arguments are not logged."
    ),
    "CKV_AWS_173": (
        "Variables of the functions encrypted by a key of one's own: they are encrypted by AWS's, and hold "
        "no secret unless RedisUrl has a password. RedisSecret, or a Redis of the stack's own, has none."
    ),
}


@pytest.fixture(scope="module")
def found(tmp_path_factory):
    """What it objects to, as (check, resource), by file: one run for all of them, for it takes long to start."""
    folder = tmp_path_factory.mktemp("scanned")
    (folder / "template.yaml").write_text(template())
    stacks = {kind: Deployed(WebPage="full", **parameters).resources for kind, parameters in KINDS.items()}
    for name, resources in (stacks | {"open": opened()}).items():
        stack = {"AWSTemplateFormatVersion": "2010-09-09", "Resources": resources}
        (folder / f"{name}.json").write_text(json.dumps(stack))
    ended = subprocess.run(
        [installed("checkov", f"checkov=={VERSION}") / "checkov", "-d", folder, *OPTIONS],
        env={"PATH": "/usr/bin:/bin", "HOME": str(folder)},
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )
    assert ended.returncode in {0, 1}, ended.stderr
    said = json.loads(ended.stdout)
    assert said["summary"]["parsing_errors"] == 0
    assert said["summary"]["passed"] > 0
    objections = {path.name: set() for path in folder.glob("*.*") if path.is_file()}
    for one in said["results"]["failed_checks"]:
        objections[one["file_path"].lstrip("/")].add((one["check_id"], one["resource"].partition(".")[2]))
    return objections


def opened():
    """A stack with three mistakes."""
    resources = json.loads(json.dumps(Deployed(**KINDS["nodes"]).resources))
    resources["RedisNodes"]["Properties"] |= {"TransitEncryptionEnabled": False, "AtRestEncryptionEnabled": False}
    resources["OnlyOut"]["Properties"]["SecurityGroupIngress"] = [
        {"IpProtocol": "tcp", "FromPort": 22, "ToPort": 22, "CidrIp": "0.0.0.0/0"}
    ]
    return resources


@pytest.mark.timeout(600)
def test_a_policy_scan_objects_to_nothing_but_what_is_accepted_here_with_a_reason(found):
    ours = {file: objections for file, objections in found.items() if file != "open.json"}
    assert len(ours) == len(KINDS) + 1
    every = {(file, *one) for file, objections in ours.items() for one in objections}
    assert [one for one in every if one[1] not in ACCEPTED] == []
    assert {check for _, check, _ in every} == set(ACCEPTED), "a reason for what nobody objects to any more"


@pytest.mark.timeout(600)
def test_the_scan_finds_what_is_open(found):
    mistakes = {("CKV_AWS_29", "RedisNodes"), ("CKV_AWS_30", "RedisNodes"), ("CKV_AWS_24", "OnlyOut")}
    assert mistakes <= found["open.json"]
    assert not mistakes & found["nodes.json"]


@pytest.mark.timeout(300)
def test_cfn_lint_has_nothing_to_say_in_any_of_the_usual_regions(tmp_path):
    (tmp_path / "template.yaml").write_text(template())
    command = [sam_installed().with_name("cfn-lint"), "--regions", *REGIONS, "--", "template.yaml"]
    ended = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, timeout=200, check=False)
    assert (ended.returncode, ended.stdout) == (0, ""), ended.stdout + ended.stderr
