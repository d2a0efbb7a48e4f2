"""The outbox in a database of Django's: the model of the app `sidelamb.outbox.django`."""

from __future__ import annotations

from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from asgiref.sync import sync_to_async
from django.apps import apps
from django.db import DEFAULT_DB_ALIAS, connections, transaction

from sidelamb.errors import ConfigError
from sidelamb.outbox.row import packed, values

if TYPE_CHECKING:
    from collections.abc import Iterator

    from sidelamb.packing import Packed
    from sidelamb.pusher import Pusher

__all__ = ["DjangosRows", "InDjangosOutbox"]

_APP = "sidelamb.outbox.django"


class InDjangosOutbox:
    """The transaction of this thread on a database.

    Args:
        using: the database's alias, True for the default one.
    """

    def __init__(self, using: str | bool) -> None:  # noqa: FBT001 - as it is written by the user
        self._using = DEFAULT_DB_ALIAS if using is True else using

    def hold(self, _client: Pusher, jobs: list[Packed]) -> None:
        """Write rows."""
        model = _model()
        model.objects.using(self._using).bulk_create([model(**values(job)) for job in jobs])

    async def ahold(self, client: Pusher, jobs: list[Packed]) -> None:
        """`hold` on the thread that has async code's transactions."""
        await sync_to_async(self.hold)(client, jobs)


class DjangosRows:
    """The rows of a database; `using` as above."""

    def __init__(self, using: str | bool) -> None:  # noqa: FBT001 - the same
        self._using = DEFAULT_DB_ALIAS if using is True else using

    @contextmanager
    def taken(self, most: int) -> Iterator[list[Packed]]:
        """Give the jobs of the oldest rows that nobody has; see `Rows`."""
        every = _model().objects.using(self._using)
        passes_over = connections[self._using].features.has_select_for_update_skip_locked
        with transaction.atomic(self._using):
            rows = list(every.order_by("id").select_for_update(skip_locked=passes_over).values()[:most])
            gone, _ = every.filter(id__in=[row["id"] for row in rows]).delete() if rows else (0, {})
            if gone != len(rows):
                transaction.set_rollback(rollback=True, using=self._using)  # another relay has them
                rows = []
            yield [packed(row) for row in rows]


def _model() -> Any:
    try:
        return apps.get_model("sidelamb_outbox", "OutboxJob")
    except LookupError:
        raise ConfigError(f"add {_APP!r} to INSTALLED_APPS, and run manage.py migrate") from None
