"""The functions of a SAM template, as the local Lambda service needs them.

Reads every `AWS::Serverless::Function` that runs Python from a folder, if its condition holds: Globals merged in,
intrinsic functions evaluated as far as that is possible without AWS (`intrinsics`), what is not possible left out.
It does not validate the template as SAM would (`sam validate --lint` does); it refuses, in one line, what would
make a function unrunnable here.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import yaml

from sidelamb_local.environment import function_arn
from sidelamb_local.errors import TemplateError
from sidelamb_local.intrinsics import UNKNOWN, Scope, TemplateLoader, pseudo_parameters, text_of
from sidelamb_local.poller_task import task_environment

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

__all__ = ["FunctionSpec", "Template", "TemplateError", "load_template"]

SERVERLESS_FUNCTION = "AWS::Serverless::Function"
# Lambda's own bounds and defaults.
TIMEOUT_S = (1, 900)
MEMORY_MB = (128, 10_240)
DEFAULT_TIMEOUT_S = 3
DEFAULT_MEMORY_MB = 128
NAME = re.compile(r"[A-Za-z0-9_-]{1,64}\Z")
RATE = re.compile(r"rate\(\s*(\d+)\s+(minute|hour|day)s?\s*\)")
UNIT_S = {"minute": 60, "hour": 3600, "day": 86_400}


@dataclass(frozen=True)
class FunctionSpec:
    """One function.

    Attributes:
        name: FunctionName if it is a plain string, else the logical id. Callers may use either.
        logical_id: Its key under Resources.
        handler: "module.function".
        code_dir: The folder that holds the module: working directory and head of `sys.path`.
        timeout_s: 1 to 900.
        memory_mb: 128 to 10,240.
        environment: Variables of its own.
        concurrency: ReservedConcurrentExecutions, or None.
        schedule_s: The period of its `rate(…)` schedule, or None.
        snap_start: Its sandboxes begin as copies of a snapshot; here, their hooks for that are called.
    """

    name: str
    logical_id: str
    handler: str
    code_dir: Path
    timeout_s: float = DEFAULT_TIMEOUT_S
    memory_mb: int = DEFAULT_MEMORY_MB
    environment: dict[str, str] = field(default_factory=dict)
    concurrency: int | None = None
    schedule_s: float | None = None
    snap_start: bool = False


@dataclass(frozen=True)
class Template:
    """What was read.

    Attributes:
        path: From where.
        functions: By name.
        deployed: The names that functions have on AWS, each with its name here.
        poller: The environment of the poller's task, as far as it can be told without AWS; empty if there is none.
    """

    path: Path
    functions: dict[str, FunctionSpec]
    deployed: dict[str, str] = field(default_factory=dict)
    poller: dict[str, str] = field(default_factory=dict)


def load_template(path: Path, given: Mapping[str, str] | None = None) -> Template:
    """Read the functions of a SAM template.

    Args:
        path: Where it is.
        given: Parameters that have another value than their default; `AWS::StackName` too.

    Raises:
        TemplateError: It is not there, is not YAML, or has no function that can be run here.
    """
    document = _document(path)
    resources = document.get("Resources")
    if not isinstance(resources, dict) or not resources:
        raise TemplateError(f"{path} has no Resources; add an {SERVERLESS_FUNCTION} to it.")
    globals_ = _mapping(_mapping(document.get("Globals")).get("Function"))
    properties = {
        logical_id: _merged(globals_, _unpacked(resource))
        for logical_id, resource in resources.items()
        if isinstance(resource, dict) and resource.get("Type") == SERVERLESS_FUNCTION
    }
    scope = _scope(document, properties, given or {})
    ours = {
        key: value
        for key, value in properties.items()
        if _is_python(scope, value) and _is_there(scope, resources[key]) and "InlineCode" not in value
    }
    if not ours:
        raise TemplateError(f"{path} has no Lambda functions in Python; add an {SERVERLESS_FUNCTION} to it.")
    specs = [_spec(path, key, value, scope) for key, value in ours.items()]
    named = {spec.name: scope.resolve(ours[spec.logical_id].get("FunctionName")) for spec in specs}
    deployed = {there if isinstance(there, str) else here: here for here, there in named.items()}
    poller = task_environment(resources, scope, {spec.logical_id: spec.name for spec in specs})
    return Template(path, {spec.name: spec for spec in specs}, deployed, poller)


def _document(path: Path) -> dict[str, Any]:
    try:
        document = yaml.load(path.read_bytes(), TemplateLoader)  # noqa: S506 - a SafeLoader
    except OSError as error:
        reason = error.strerror or "it cannot be read"
        raise TemplateError(f"{path}: {reason}; name your SAM template with --template.") from error
    except yaml.MarkedYAMLError as error:
        line = error.problem_mark.line + 1 if error.problem_mark else 1
        raise TemplateError(f"{path}, line {line} is not YAML: {error.problem}; correct that line.") from error
    except yaml.YAMLError as error:
        reason = str(error).splitlines()[0]
        raise TemplateError(f"{path} is not YAML: {reason}; save it as UTF-8 text.") from error
    if not isinstance(document, dict):
        raise TemplateError(f"{path} is not a template: it has no Resources section; write one.")
    return document


def _scope(document: dict[str, Any], functions: dict[str, dict[str, Any]], given: Mapping[str, str]) -> Scope:
    defaults = {
        name: parameter["Default"]
        for name, parameter in _mapping(document.get("Parameters")).items()
        if isinstance(parameter, dict) and "Default" in parameter
    }
    names = {key: _name(key, properties) for key, properties in functions.items()}
    return Scope(
        references=pseudo_parameters() | defaults | dict(given) | names,
        attributes={f"{key}.Arn": function_arn(name) for key, name in names.items()},
        conditions=_mapping(document.get("Conditions")),
        mappings=_mapping(document.get("Mappings")),
    )


def _spec(path: Path, logical_id: str, properties: dict[str, Any], scope: Scope) -> FunctionSpec:
    where = f"{path}: {logical_id}"
    concurrency = scope.resolve(properties.get("ReservedConcurrentExecutions"))
    return FunctionSpec(
        name=_checked_name(where, _name(logical_id, properties)),
        logical_id=logical_id,
        handler=_handler(where, scope.resolve(properties.get("Handler"))),
        code_dir=_code_dir(where, path.parent, scope.resolve(properties.get("CodeUri"))),
        timeout_s=_bounded(
            where, "Timeout", scope.resolve(properties.get("Timeout", DEFAULT_TIMEOUT_S)), TIMEOUT_S
        ),
        memory_mb=_bounded(
            where, "MemorySize", scope.resolve(properties.get("MemorySize", DEFAULT_MEMORY_MB)), MEMORY_MB
        ),
        environment=_environment(where, _mapping(properties.get("Environment")).get("Variables"), scope),
        concurrency=_whole(concurrency),
        schedule_s=_schedule(_mapping(properties.get("Events")), scope),
        snap_start=scope.resolve(_mapping(properties.get("SnapStart")).get("ApplyOn")) == "PublishedVersions",
    )


def _merged(globals_: dict[str, Any], own: dict[str, Any]) -> dict[str, Any]:
    """SAM's rule: maps are merged, everything else is replaced."""
    both = {
        key: _merged(value, own[key])
        for key, value in globals_.items()
        if isinstance(value, dict) and isinstance(own.get(key), dict)
    }
    return globals_ | own | both


def _unpacked(resource: dict[str, Any]) -> dict[str, Any]:
    """Return a function's properties; those of an image as of a folder, if they say which handler it runs.

    Here it runs from its Docker context, on this Python and what is installed for it.
    """
    properties, metadata = _mapping(resource.get("Properties")), _mapping(resource.get("Metadata"))
    match _mapping(properties.get("ImageConfig")).get("Command"):
        case [str() as handler, *_]:
            folder = {"Handler": handler, "CodeUri": metadata.get("DockerContext")}
            return properties | folder | {"PackageType": "Zip"}
    return properties


def _is_python(scope: Scope, properties: dict[str, Any]) -> bool:
    runtime = scope.resolve(properties.get("Runtime", "python"))
    return properties.get("PackageType") != "Image" and (runtime is UNKNOWN or str(runtime).startswith("python"))


def _is_there(scope: Scope, resource: dict[str, Any]) -> bool:
    """Whether a stack has it: its condition holds, or nobody here can tell."""
    return "Condition" not in resource or scope.holds(resource["Condition"]) is not False


def _name(logical_id: str, properties: dict[str, Any]) -> str:
    name = properties.get("FunctionName")
    return name if isinstance(name, str) else logical_id


def _checked_name(where: str, name: str) -> str:
    if not NAME.match(name):
        raise TemplateError(f"{where}: FunctionName is {name}; write at most 64 letters, digits, hyphens and _.")
    return name


def _handler(where: str, handler: Any) -> str:
    if not isinstance(handler, str):
        raise TemplateError(f'{where} has no Handler; write one as "module.function".')
    if "." not in handler:
        raise TemplateError(f'{where}: Handler is {handler}; write it as "module.function".')
    return handler


def _code_dir(where: str, base: Path, uri: Any) -> Path:
    if not isinstance(uri, str) or uri.startswith("s3://"):
        raise TemplateError(f"{where} has no local CodeUri; name the folder that holds its code.")
    code_dir = (base / uri).resolve()
    if not code_dir.is_dir():
        raise TemplateError(f"{where}: CodeUri {uri} is not a folder ({code_dir}); create it or correct CodeUri.")
    return code_dir


def _bounded(where: str, name: str, value: Any, bounds: tuple[int, int]) -> int:
    number, (low, high) = _whole(value), bounds
    if number is None or not low <= number <= high:
        said = "something only AWS knows" if value is UNKNOWN else value
        raise TemplateError(f"{where}: {name} is {said}; write a whole number from {low} to {high}.")
    return number


def _whole(value: Any) -> int | None:
    if isinstance(value, bool) or not isinstance(value, int | str):
        return None
    try:
        return int(value)
    except ValueError:
        return None


def _environment(where: str, variables: Any, scope: Scope) -> dict[str, str]:
    if not isinstance(variables, dict | None):
        raise TemplateError(f"{where}: Variables of Environment is {variables}; write NAME: value for each.")
    resolved = {name: scope.resolve(value) for name, value in _mapping(variables).items()}
    return {name: text_of(value) for name, value in resolved.items() if isinstance(value, str | int | float)}


def _schedule(events: dict[str, Any], scope: Scope) -> float | None:
    periods = [_period(event, scope) for event in events.values() if isinstance(event, dict)]
    return min((period for period in periods if period), default=None)


def _period(event: dict[str, Any], scope: Scope) -> float | None:
    properties = _mapping(event.get("Properties"))
    if properties.get("Enabled") is False or properties.get("State") == "DISABLED":
        return None
    key = {"Schedule": "Schedule", "ScheduleV2": "ScheduleExpression"}.get(str(event.get("Type")))
    match = RATE.fullmatch(text_of(scope.resolve(properties.get(key)))) if key else None
    return float(int(match[1]) * UNIT_S[match[2]]) if match else None


def _mapping(value: Any) -> dict[str, Any]:
    return value if isinstance(value, dict) else {}
