"""Django is set up where its cases are what is run: its settings are those of the whole process."""

from __future__ import annotations

import os

if os.environ.get("DJANGO_SETTINGS_MODULE") == "tests.django.settings":
    import django

    django.setup()
