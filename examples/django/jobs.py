"""Django's jobs: SIDELAMB_JOBS=jobs. The web process imports this module too, to enqueue."""

from __future__ import annotations

import os
import time
from typing import TYPE_CHECKING, Any

import django
from django.apps import apps
from django.db import close_old_connections, transaction

from sidelamb import job, server_middleware

if TYPE_CHECKING:
    from collections.abc import Callable

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "shop.settings")
if not apps.ready:  # in a worker; a web process has done this already
    django.setup()

from shop.models import Order


@server_middleware
def with_connections(_attempt: Any, call: Callable[[], Any]) -> Any:
    """Do around a job what Django does around a request."""
    close_old_connections()
    try:
        return call()
    finally:
        close_old_connections()


@job
def record(number: int, total: int, takes_s: float = 0.0) -> None:
    """Write an order down: a job may run twice."""
    with transaction.atomic():
        Order.objects.update_or_create(number=number, defaults={"total": total})
        time.sleep(takes_s)


def place_order(number: int, total: int) -> None:
    """What a view does: the job is pushed once the transaction is there for it to see."""
    with transaction.atomic():
        Order.objects.create(number=number, total=0)
        record.using(on_commit=True).enqueue(number, total)
