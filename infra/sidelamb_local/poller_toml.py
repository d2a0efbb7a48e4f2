"""A poller's settings as the text of a `sidelamb.toml`, for the poller of this machine."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from sidelamb_handlers.config import CapsuleConfig, Config

__all__ = ["quoted", "to_toml"]


def to_toml(config: Config) -> str:
    """The settings as a `sidelamb.toml`."""
    lines = [
        f"namespace = {quoted(config.namespace)}",
        f"scheduler = {quoted(config.scheduler)}",
        f"stop_timeout = {config.stop_timeout}",
    ]
    caps = {queue: cap for capsule in config.capsules for queue, cap in capsule.caps.items()}
    for queue, cap in caps.items():
        lines += [f"[queues.{quoted(queue)}]", f"cap = {cap}"]
    for capsule in config.capsules:
        lines += [f"[capsules.{quoted(capsule.name)}]", *_capsule_lines(capsule)]
    return "\n".join(lines) + "\n"


def _capsule_lines(capsule: CapsuleConfig) -> list[str]:
    if capsule.weights:
        pairs = zip(capsule.queues, capsule.weights, strict=True)
        queues = "{ " + ", ".join(f"{quoted(queue)} = {weight}" for queue, weight in pairs) + " }"
    else:
        queues = "[" + ", ".join(map(quoted, capsule.queues)) + "]"
    return [
        f"function = {quoted(capsule.function)}",
        f"queues = {queues}",
        f"in_flight = {capsule.in_flight}",
        f"jobs = {capsule.jobs}",
        f"threads = {capsule.threads}",
        f"timeout = {capsule.timeout}",
        f"detached = {str(capsule.detached).lower()}",
    ]


def quoted(text: str) -> str:
    """Return a text as TOML has it, in its quotes."""
    return json.dumps(text, ensure_ascii=False)
