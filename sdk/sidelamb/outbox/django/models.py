"""The table, as `sidelamb.outbox.sqlalchemy` has it."""

from __future__ import annotations

from django.db import models

from sidelamb.outbox.row import TABLE

__all__ = ["OutboxJob"]


class OutboxJob(models.Model):  # type: ignore[misc]  # Django has no types
    """A job that waits to be pushed. Code writes it by `job.using(outbox=True)`, and a relay deletes it."""

    id = models.BigAutoField(primary_key=True)
    jid = models.CharField(max_length=255)
    job = models.CharField(max_length=255)
    queue = models.CharField(max_length=255)
    at = models.FloatField(null=True)
    payload = models.TextField()
    created_at = models.DateTimeField(auto_now_add=True)

    class Meta:
        """One name for all."""

        db_table = TABLE

    def __str__(self) -> str:
        return f"{self.job} (jid {self.jid})"
