"""`SIDELAMB` in a project's settings: what `sidelamb.configure` takes.

    SIDELAMB = {"redis": "rediss://…", "namespace": "{shop}", "queues": ["default", "mail"]}

Where SIDELAMB_REDIS_URL or SIDELAMB_NAMESPACE is set in the environment, as it is in a worker, that counts.
"""

from __future__ import annotations

import os
from typing import Any

from django.conf import settings
from django.core.exceptions import ImproperlyConfigured

from sidelamb.errors import ConfigError, UnknownQueue
from sidelamb.settings import configure
from sidelamb.wording import did_you_mean

__all__ = ["apply", "environ", "given"]

_BY_ENVIRON = {"redis": "SIDELAMB_REDIS_URL", "namespace": "SIDELAMB_NAMESPACE"}
_KNOWN = ("redis", "namespace", "queues", "middleware", "max_payload", "timestamps", "wait_replicas")


def given() -> dict[str, Any]:
    """Return what the settings say.

    Raises:
        ImproperlyConfigured: there is no such setting.
    """
    said = dict(getattr(settings, "SIDELAMB", {}))
    for name in said:
        if name not in _KNOWN:
            raise ImproperlyConfigured(
                f"settings.SIDELAMB has no {name!r}, only {', '.join(_KNOWN)}.{did_you_mean(name, _KNOWN)}"
            )
    return said


def apply() -> None:
    """Configure this process.

    Raises:
        ImproperlyConfigured: a setting is none, or cannot be.
    """
    said = {name: value for name, value in given().items() if not os.environ.get(_BY_ENVIRON.get(name, ""))}
    if not said:
        return
    try:
        configure(**said)
    except (ConfigError, UnknownQueue) as error:
        raise ImproperlyConfigured(f"settings.SIDELAMB: {error}") from error


def environ() -> dict[str, str]:
    """Return the environment of a command that is to do what this project says."""
    said = given()
    found = {var: said[name] for name, var in _BY_ENVIRON.items() if isinstance(said.get(name), str)}
    return {**found, "SIDELAMB_JOBS": "sidelamb.django.worker"}
