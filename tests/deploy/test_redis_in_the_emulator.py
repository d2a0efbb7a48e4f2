"""Redis and its network made in the emulator, and what CloudFormation says to a stack without any Redis.

Only these parts of the template: the emulator knows no serverless cache and no alarms that reckon. In conditions
it knows no Join either, and takes a list for its text.
"""

from __future__ import annotations

import json
import re

import pytest
from botocore.exceptions import ClientError

from tests.deploy import island
from tests.deploy.emulator import emulator
from tests.deploy.translated import translated

pytestmark = [
    pytest.mark.timeout(300),
    pytest.mark.skipif(not island.possible(), reason="a network of one's own needs root"),
]
LEFT_OUT = {"AWS::ElastiCache::ServerlessCache"}


@pytest.fixture(scope="module")
def aws(tmp_path_factory):
    with emulator(tmp_path_factory.mktemp("redis")) as made:
        yield made


def parts():
    """The template's Redis and network, and all its parameters, rules and conditions."""
    source = translated()
    kept = {
        name: one
        for name, one in source["Resources"].items()
        if one["Type"].startswith(("AWS::ElastiCache::", "AWS::EC2::")) and one["Type"] not in LEFT_OUT
    }
    sections = ("AWSTemplateFormatVersion", "Parameters", "Rules", "Conditions")
    text = json.dumps({name: source[name] for name in sections} | {"Resources": kept})
    joined = '{"Fn::Join": ["", {"Ref": "SubnetIds"}]}'
    assert joined in text
    return re.sub(r'\{"Fn::Join": \["", (\{"Ref": "\w+"\})\]\}', r"\1", text)


def made(aws, name, **parameters):
    given = [{"ParameterKey": key, "ParameterValue": value} for key, value in parameters.items()]
    cloudformation = aws.client("cloudformation")
    cloudformation.create_stack(StackName=name, TemplateBody=parts(), Parameters=given)
    cloudformation.get_waiter("stack_create_complete").wait(
        StackName=name, WaiterConfig={"Delay": 1, "MaxAttempts": 60}
    )
    listed = cloudformation.list_stack_resources(StackName=name)["StackResourceSummaries"]
    return {one["LogicalResourceId"]: one["PhysicalResourceId"] for one in listed}


def test_two_nodes_come_up_encrypted_with_their_user_and_in_their_own_network(aws):
    there = made(aws, "Shop", Redis="nodes")
    cache = aws.client("elasticache")
    (group,) = cache.describe_replication_groups(ReplicationGroupId=there["RedisNodes"])["ReplicationGroups"]
    assert len(group["MemberClusters"]) == 2
    assert (group["AutomaticFailover"], group["MultiAZ"]) == ("enabled", "enabled")
    assert group["TransitEncryptionEnabled"] is group["AtRestEncryptionEnabled"] is True
    assert group["UserGroupIds"] == [there["RedisUsers"]]
    (user,) = cache.describe_users(UserId=there["RedisUser"])["Users"]
    assert user["UserId"] == user["UserName"]  # that it logs in by IAM the emulator does not keep
    described = cache.describe_cache_parameters(CacheParameterGroupName=there["RedisParameters"])["Parameters"]
    values = {one["ParameterName"]: one.get("ParameterValue") for one in described}
    assert values["maxmemory-policy"] == "noeviction"
    (inside,) = aws.client("ec2").describe_security_groups(GroupIds=[there["RedisSecurityGroup"]])[
        "SecurityGroups"
    ]
    (rule,) = inside["IpPermissions"]
    assert [pair["GroupId"] for pair in rule["UserIdGroupPairs"]] == [there["OnlyOut"]]
    assert rule["IpRanges"] == []


def test_one_node_to_try_comes_up_beside_it(aws):
    there = made(aws, "try", Redis="try-it")
    (group,) = aws.client("elasticache").describe_replication_groups(ReplicationGroupId=there["RedisNodes"])[
        "ReplicationGroups"
    ]
    assert len(group["MemberClusters"]) == 1
    assert group["AutomaticFailover"] == "disabled"


def test_an_existing_redis_makes_none(aws):
    assert not [name for name in made(aws, "url", RedisUrl="rediss://cache.example:6379/0") if "Redis" in name]


def test_a_stack_without_any_redis_is_refused_with_a_sentence(aws):
    with pytest.raises(
        ClientError, match="An existing Redis is named by RedisUrl or by RedisSecret, one of the two"
    ):
        made(aws, "none")
