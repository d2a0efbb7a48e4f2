"""A Django app with one table, the outbox: `INSTALLED_APPS = [..., "sidelamb.outbox.django"]`."""
