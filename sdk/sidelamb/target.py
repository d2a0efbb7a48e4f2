"""Which Redis is meant, as a URL or a redis-py client says it: servers, how to speak to them, how to log in.

    redis://user:password@host:6379/0                    one server, or any node of a cluster
    rediss://…                                           the same, by TLS
    unix:///run/redis.sock?db=0
    redis+cluster://host:6379,host:6379                  several nodes of a cluster to ask
    redis+sentinel://host:26379,host:26379/mymaster/0    sentinels, and the name that they give the primary

`rediss+cluster` and `rediss+sentinel` are by TLS. Options stand behind a `?`: docs/redis.md lists them. Instead of
a URL the ARN of a secret may stand that holds it (`sidelamb.secret`).
"""

from __future__ import annotations

import difflib
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any, NamedTuple
from urllib.parse import parse_qsl, unquote, urlencode, urlsplit

import redis

from sidelamb.errors import ConfigError
from sidelamb.late import late_import

if TYPE_CHECKING:
    from collections.abc import Iterable

    import redis.asyncio as aredis

    RedisTarget = str | redis.Redis | redis.RedisCluster | aredis.Redis | aredis.RedisCluster

__all__ = ["Place", "Target", "target_of"]

SENTINEL_PORT = 26379
MOST_REPLICAS = 100

_PASSED_ON = (
    "db",
    "username",
    "password",
    "credential_provider",
    "client_name",
    "socket_timeout",
    "socket_connect_timeout",
    "socket_keepalive",
    "socket_keepalive_options",
    "socket_type",
    "socket_read_size",
)
"""redis-py's connection arguments that are used, and all that begin with `ssl_`."""

_OURS = ("wait_replicas", "iam", "iam_serverless", "iam_region", "sentinel_username", "sentinel_password")
_POINTLESS = (
    "max_connections",
    "timeout",
    "decode_responses",
    "encoding",
    "encoding_errors",
    "health_check_interval",
    "protocol",
    "retry_on_timeout",
    "retry_on_error",
    "virtual_host",
)
"""Options of redis-py and its friends in a URL that others read too; they have no effect here."""


class Place(NamedTuple):
    """Where a server listens: host and port, or the path of a socket and 0."""

    host: str
    port: int

    def __str__(self) -> str:
        return f"{self.host}:{self.port}" if self.port else self.host


@dataclass(frozen=True, slots=True)
class Target:
    """One Redis."""

    places: tuple[Place, ...]
    """Servers; with a `service`, sentinels."""
    kwargs: dict[str, Any] = field(default_factory=dict, repr=False)
    """redis-py's connection arguments, but for the place."""
    secure: bool = False
    """Whether by TLS."""
    service: str = ""
    """The name that sentinels give the primary; empty without sentinels."""
    sentinel_kwargs: dict[str, Any] = field(default_factory=dict, repr=False)
    wait_replicas: int = 0
    """How many replicas must have a new job before it counts as stored."""

    def __str__(self) -> str:
        places = ",".join(map(str, self.places))
        return f"{self.service} (sentinels {places})" if self.service else places

    def with_defaults(self, **kwargs: Any) -> Target:
        """Return this target with connection arguments for what it does not say."""
        return replace(self, kwargs=kwargs | self.kwargs, sentinel_kwargs=kwargs | self.sentinel_kwargs)


def target_of(said: RedisTarget | Target) -> Target:
    """Return what a URL or a client of redis-py means.

    Raises:
        ConfigError: it is neither, or an option cannot be.
    """
    if isinstance(said, Target):
        return said
    if isinstance(said, str):
        return _from_url(_out_of_its_secret(said))
    if hasattr(said, "nodes_manager"):
        return _from_cluster(said)
    if hasattr(said, "connection_pool"):
        return _from_client(said)
    raise ConfigError(
        "redis= takes a URL like redis://host:6379/0 or a redis.Redis or redis.RedisCluster, "
        f"not {type(said).__qualname__}"
    )


# --- URLs ----------------------------------------------------------------------------------------------------


def _out_of_its_secret(said: str) -> str:
    if not said.startswith("arn:"):
        return said
    from sidelamb.secret import url_in  # noqa: PLC0415 - few need it

    return url_in(said)


def _from_url(url: str) -> Target:
    try:
        scheme, kind, hosts, plain, options = _taken_apart(url)
        kwargs: dict[str, Any] = dict(redis.connection.parse_url(plain))  # type: ignore[no-untyped-call]
        places = tuple(_place(host, SENTINEL_PORT if kind == "sentinel" else 6379) for host in hosts)
    except ValueError as error:
        shown = (url.rsplit("@", maxsplit=1)[-1] if "@" in url else url).partition("?")[0]
        _, begins, behind = url.partition("://")
        early = "@" in url and any(mark in behind.rpartition("@")[0] for mark in "/?#")
        # What follows such a mark is a piece of a password that was taken for something else.
        why = "write / ? and # in its name or password as %2F %3F %23" if early else str(error)
        why = why if begins else "it has no ://"  # and any piece of it may be a password
        raise ConfigError(
            f"{shown!r} is not a Redis URL ({why}); write redis://host:6379/0 or rediss://…"
        ) from None
    secure = scheme == "rediss"
    for name in ("connection_class", "host", "port"):
        kwargs.pop(name, None)
    if scheme == "unix":
        places = (Place(str(kwargs.pop("path", "")), 0),)
    _check_options(kwargs)
    kwargs = _passed_on(kwargs)
    service = options.pop("service", "")
    if kind == "cluster" and kwargs.get("db"):
        raise ConfigError("a Redis Cluster has database 0 only; leave the number out of the URL")
    sentinel = _sentinel_kwargs(kwargs, options.get("sentinel_username"), options.get("sentinel_password"))
    provider = _iam(options, kwargs, secure=secure)
    if provider is not None:
        kwargs["credential_provider"] = provider
        for name in ("username", "password"):
            kwargs.pop(name, None)
    return Target(
        places,
        kwargs,
        secure,
        service,
        sentinel if service else {},
        checked_wait_replicas(options.get("wait_replicas", 0), "wait_replicas in the Redis URL"),
    )


def _taken_apart(url: str) -> tuple[str, str, list[str], str, dict[str, str]]:
    """Return scheme, kind, hosts, a URL that redis-py can read, and our own options."""
    parts = urlsplit(url)
    scheme, _, kind = parts.scheme.partition("+")
    if scheme not in {"redis", "rediss", "unix"} or kind not in {"", "cluster", "sentinel"}:
        raise ValueError("its scheme is unknown")
    login, at, hosts = parts.netloc.rpartition("@")
    every = hosts.split(",")
    if len(every) > 1 and not kind:
        raise ValueError("several hosts: write redis+cluster:// or redis+sentinel://")
    query = parse_qsl(parts.query, keep_blank_values=True)
    options = {name: value for name, value in query if name in _OURS}
    theirs = urlencode([(name, value) for name, value in query if name not in _OURS])
    path = parts.path
    if kind == "sentinel":
        service, _, db = path.strip("/").partition("/")
        if not service:
            raise ValueError("it names no primary: redis+sentinel://host:26379/mymaster")
        options["service"], path = unquote(service), f"/{db}" if db else ""
    number = unquote(path).strip("/")
    if scheme != "unix" and number and not (number.isascii() and number.isdigit()):
        raise ValueError(f"its database is {number!r}, which is no number")
    first = every[0].strip()
    plain = f"{scheme}://{login}{at}{first}{path}" + (f"?{theirs}" if theirs else "")
    return scheme, kind, every, plain, options


def _place(text: str, port: int) -> Place:
    parts = urlsplit("//" + text.strip())
    return Place(unquote(parts.hostname or "localhost"), parts.port or port)


def _check_options(kwargs: dict[str, Any]) -> None:
    known = (*_PASSED_ON, *_OURS, *_POINTLESS)
    for name in kwargs:
        if name not in known and not name.startswith("ssl_"):
            near = difflib.get_close_matches(name, known, n=1)
            hint = f"; did you mean {near[0]!r}?" if near else ""
            raise ConfigError(f"the Redis URL has an option {name!r} that is unknown{hint}")


def _sentinel_kwargs(kwargs: dict[str, Any], username: str | None, password: str | None) -> dict[str, Any]:
    """Return how to speak to the sentinels: as to the server, but for the login and the database."""
    shared = {n: v for n, v in kwargs.items() if n.startswith(("socket_", "ssl_"))}
    login = {"username": username, "password": password}
    return shared | {name: value for name, value in login.items() if value}


def _iam(options: dict[str, str], kwargs: dict[str, Any], *, secure: bool) -> Any:
    cache, serverless = options.get("iam"), options.get("iam_serverless")
    if not cache and not serverless:
        return None
    with late_import:
        from sidelamb.iam import ElastiCacheIam  # noqa: PLC0415 - few need it

    if not secure:
        raise ConfigError("a login by IAM needs TLS: write rediss:// in the Redis URL")
    user = kwargs.get("username", "")
    return ElastiCacheIam(
        user, cache or serverless or "", region=options.get("iam_region", ""), serverless=bool(serverless)
    )


def checked_wait_replicas(value: Any, where: str) -> int:
    """Return `value` as a number of replicas.

    Raises:
        ConfigError: it is none.
    """
    text = str(value)
    if isinstance(value, bool) or not (text.isascii() and text.isdigit()) or int(text) > MOST_REPLICAS:
        raise ConfigError(f"{where} is {value!r}; expected how many replicas must have a new job, like 1")
    return int(text)


# --- clients of redis-py -------------------------------------------------------------------------------------


def _from_client(client: Any) -> Target:
    pool = client.connection_pool
    kwargs = pool.connection_kwargs
    secure = _is_secure(pool.connection_class)
    manager = getattr(pool, "sentinel_manager", None)
    if manager is not None:
        if not pool.is_master:
            raise ConfigError("redis= was given a client for replicas; give it sentinel.master_for(…)")
        every = [s.connection_pool.connection_kwargs for s in manager.sentinels]
        return Target(
            _places(((k.get("host"), k.get("port")) for k in every), SENTINEL_PORT),
            _passed_on(kwargs),
            secure,
            pool.service_name,
            _passed_on(every[0]),
        )
    if kwargs.get("path"):
        return Target((Place(kwargs["path"], 0),), _passed_on(kwargs))
    return Target(_places([(kwargs.get("host"), kwargs.get("port"))]), _passed_on(kwargs), secure)


def _from_cluster(client: Any) -> Target:
    manager = client.nodes_manager
    kwargs = dict(getattr(client, "connection_kwargs", None) or manager.connection_kwargs)
    nodes = [*manager.startup_nodes.values(), *manager.nodes_cache.values()]
    classes = [getattr(node, "connection_class", None) for node in nodes]
    classes += [n.redis_connection.connection_pool.connection_class for n in nodes if _has_pool(n)]
    secure = bool(kwargs.get("ssl")) or any(_is_secure(cls) for cls in classes if cls is not None)
    return Target(_places((node.host, node.port) for node in nodes), _passed_on(kwargs), secure)


def _has_pool(node: Any) -> bool:
    return getattr(node, "redis_connection", None) is not None


def _is_secure(cls: type[Any]) -> bool:
    return any(base.__name__ == "SSLConnection" for base in cls.__mro__)


def _places(pairs: Iterable[tuple[Any, Any]], port: int = 6379) -> tuple[Place, ...]:
    return tuple(dict.fromkeys(Place(str(h or "localhost"), int(p or port)) for h, p in pairs))


def _passed_on(kwargs: dict[str, Any]) -> dict[str, Any]:
    return {
        name: value
        for name, value in kwargs.items()
        if value is not None and (name in _PASSED_ON or name.startswith("ssl_"))
    }
