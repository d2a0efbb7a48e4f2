"""The project of these tests."""

import tempfile

FOLDER = tempfile.mkdtemp()
SECRET_KEY = "for tests only"
USE_TZ = True
INSTALLED_APPS = ["sidelamb.django", "tests.django.shop"]
try:
    import django.tasks  # noqa: F401 - Django 6
except ModuleNotFoundError:
    INSTALLED_APPS.insert(0, "django_tasks")
_TASKS = "django_tasks" if "django_tasks" in INSTALLED_APPS else "django.tasks"
DATABASES = {
    name: {"ENGINE": "django.db.backends.sqlite3", "NAME": f"{FOLDER}/{name}"} for name in ("default", "other")
}
TASKS = {
    "default": {"BACKEND": "sidelamb.django.SidelambBackend", "QUEUES": ["default", "queue_1"]},
    "retrying": {
        "BACKEND": "sidelamb.django.SidelambBackend",
        "QUEUES": [],
        "OPTIONS": {"MAX_ATTEMPTS": 3, "RESULT_TTL": 60},
    },
    "elsewhere": {"BACKEND": f"{_TASKS}.backends.dummy.DummyBackend"},
    "committed": {"BACKEND": "sidelamb.django.SidelambBackend", "OPTIONS": {"ON_COMMIT": "default"}},
}
