"""The template as CloudFormation gets it: translated by AWS's own SAM translator, and worked out for parameters.

The translator is the one of SAM's command line. What CloudFormation does then is done here, as far as the template
needs it: conditions are decided, references become the names and ARNs that they would be.
"""

from __future__ import annotations

import functools
import json
import subprocess
from typing import TYPE_CHECKING, Any

from sidelamb_local.intrinsics import PLACEHOLDER
from sidelamb_local.scaffold import template
from tests.deploy.deployed import sam_installed

if TYPE_CHECKING:
    from collections.abc import Iterable

ACCOUNT, REGION, STACK = "123456789012", "eu-west-1", "shop"
GUID = "51af3dc0-da77-11e4-872e-1234567db123"
SECRET = f"arn:aws:secretsmanager:{REGION}:{ACCOUNT}:secret:shop/redis-AbCdEf"
KEYS = f"arn:aws:secretsmanager:{REGION}:{ACCOUNT}:secret:shop/keys-GhIjKl"
KINDS: dict[str, dict[str, Any]] = {
    "url": {"RedisUrl": "rediss://app:hunter2@cache.example:6379/0"},
    "secret": {"RedisSecret": SECRET, "KeysSecret": KEYS},
    "nodes": {"Redis": "nodes"},
    "try-it": {"Redis": "try-it"},
    "serverless": {"Redis": "serverless"},
}
"""Parameters for each kind of Redis."""

_TRANSLATE = """
import json, sys
from samtranslator.translator.transform import transform
from samtranslator.yaml_helper import yaml_parse

class Managed:
    def load(self):
        names = ("AWSLambdaBasicExecutionRole", "AWSLambdaVPCAccessExecutionRole")
        return {name: f"arn:aws:iam::aws:policy/service-role/{name}" for name in names}

parsed = yaml_parse(sys.stdin.read())
for one in parsed["Resources"].values():
    for place in ("CodeUri", "ContentUri"):
        if place in one.get("Properties", {}):
            one["Properties"][place] = "s3://bucket/code"
json.dump(transform(parsed, {}, Managed()), sys.stdout)
"""


@functools.cache
def translated(text: str = "") -> dict[str, Any]:
    """Return the template, or another text, after SAM's transform."""
    python = sam_installed().with_name("python")
    ended = subprocess.run(
        [python, "-c", _TRANSLATE],
        input=text or template(),
        env={"AWS_DEFAULT_REGION": REGION},
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert ended.returncode == 0, ended.stderr
    found: dict[str, Any] = json.loads(ended.stdout)
    return found


class Deployed:
    """A stack of given parameters: what is in it, with every value that the template says."""

    def __init__(self, text: str = "", **parameters: Any) -> None:
        source = translated(text)
        self._source = source
        self._values = {
            name: _value(one["Type"], str(parameters.pop(name, one["Default"])))
            for name, one in source["Parameters"].items()
        }
        assert not parameters, f"{parameters} are no parameters of the template"
        self._values |= {
            "AWS::StackName": STACK,
            "AWS::StackId": f"arn:aws:cloudformation:{REGION}:{ACCOUNT}:stack/{STACK}/{GUID}",
            "AWS::Region": REGION,
            "AWS::AccountId": ACCOUNT,
            "AWS::Partition": "aws",
            "AWS::URLSuffix": "amazonaws.com",
        }
        there = {n: one for n, one in source["Resources"].items() if self.holds(one.get("Condition"))}
        self._there = there
        self.resources: dict[str, dict[str, Any]] = {
            name: one | {"Properties": self.resolved(one.get("Properties", {}))} for name, one in there.items()
        }
        self.outputs: dict[str, Any] = {
            name: self.resolved(one["Value"])
            for name, one in source["Outputs"].items()
            if self.holds(one.get("Condition"))
        }
        self.broken_rules = [
            assertion["AssertDescription"]
            for rule in source["Rules"].values()
            if self._test(rule["RuleCondition"])
            for assertion in rule["Assertions"]
            if not self._test(assertion["Assert"])
        ]

    def of_type(self, kind: str) -> dict[str, dict[str, Any]]:
        """Return the properties of all resources of a type, by their names in the template."""
        return {name: one["Properties"] for name, one in self.resources.items() if one["Type"] == kind}

    def ref(self, name: str) -> Any:
        """Return what a reference becomes."""
        if name in self._values:
            return self._values[name]
        assert name in self._there, f"{name} is not in a stack with these parameters"
        one = self._there[name]
        said = one.get("Properties", {})
        own = next((said[key] for key in _NAMES if key in said), f"{STACK}-{name}")
        physical = self.resolved(own)
        if one["Type"] == "AWS::Lambda::Alias":
            return (
                f"{_arn('lambda', 'function:')}{self.resolved(said['FunctionName'])}:{self.resolved(said['Name'])}"
            )
        shape = _REFERENCES.get(one["Type"])
        return shape.format(physical) if shape else physical

    def attribute(self, name: str, attribute: str) -> Any:
        """Return what an attribute becomes."""
        physical = self.ref(name)
        kind = self._there[name]["Type"]
        if attribute in {"Arn", "ARN"}:
            return _ARNS[kind].format(physical)
        return f"{name}.{attribute}".lower()

    def holds(self, condition: str | None) -> bool:
        """Return whether a condition of the template holds; none always does."""
        return condition is None or self._test(self._source["Conditions"][condition])

    def _test(self, rule: Any) -> bool:
        match rule:
            case {"Condition": str() as name}:
                return self.holds(name)
            case {"Fn::Equals": [left, right]}:
                return str(self.resolved(left)) == str(self.resolved(right))
            case {"Fn::Not": [inner]}:
                return not self._test(inner)
            case {"Fn::And": [*every]}:
                return all(self._test(one) for one in every)
            case {"Fn::Or": [*every]}:
                return any(self._test(one) for one in every)
        raise AssertionError(rule)

    def resolved(self, value: Any) -> Any:  # noqa: PLR0911 - one line for each function there is
        """Return a part of the template with its functions worked out."""
        match value:
            case {"Ref": str() as name}:
                return NOTHING if name == "AWS::NoValue" else self.ref(name)
            case {"Fn::GetAtt": [str() as name, str() as attribute]}:
                return self.attribute(name, attribute)
            case {"Fn::Sub": [str() as text, dict() as names]}:
                return self._substituted(text, names)
            case {"Fn::Sub": str() as text}:
                return self._substituted(text, {})
            case {"Fn::If": [str() as condition, yes, no]}:
                return self.resolved(yes if self.holds(condition) else no)
            case {"Fn::Join": [str() as glue, parts]}:
                return glue.join(map(str, self.resolved(parts)))
            case {"Fn::Split": [str() as glue, text]}:
                return self.resolved(text).split(glue)
            case {"Fn::Select": [index, parts]}:
                return self.resolved(parts)[int(index)]
            case {"Fn::GetAZs": _}:
                return [f"{REGION}a", f"{REGION}b", f"{REGION}c"]
            case dict():
                assert not any(key.startswith("Fn::") for key in value), value
                return {key: one for key, part in value.items() if (one := self.resolved(part)) is not NOTHING}
            case list():
                return [one for part in value if (one := self.resolved(part)) is not NOTHING]
        return value

    def _substituted(self, text: str, names: dict[str, Any]) -> str:
        def one(found: Any) -> str:
            literal, name = found.groups()
            if literal:
                return f"${{{name}}}"
            if name in names:
                return str(self.resolved(names[name]))
            resource, dot, attribute = name.partition(".")
            return str(self.attribute(resource, attribute) if dot else self.ref(name))

        return PLACEHOLDER.sub(one, text)


def roles(stack: Deployed) -> dict[str, list[dict[str, Any]]]:
    """Return each role's own statements, those of the stack's managed policies among them."""
    found: dict[str, list[dict[str, Any]]] = {}
    for name, said in stack.of_type("AWS::IAM::Role").items():
        found[name] = [s for policy in said.get("Policies", []) for s in statements(policy["PolicyDocument"])]
    for said in stack.of_type("AWS::IAM::ManagedPolicy").values():
        for name in list(found):
            if stack.ref(name) in said.get("Roles", []):
                found[name] += statements(said["PolicyDocument"])
    return found


def statements(document: dict[str, Any]) -> Iterable[dict[str, Any]]:
    """Return a policy's statements."""
    said = document["Statement"]
    return said if isinstance(said, list) else [said]


def _value(kind: str, text: str) -> Any:
    """Return a parameter as a reference to it gives it."""
    if kind == "CommaDelimitedList":
        return [one.strip() for one in text.split(",")]
    return int(text) if kind == "Number" else text


NOTHING = object()
_NAMES = (
    "FunctionName",
    "LogGroupName",
    "AlarmName",
    "DashboardName",
    "ClusterName",
    "ServiceName",
    "LayerName",
    "ServerlessCacheName",
    "UserId",
    "UserGroupId",
)


def _arn(service: str, rest: str) -> str:
    return f"arn:aws:{service}:{REGION}:{ACCOUNT}:{rest}"


_REFERENCES = {
    "AWS::IAM::ManagedPolicy": f"arn:aws:iam::{ACCOUNT}:policy/{{}}",
    "AWS::Lambda::LayerVersion": _arn("lambda", "layer:{}:1"),
}
_ARNS = {
    "AWS::IAM::Role": f"arn:aws:iam::{ACCOUNT}:role/{{}}",
    "AWS::Logs::LogGroup": _arn("logs", "log-group:{}:*"),
    "AWS::CloudWatch::Alarm": _arn("cloudwatch", "alarm:{}"),
    "AWS::Lambda::Function": _arn("lambda", "function:{}"),
}
