"""Redis in the template: one that is there already, or one of the stack's own, in its sizes and networks."""

from __future__ import annotations

import json
import re

import pytest
import yaml

from sidelamb.keys import Keys
from sidelamb.target import target_of
from sidelamb_local.intrinsics import TemplateLoader
from sidelamb_local.scaffold import template
from tests.deploy.translated import GUID, KINDS, SECRET, STACK, Deployed, translated

MADE = ["nodes", "try-it", "serverless"]
GIVEN = {"SubnetIds": "subnet-1,subnet-2", "VpcId": "vpc-1"}


def variables(stack, name):
    return stack.resources[name]["Properties"]["Environment"]["Variables"]


def container(stack):
    (found,) = stack.resources["PollerTask"]["Properties"]["ContainerDefinitions"]
    return found


def poller_variables(stack):
    return {one["Name"]: one["Value"] for one in container(stack)["Environment"]}


def networks(stack):
    """Subnets and security groups of worker, scheduler and poller."""
    service = stack.resources["PollerService"]["Properties"]["NetworkConfiguration"]["AwsvpcConfiguration"]
    functions = [
        stack.resources[f"{name}Function"]["Properties"].get("VpcConfig") for name in ("Worker", "Scheduler")
    ]
    assert functions[0] == functions[1]
    found = functions[0] and (functions[0]["SubnetIds"], functions[0]["SecurityGroupIds"])
    return found, (service["Subnets"], service["SecurityGroups"])


# --- which one ---


def test_an_existing_one_is_the_default_and_must_be_named():
    (said,) = Deployed().broken_rules
    assert "RedisUrl or by RedisSecret" in said
    assert Deployed(**KINDS["url"], **KINDS["secret"]).broken_rules
    assert [name for name in KINDS if Deployed(**KINDS[name]).broken_rules] == []


def test_an_existing_one_makes_nothing_and_leaves_the_functions_outside_of_any_vpc():
    for kind in ("url", "secret"):
        stack = Deployed(**KINDS[kind])
        assert [name for name in stack.resources if "Redis" in name] == (
            ["RedisAccess"] if kind == "secret" else []
        )
        functions, (subnets, groups) = networks(stack)
        assert functions is None
        assert (subnets, groups) == ([f"{STACK}-SubnetA", f"{STACK}-SubnetB"], [f"{STACK}-OnlyOut"])


def test_a_url_is_everybodys_and_a_secret_is_named_to_the_functions_and_read_for_the_poller():
    url, secret = (Deployed(**KINDS[kind]) for kind in ("url", "secret"))
    for name in ("WorkerFunction", "SchedulerFunction"):
        assert variables(url, name)["SIDELAMB_REDIS_URL"] == KINDS["url"]["RedisUrl"]
        assert variables(secret, name)["SIDELAMB_REDIS_URL"] == SECRET
    assert poller_variables(url)["SIDELAMB_REDIS_URL"] == KINDS["url"]["RedisUrl"]
    assert "Secrets" not in container(url)
    assert "SIDELAMB_REDIS_URL" not in poller_variables(secret)
    assert container(secret)["Secrets"] == [{"Name": "SIDELAMB_REDIS_URL", "ValueFrom": SECRET}]


@pytest.mark.parametrize(
    ("kind", "iam"), [("nodes", "iam=shop-RedisNodes"), ("serverless", f"iam_serverless=c{GUID}")]
)
def test_one_of_the_stacks_own_has_no_password_and_everybody_logs_in_by_iam(kind, iam, monkeypatch):
    monkeypatch.setenv("AWS_REGION", "eu-west-1")
    stack = Deployed(**KINDS[kind])
    url = stack.outputs["RedisAddress"]
    assert url.startswith(f"rediss://u{GUID}@")
    assert url.endswith(f":6379/0?{iam}")
    assert target_of(url.lower()).secure
    assert {variables(stack, f"{name}Function")["SIDELAMB_REDIS_URL"] for name in ("Worker", "Scheduler")} == {url}
    assert poller_variables(stack)["SIDELAMB_REDIS_URL"] == url
    user = stack.resources["RedisUser"]["Properties"]
    assert user["UserId"] == user["UserName"]
    assert user["AuthenticationMode"] == {"Type": "iam"}


# --- what it is ---


def test_two_nodes_are_in_two_zones_and_follow_each_other():
    node = Deployed(**KINDS["nodes"]).resources["RedisNodes"]["Properties"]
    assert (node["NumCacheClusters"], node["AutomaticFailoverEnabled"], node["MultiAZEnabled"]) == (2, True, True)
    assert "NumNodeGroups" not in node  # cluster mode disabled: Sidekiq's own layout


def test_one_node_is_for_trying_and_is_said_to_be_unsafe():
    node = Deployed(**KINDS["try-it"]).resources["RedisNodes"]["Properties"]
    assert (node["NumCacheClusters"], node["AutomaticFailoverEnabled"], node["MultiAZEnabled"]) == (
        1,
        False,
        False,
    )
    assert "loses all jobs" in translated()["Parameters"]["Redis"]["Description"]


@pytest.mark.parametrize("kind", ["nodes", "try-it"])
def test_nodes_are_encrypted_evict_nothing_and_leave_a_snapshot(kind):
    stack = Deployed(RedisNodeType="cache.m7g.large", **KINDS[kind])
    one, node = stack.resources["RedisNodes"], stack.resources["RedisNodes"]["Properties"]
    assert (one["DeletionPolicy"], one["UpdateReplacePolicy"]) == ("Snapshot", "Snapshot")
    assert node["SnapshotRetentionLimit"] >= 1
    assert node["TransitEncryptionEnabled"] is node["AtRestEncryptionEnabled"] is True
    assert node["TransitEncryptionMode"] == "required"
    assert node["CacheNodeType"] == "cache.m7g.large"
    assert node["Engine"] == "valkey"
    group = stack.resources["RedisParameters"]["Properties"]
    assert group["Properties"] == {"maxmemory-policy": "noeviction"}
    assert group["CacheParameterGroupFamily"] == f"valkey{node['EngineVersion'][0]}"


def test_a_serverless_one_puts_all_keys_into_one_slot_has_a_limit_and_leaves_a_snapshot():
    stack = Deployed(RedisMaxGB=7, **KINDS["serverless"])
    names = {variables(stack, f"{name}Function")["SIDELAMB_NAMESPACE"] for name in ("Worker", "Scheduler")}
    names |= {poller_variables(stack)["SIDELAMB_NAMESPACE"], stack.outputs["RedisNamespace"]}
    assert names == {"{jobs}"}
    assert Keys("{jobs}").namespace == "{jobs}"
    cache = stack.resources["RedisServerless"]["Properties"]
    assert cache["CacheUsageLimits"]["DataStorage"] == {"Maximum": 7, "Unit": "GB"}
    assert cache["FinalSnapshotName"]
    assert cache["SnapshotRetentionLimit"] >= 1
    own = Deployed(Namespace="{shop}", **KINDS["serverless"])
    assert variables(own, "WorkerFunction")["SIDELAMB_NAMESPACE"] == own.outputs["RedisNamespace"] == "{shop}"


@pytest.mark.parametrize("kind", MADE)
def test_names_of_elasticache_are_what_it_takes_whatever_the_stack_is_called(kind):
    stack = Deployed(**KINDS[kind])
    names = [
        one["Properties"][key]
        for one in stack.resources.values()
        for key in ("UserId", "UserGroupId", "ServerlessCacheName")
        if key in one["Properties"] and one["Type"].startswith("AWS::ElastiCache")
    ]
    assert len(names) >= 2
    for name in names:
        assert re.fullmatch(r"[a-z](-?[a-z0-9])*", name)
        assert len(name) <= 40


# --- who reaches it ---


@pytest.mark.parametrize("kind", MADE)
def test_in_come_only_the_poller_and_the_functions(kind):
    stack = Deployed(**KINDS[kind])
    (rule,) = stack.resources["RedisSecurityGroup"]["Properties"]["SecurityGroupIngress"]
    assert (rule["SourceSecurityGroupId"], rule["FromPort"], rule["ToPort"]) == (f"{STACK}-OnlyOut", 6379, 6379)
    assert not {"CidrIp", "CidrIpv6"} & set(rule)
    everybody = ([f"{STACK}-SubnetA", f"{STACK}-SubnetB"], [f"{STACK}-OnlyOut"])
    assert networks(stack) == (everybody, everybody)
    cache = stack.resources["RedisServerless" if kind == "serverless" else "RedisNodes"]["Properties"]
    assert cache["SecurityGroupIds"] == [f"{STACK}-RedisSecurityGroup"]


@pytest.mark.parametrize("kind", MADE)
@pytest.mark.parametrize(
    ("groups", "all_groups"),
    [("", [f"{STACK}-OnlyOut"]), ("sg-1,sg-2", ["sg-1", "sg-2", f"{STACK}-OnlyOut"])],
)
def test_in_given_subnets_redis_and_everybody_are_there_with_the_groups_that_are_given_too(
    kind, groups, all_groups
):
    stack = Deployed(**KINDS[kind], **GIVEN, SecurityGroupIds=groups)
    everybody = (["subnet-1", "subnet-2"], all_groups)
    assert networks(stack) == (everybody, everybody)
    assert stack.of_type("AWS::EC2::VPC") == {}
    assert {group["VpcId"] for group in stack.of_type("AWS::EC2::SecurityGroup").values()} == {"vpc-1"}
    place = stack.resources["RedisServerless" if kind == "serverless" else "RedisSubnets"]["Properties"]
    assert place["SubnetIds"] == ["subnet-1", "subnet-2"]


def test_in_given_subnets_with_an_existing_one_only_the_given_groups_are_used():
    stack = Deployed(**KINDS["url"], SubnetIds="subnet-1,subnet-2", SecurityGroupIds="sg-1")
    everybody = (["subnet-1", "subnet-2"], ["sg-1"])
    assert networks(stack) == (everybody, everybody)
    assert stack.of_type("AWS::EC2::SecurityGroup") == {}


@pytest.mark.parametrize("kind", MADE)
def test_the_outputs_say_how_to_connect(kind):
    outputs = Deployed(**KINDS[kind]).outputs
    assert {
        "RedisAddress",
        "RedisAccess",
        "RedisClients",
        "WorkerFunction",
        "SchedulerFunction",
        "Dashboard",
    } <= set(outputs)


# --- a deploy that changes a parameter ---


def test_a_parameter_that_changes_is_a_new_version_behind_the_alias():
    """SAM looks at the code and the text; CloudFormation makes a version anew when its description changes."""
    source = yaml.load(template(), TemplateLoader)
    secret = {name for name, one in source["Parameters"].items() if one.get("NoEcho")}
    # Lists do not fit into a description, and of a reservation a version knows nothing.
    passed_over = secret | {"SubnetIds", "SecurityGroupIds", "WorkerReserved", "LogDays", "RedisMaxGB"}
    for name in ("WorkerFunction", "SchedulerFunction"):
        function = source["Resources"][name]["Properties"]
        assert function["AutoPublishAliasAllProperties"] is True
        used = parameters_in([function, source["Globals"]["Function"]], set(source["Parameters"]))
        said = parameters_in(function["VersionDescription"], set(source["Parameters"]))
        assert used - passed_over <= said
    longest = Deployed(
        **KINDS["secret"]
        | {
            "JobModules": "m" * 120,
            "Namespace": "{some-namespace}",
            "WorkerTimeout": 900,
            "NotifyModules": "n" * 60,
        }
    )
    versions = longest.of_type("AWS::Lambda::Version").values()
    assert sum("shop/keys-GhIjKl" in version["Description"] for version in versions) == 1, "the worker's alone"
    for version in versions:
        assert "shop/redis-AbCdEf" in version["Description"]
        assert len(version["Description"]) <= 256


def parameters_in(value, known):
    text = json.dumps(value)
    return {
        name for name in re.findall(r'"Ref": "(\w+)"', text) + re.findall(r"\$\{(\w+)\}", text) if name in known
    }


def test_versions_stay_whether_the_code_or_a_parameter_has_changed():
    for one in translated()["Resources"].values():
        if one["Type"] == "AWS::Lambda::Version":
            assert (one["DeletionPolicy"], one["UpdateReplacePolicy"]) == ("Retain", "Retain")


def test_concurrency_is_reserved_only_if_it_is_asked_for():
    def reserved(**more):
        stack = Deployed(**KINDS["url"], **more)
        return stack.resources["WorkerFunction"]["Properties"].get("ReservedConcurrentExecutions")

    assert reserved() is None
    assert reserved(WorkerReserved=20) == 20
