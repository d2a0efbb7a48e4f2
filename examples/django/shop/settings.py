"""What matters here are CONN_HEALTH_CHECKS and the pool; the rest is the least that Django needs."""

from __future__ import annotations

import os
from urllib.parse import unquote, urlsplit

_url = urlsplit(os.environ["DATABASE_URL"])

SECRET_KEY = os.environ.get("SECRET_KEY", "for this example only")
INSTALLED_APPS = ["shop"]
DEFAULT_AUTO_FIELD = "django.db.models.BigAutoField"
USE_TZ = True

DATABASES = {
    "default": {
        "ENGINE": "django.db.backends.postgresql",
        "NAME": _url.path.lstrip("/"),
        "USER": _url.username or "",
        "PASSWORD": unquote(_url.password or ""),
        "HOST": _url.hostname or os.environ.get("DATABASE_SOCKETS", ""),
        "PORT": str(_url.port or ""),
        # Jobs of one invocation run on threads that end with it. A connection kept by a thread would end with it
        # too, so each job gives its own back, to a pool that lives as long as the sandbox (Django 5.1 or newer,
        # psycopg[pool]). A connection that died while the sandbox was frozen is noticed when it is taken out.
        "CONN_MAX_AGE": 0,
        "CONN_HEALTH_CHECKS": True,
        "OPTIONS": {
            "pool": {"min_size": 0, "max_size": int(os.environ.get("DATABASE_POOL", "1")), "timeout": 10},
            "connect_timeout": 5,
        },
    }
}
