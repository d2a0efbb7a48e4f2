"""Writes what an app declares as periodic, in its modules and its `sidelamb.toml`, into Redis.

The scheduler does it, before it enqueues: for the first time when Redis shows that something is periodic, when the
word stands in the app's file or in the sources of its modules, or when a worker asks for it whose code has
something new; then in the pass of each minute, so that what Redis has lost comes back.
What a deploy declares takes the place of what the one before declared. What is wrong in an app's code
or file is logged, and all else goes on as it was.
"""

from __future__ import annotations

from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING

from sidelamb.errors import ConfigError, RedisError, RedisRefused, SidelambError
from sidelamb.store import MARK_SCORE
from sidelamb_handlers.logger import new_logger

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from sidelamb.link import Link
    from sidelamb.store import Store
    from sidelamb.timetable import Entry, Records

__all__ = ["Declaring", "ask_for_it"]

FILE = "sidelamb.toml"

TRIES = 3
"""Sandboxes that may die of the app's imports; then what is periodic goes on without them for a while."""
TRY_AGAIN_S = 600
"""That while, from the first of them on."""


class Declaring:
    """What one sandbox declares.

    Args:
        environ: SIDELAMB_JOBS names the modules; LAMBDA_TASK_ROOT the folder with the file; SIDELAMB_STACK, or
            else the function's name, stands for all that is declared here.
        link, store: the way to Redis.
    """

    def __init__(self, environ: Mapping[str, str], link: Link, store: Store) -> None:
        self._modules = environ.get("SIDELAMB_JOBS", "").replace(",", " ").split()
        self._root = Path(environ.get("LAMBDA_TASK_ROOT") or ".")
        self._file = self._root / FILE
        self._source = environ.get("SIDELAMB_STACK") or environ.get("AWS_LAMBDA_FUNCTION_NAME") or "app"
        self._link = link
        self._store = store
        self._records: Records | None = None
        self._warned = False
        self.looked = False
        """Whether the app's modules were imported, or that was tried."""

    def wants(self, tick: float | None, *, minute: bool) -> bool:
        """Say whether it is time to write it down.

        Args:
            tick: when the next periodic job is due, epoch s; None if Redis has none.
            minute: whether this is the pass of a minute.
        """
        if tick is None and not self.looked and minute:
            return self._speaks
        if tick is None:
            return minute and self._records is not None and bool(self._records.records)
        return minute or not self.looked or tick <= MARK_SCORE

    @cached_property
    def _speaks(self) -> bool:
        """Whether the app's file, or a source of its modules, has the word. Nothing is imported to see it."""
        return any(map(_speaks_of_it, [self._file, *_sources(self._root, self._modules)]))

    def sync(self, now: float, *, asked: bool = False) -> None:
        """Write it down, if it is not there already.

        Args:
            now: epoch s.
            asked: whether a worker has asked for it.

        Raises:
            RedisError: Redis is away. If it is full, that is logged, and the next minute tries again.
        """
        try:
            self._sync(now, asked=asked)
        except RedisRefused as error:
            _log.error("what is periodic could not be written down: %s", error)

    def _sync(self, now: float, *, asked: bool) -> None:
        from sidelamb.timetable_calls import Synced, TimetableCalls  # noqa: PLC0415 - only where there is something

        if not self.looked and not self._look():
            return
        if asked and not self._modules:
            _log.error(
                "the app has periodic jobs, and SIDELAMB_JOBS is not set for the scheduler; set it there as it is "
                "set for the worker"
            )
        calls = TimetableCalls(self._store.keys)
        if self._records is None:
            self._link.command(*calls.ask_no_more())
            return
        if self._link.run(calls.sync(self._records, now)) is Synced.WRITTEN:
            _log.info("periodic jobs of %s: %s", self._source, ", ".join(self._records.records) or "none")

    def _look(self) -> bool:
        """Import the app's modules and see what they declare; say whether that was tried."""
        key = self._store.keys.periodic_imports
        self._link.command(b"SET", key, 0, b"NX", b"EX", TRY_AGAIN_S)
        if self._link.command(b"INCR", key) > TRIES:
            if not self._warned:
                _log.error(
                    "%d sandboxes of the scheduler have died while they imported SIDELAMB_JOBS (%s), and what is "
                    "periodic stays as it was: give the scheduler more memory or time",
                    TRIES,
                    ", ".join(self._modules),
                )
            self._warned = True
            return False
        self._records = self._read()
        self.looked = True
        self._link.command(b"DEL", key)
        return True

    def _read(self) -> Records | None:
        """Return what is declared now; None if that cannot be said whole."""
        from sidelamb.registry import registry  # noqa: PLC0415 - as above
        from sidelamb.timetable import declared, records_of  # noqa: PLC0415 - as above

        try:
            registry.load(self._modules)
            entries = [*declared.values(), *_of_file(self._file)]
            return records_of(self._source, entries)
        except SidelambError as error:
            _log.error("%s. Until it is right, what is periodic stays as it was", str(error).rstrip("."))
        except Exception:
            _log.exception(
                "the scheduler cannot import SIDELAMB_JOBS (%s), and until it can, what is periodic stays as it "
                "was: give it the variables that the imports need",
                ", ".join(self._modules),
            )
        except SystemExit as error:
            _log.error(
                "the import of SIDELAMB_JOBS ends with SystemExit(%s); what is periodic stays as it was", error
            )
        return None


def ask_for_it(link: Link, store: Store) -> None:
    """Ask the scheduler to look at the app's modules, if what they declare here is not in Redis yet.

    By a worker whose modules declare something, in its first invocation. What goes wrong stops no job.
    """
    from sidelamb.timetable import declared  # noqa: PLC0415 - as above
    from sidelamb.timetable_calls import TimetableCalls  # noqa: PLC0415 - as above

    if not declared:
        return
    try:
        if None in link.command(b"HMGET", store.keys.periodic, *declared):
            link.command(*TimetableCalls(store.keys).ask())
    except RedisError as error:
        _log.warning("whether the scheduler knows of periodic jobs could not be looked at: %s", error)


def _sources(root: Path, modules: Sequence[str]) -> Iterator[Path]:
    """Return the files of modules and packages; what these import from elsewhere is not looked for."""
    for module in modules:
        place = root.joinpath(*module.split("."))
        yield place.with_suffix(".py")
        yield from place.rglob("*.py")


def _speaks_of_it(path: Path) -> bool:
    try:
        return b"periodic" in path.read_bytes()
    except OSError:
        return False


def _of_file(path: Path) -> list[Entry]:
    """Return what a settings file declares; none without one.

    Raises:
        ConfigError: it cannot be read, or declares what cannot be.
    """
    import tomllib  # noqa: PLC0415 - as above

    from sidelamb.timetable_file import check_tables, entry_of  # noqa: PLC0415 - as above

    try:
        tables = tomllib.loads(path.read_text()).get("periodic", {}) if path.exists() else {}
    except (OSError, ValueError) as error:
        raise ConfigError(f"{path} cannot be read: {error}") from None
    return [entry_of(name, table, FILE) for name, table in check_tables(tables, FILE)]


_log = new_logger()
