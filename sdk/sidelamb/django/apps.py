"""The app: configures the process, and puts what every job needs around it."""

from __future__ import annotations

from django.apps import AppConfig

from sidelamb.django import conf
from sidelamb.django.connections import with_own_connections
from sidelamb.server import server_middleware


class SidelambConfig(AppConfig):  # type: ignore[misc]  # Django has no types
    """Imports no job: web processes import what they use, and a worker all."""

    name = "sidelamb.django"
    label = "sidelamb"
    verbose_name = "Sidelamb"

    def ready(self) -> None:
        """Set up."""
        conf.apply()
        server_middleware(with_own_connections)
