"""The web page in the template: nothing of it unless it is asked for, and then behind IAM."""

from __future__ import annotations

import pytest

from tests.deploy.translated import KINDS, REGION, STACK, Deployed, roles

OF_THE_PAGE = {"WebFunction", "WebFunctionUrl", "WebFunctionRole", "WebLogs", "WebAccess"}
MODES = ["read-only", "full"]


@pytest.mark.parametrize("kind", KINDS)
def test_there_is_nothing_of_it_unless_it_is_asked_for(kind):
    off = Deployed(**KINDS[kind])
    assert [name for name in off.resources if "Web" in name] == []
    assert [name for name in off.outputs if "Web" in name] == []
    on = Deployed(WebPage="full", **KINDS[kind])
    assert set(on.resources) - set(off.resources) == OF_THE_PAGE
    assert set(on.outputs) - set(off.outputs) == {"WebUrl", "WebAccess"}


@pytest.mark.parametrize("mode", MODES)
def test_its_url_opens_by_iam_and_by_nothing_else(mode):
    stack = Deployed(WebPage=mode, **KINDS["url"])
    assert stack.resources["WebFunctionUrl"]["Properties"] == {
        "AuthType": "AWS_IAM",
        "TargetFunctionArn": f"{STACK}-web",
    }
    permissions = stack.of_type("AWS::Lambda::Permission").values()
    assert [one for one in permissions if "FunctionUrlAuthType" in one or "web" in str(one["FunctionName"])] == []
    assert stack.outputs["WebUrl"] == "webfunctionurl.functionurl"


@pytest.mark.parametrize("kind", KINDS)
def test_it_reaches_the_redis_of_the_other_functions_in_their_network(kind):
    stack = Deployed(WebPage="full", **KINDS[kind])
    page, scheduler = (stack.resources[f"{name}Function"]["Properties"] for name in ("Web", "Scheduler"))
    assert page.get("VpcConfig") == scheduler.get("VpcConfig")
    theirs, its = (one["Environment"]["Variables"] for one in (scheduler, page))
    of_the_app = {"SIDELAMB_JOBS", "SIDELAMB_NOTIFY"}
    assert its == {name: value for name, value in theirs.items() if name not in of_the_app} | {
        "SIDELAMB_WEB": "full"
    }
    assert roles(stack)["WebFunctionRole"] == roles(stack)["SchedulerFunctionRole"]


def test_its_code_is_the_pollers_bundle_and_no_other_function_has_it():
    stack = Deployed(WebPage="full", **KINDS["url"])
    layers = {
        name: said["Layers"] for name, said in stack.of_type("AWS::Lambda::Function").items() if "Layers" in said
    }
    bundle = f"arn:aws:lambda:{REGION}:123456789012:layer:{STACK}-poller:1"
    assert layers == {"WebFunction": [bundle]}
    said = stack.resources["WebFunction"]["Properties"]
    assert (said["Code"], said["Handler"]) == (
        {"ZipFile": "from sidelamb_handlers.web.function import handler\n"},
        "index.handler",
    )
    assert said["Architectures"] == ["arm64"]


def test_the_policy_for_people_is_of_this_function_by_its_url_and_on_no_role():
    stack = Deployed(WebPage="read-only", **KINDS["nodes"])
    policy = stack.resources["WebAccess"]["Properties"]
    assert "Roles" not in policy
    arn = f"arn:aws:lambda:{REGION}:123456789012:function:{STACK}-web"
    by_url, invoke = policy["PolicyDocument"]["Statement"]
    assert (by_url["Action"], by_url["Resource"]) == ("lambda:InvokeFunctionUrl", arn)
    assert by_url["Condition"] == {"StringEquals": {"lambda:FunctionUrlAuthType": "AWS_IAM"}}
    assert (invoke["Action"], invoke["Resource"]) == ("lambda:InvokeFunction", arn)
    assert invoke["Condition"] == {"Bool": {"lambda:InvokedViaFunctionUrl": "true"}}
