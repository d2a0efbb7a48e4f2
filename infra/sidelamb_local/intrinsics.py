"""CloudFormation's functions, as far as a template can be evaluated without AWS.

`!Ref` and `!Sub` of parameters (their defaults) and pseudo parameters, `!Ref` and `!GetAtt ….Arn` of the
template's own functions, `!If` with the conditions it names, `!Join`, `!FindInMap`. Everything else is
`UNKNOWN`, and so is whatever is built from it: the caller leaves such a value out.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final

import yaml

from sidelamb_local.environment import ACCOUNT, region

if TYPE_CHECKING:
    from collections.abc import Mapping


class Unknown:
    """A value that only AWS knows."""


UNKNOWN: Final = Unknown()
PLACEHOLDER = re.compile(r"\$\{(!?)([^}]+)\}")


class TemplateLoader(yaml.SafeLoader):
    """YAML with CloudFormation's short tags, each turned into its long form."""


def _construct_tag(loader: TemplateLoader, suffix: str, node: yaml.Node) -> dict[str, Any]:
    value: Any
    if isinstance(node, yaml.ScalarNode):
        value = loader.construct_scalar(node)
    elif isinstance(node, yaml.SequenceNode):
        value = loader.construct_sequence(node, deep=True)
    else:
        assert isinstance(node, yaml.MappingNode)  # noqa: S101 - the third kind of node there is
        value = loader.construct_mapping(node, deep=True)
    if suffix == "GetAtt" and isinstance(value, str):
        value = value.split(".", 1)
    return {suffix if suffix in ("Ref", "Condition") else f"Fn::{suffix}": value}


TemplateLoader.add_multi_constructor("!", _construct_tag)


@dataclass(frozen=True)
class Scope:
    """What names mean in one template.

    Attributes:
        references: What `!Ref` gives: parameters by their defaults, functions by their names.
        attributes: What `!GetAtt` gives, as "LogicalId.Attribute".
        conditions: The Conditions section.
        mappings: The Mappings section.
    """

    references: Mapping[str, Any]
    attributes: Mapping[str, Any] = field(default_factory=dict)
    conditions: Mapping[str, Any] = field(default_factory=dict)
    mappings: Mapping[str, Any] = field(default_factory=dict)

    def resolve(self, value: Any) -> Any:
        """The value with its intrinsic functions evaluated; UNKNOWN where that is not possible."""
        if isinstance(value, list):
            items = [self.resolve(item) for item in value]
            return UNKNOWN if UNKNOWN in items else items
        if not isinstance(value, dict):
            return value
        if len(value) == 1:
            [(name, argument)] = value.items()
            if name in ("Ref", "Condition") or str(name).startswith("Fn::"):
                return self._call(name, argument)
        return {key: self.resolve(item) for key, item in value.items()}

    def _call(self, name: str, argument: Any) -> Any:  # noqa: PLR0911 - one line for each function there is
        match name, argument:
            case "Ref", str():
                return self.references.get(argument, UNKNOWN)
            case "Fn::GetAtt", [str() as resource, str() as attribute]:
                return self.attributes.get(f"{resource}.{attribute}", UNKNOWN)
            case "Fn::Sub", str():
                return self._substitute(argument, {})
            case "Fn::Sub", [str() as text, dict() as names]:
                return self._substitute(text, names)
            case "Fn::Join", [str() as glue, parts]:
                items = self.resolve(parts)
                return glue.join(map(text_of, items)) if isinstance(items, list) else UNKNOWN
            case "Fn::If", [str() as condition, then, otherwise]:
                return self._choose(condition, then, otherwise)
            case "Fn::FindInMap", [_, _, _]:
                return self._find(self.resolve(argument))
        return UNKNOWN

    def _substitute(self, text: str, names: Mapping[str, Any]) -> Any:
        parts: list[str] = []
        end = 0
        for match in PLACEHOLDER.finditer(text):
            parts.append(text[end : match.start()])
            end = match.end()
            literal, name = match.groups()
            value = f"${{{name}}}" if literal else self._named(name.strip(), names)
            if value is UNKNOWN:
                return UNKNOWN
            parts.append(text_of(value))
        return "".join([*parts, text[end:]])

    def _named(self, name: str, names: Mapping[str, Any]) -> Any:
        if name in names:
            return self.resolve(names[name])
        return self.attributes.get(name, UNKNOWN) if "." in name else self.references.get(name, UNKNOWN)

    def _choose(self, condition: str, then: Any, otherwise: Any) -> Any:
        holds = self.holds(condition)
        if isinstance(holds, Unknown):
            return UNKNOWN
        return self.resolve(then if holds else otherwise)

    def _find(self, path: Any) -> Any:
        found: Any = self.mappings
        for key in path if isinstance(path, list) else [UNKNOWN]:
            found = found.get(text_of(key), UNKNOWN) if isinstance(found, dict) else UNKNOWN
        return found

    def holds(self, condition: str) -> bool | Unknown:
        """Whether a condition of the template is true here."""
        return self._test(self.conditions.get(condition))

    def _test(self, rule: Any) -> bool | Unknown:
        match rule:
            case {"Condition": str() as name}:
                return self.holds(name)
            case {"Fn::Equals": [left, right]}:
                sides = (self.resolve(left), self.resolve(right))
                return UNKNOWN if UNKNOWN in sides else text_of(sides[0]) == text_of(sides[1])
            case {"Fn::Not": [inner]}:
                holds = self._test(inner)
                return holds if isinstance(holds, Unknown) else not holds
            case {"Fn::And": [*inner]}:
                return self._all([self._test(item) for item in inner], decisive=False)
            case {"Fn::Or": [*inner]}:
                return self._all([self._test(item) for item in inner], decisive=True)
        return UNKNOWN

    def _all(self, results: list[bool | Unknown], *, decisive: bool) -> bool | Unknown:
        if decisive in results:
            return decisive
        return UNKNOWN if UNKNOWN in results else not decisive


def pseudo_parameters() -> dict[str, Any]:
    """`AWS::…` names with the values they have here."""
    return {
        "AWS::AccountId": ACCOUNT,
        "AWS::NoValue": UNKNOWN,
        "AWS::Partition": "aws",
        "AWS::Region": region(),
        "AWS::StackName": "local",
        "AWS::URLSuffix": "amazonaws.com",
    }


def text_of(value: Any) -> str:
    """A scalar as CloudFormation hands it on: true and false in lower case."""
    return str(value).lower() if isinstance(value, bool) else str(value)
