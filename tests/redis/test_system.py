"""The whole system on a cluster, and through an outage of its Redis."""

from __future__ import annotations

import subprocess
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
import redis

from sidelamb import Client
from sidelamb.errors import RedisError
from sidelamb_local.poller_child import environment_of
from sidelamb_local.poller_toml import to_toml
from sidelamb_local.stack import POLLER, Stack
from tests.redis.servers import Cluster, Server, Watched, until
from tests.system.ledger import overlapping, read

if TYPE_CHECKING:
    from collections.abc import Iterator

APP = Path(__file__).parent.parent / "system" / "app"


class Lines(list[tuple[str, str]]):
    """What poller and functions said."""

    def troubles(self, of: str | None = None) -> list[str]:
        """Warnings and errors."""
        signs = (" WARNING ", " ERROR ", '"WARNING"', '"ERROR"', "Traceback", "Task timed out")
        return [line for who, line in self if (of is None or who == of) and any(s in line for s in signs)]


@pytest.fixture
def lines() -> Lines:
    return Lines()


class TestOnACluster:
    @pytest.fixture
    def stack(self, three_nodes: Cluster, tmp_path: Path, lines: Lines) -> Iterator[Stack]:
        """Its Redis is named by the node that has the keys, for the stack's own look at the list of processes."""
        stack = Stack(
            APP,
            redis_url=three_nodes.owner("{app}").url,
            namespace="{app}",
            concurrency=2,
            env={"LEDGER": str(tmp_path / "ledger")},
            on_line=lambda who, line: lines.append((who, line)),
            data_dir=tmp_path / "data",
        )
        with stack:
            yield stack

    def test_every_kind_of_job_runs_once(
        self, stack: Stack, three_nodes: Cluster, tmp_path: Path, lines: Lines
    ) -> None:
        client = Client(three_nodes.url, namespace="{app}")
        jids = [client.enqueue(name, 1, 0.01) for name in ("pause", "apause") for _ in range(10)]
        jids += [client.enqueue("quick", n) for n in range(50)]
        jids += [client.enqueue_in(0.5, "quick", 1)]
        until(lambda: len(read(tmp_path / "ledger")) == len(jids))
        with redis.RedisCluster.from_url(three_nodes.url) as db:
            until(lambda: int(db.get("{app}:stat:processed") or 0) == len(jids))
            until(lambda: not db.exists("{app}:sidelamb:leases"))
        runs = read(tmp_path / "ledger")
        assert set(runs) == set(jids)
        assert all(len(each) == 1 and each[0].end for each in runs.values())
        assert lines.troubles() == []


class TestAnOutage:
    @pytest.fixture
    def server(self, tmp_path: Path) -> Iterator[Server]:
        with Server(tmp_path / "redis", appendonly="yes", appendfsync="always") as server:
            yield server

    @pytest.fixture
    def stack(self, server: Server, tmp_path: Path, lines: Lines) -> Iterator[Stack]:
        stack = Stack(
            APP,
            redis_url=server.url,
            concurrency=2,
            env={"LEDGER": str(tmp_path / "ledger")},
            on_line=lambda who, line: lines.append((who, line)),
            data_dir=tmp_path / "data",
        )
        with stack:
            yield stack

    def test_is_one_warning_loses_nothing_and_jobs_flow_soon_after_it(
        self, stack: Stack, server: Server, tmp_path: Path, lines: Lines
    ) -> None:
        client = Client(server.url)
        ledger = tmp_path / "ledger"
        jids = [client.enqueue("pause", n, 0.05) for n in range(200)]
        until(lambda: len(read(ledger)) > 20)
        server.kill()
        until(lambda: lines.troubles(POLLER))
        time.sleep(8)  # the outage itself, longer than any reply is waited for
        server.start()
        until(lambda: server.client().ping())
        back_at = time.time()
        jids.append(client.enqueue("quick", 1))
        until(lambda: set(read(ledger)) >= set(jids))
        with server.client() as db:
            until(lambda: not db.exists("queue:default", "sidelamb:leases", "retry", "schedule"), 60)
            assert not db.zcard("dead")
        first = min(run.start for runs in read(ledger).values() for run in runs if run.start > back_at)
        print(f"the first job ran {first - back_at:.2f} s after Redis was back", *lines.troubles(), sep="\n")
        assert first - back_at < 5
        (gone, back) = lines.troubles(POLLER)
        assert "trying again until it works" in gone
        assert "works again, after" in back


class TestAFailover:
    @pytest.fixture
    def watched(self, tmp_path: Path) -> Iterator[Watched]:
        with Watched(tmp_path / "redis") as watched:
            yield watched

    @pytest.fixture
    def stack(self, watched: Watched, tmp_path: Path, lines: Lines) -> Iterator[Stack]:
        """All parts know the sentinel only; the poller is a process of the test's own."""
        given = {"SIDELAMB_REDIS_URL": watched.url, "LEDGER": str(tmp_path / "ledger")}
        stack = Stack(
            APP,
            redis_url=watched.url,
            concurrency=2,
            env=given,
            on_line=lambda who, line: lines.append((who, line)),
            data_dir=tmp_path / "data",
            poller=False,
        )
        with stack, (tmp_path / "poller").open("wb") as log:
            file = tmp_path / "data" / "poller.toml"
            file.write_text(to_toml(stack.project.config))
            argv = [sys.executable, "-P", "-m", "sidelamb_handlers.poller", "--config", str(file)]
            environment = environment_of(stack.endpoint_url, given)
            with subprocess.Popen(argv, env=environment, cwd=tmp_path, stdout=log, stderr=log) as poller:
                yield stack
                poller.terminate()

    def test_with_wait_loses_no_acknowledged_job(
        self, stack: Stack, watched: Watched, tmp_path: Path, lines: Lines
    ) -> None:
        client = Client(f"{watched.url}?wait_replicas=1")
        ledger = tmp_path / "ledger"
        stored = [client.enqueue("pause", n, 0.05) for n in range(100)]
        until(lambda: len(read(ledger)) > 10)
        watched.primary.kill()
        until(lambda: watched.replica.client().info("replication")["role"] == "master")
        back_at = time.time()
        until(lambda: any(run.start > back_at for runs in read(ledger).values() for run in runs))
        watched.primary.start_as_replica_of(watched.replica)

        def acknowledged() -> str:
            try:
                return client.enqueue("quick", 1)
            except RedisError:
                return ""

        stored.append(until(acknowledged))
        until(lambda: set(read(ledger)) >= set(stored), 60)
        with watched.replica.client() as db:
            until(lambda: not db.exists("queue:default", "sidelamb:leases", "retry", "schedule"), 60)
        assert overlapping(read(ledger)) == []
        said = [line for line in (tmp_path / "poller").read_text().splitlines() if " WARNING " in line]
        assert len(said) == 2
        assert "trying again until it works" in said[0]
        assert "works again, after" in said[1]
        assert lines.troubles() == []
