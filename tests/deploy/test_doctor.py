"""`sidelamb doctor`: each thing that would hurt is said, with what to do, and nothing else is."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
import time

import pytest

from sidelamb_handlers.config import CapsuleConfig, Config
from sidelamb_local.doctor import about_connections, examine
from sidelamb_local.finding import Sign
from sidelamb_local.redis_facts import RedisFacts, judge_redis
from sidelamb_local.redis_server import RedisServer
from sidelamb_local.scaffold import files

GOOD = {
    "redis_version": "7.0.15",
    "maxmemory_policy": "noeviction",
    "role": "master",
    "connected_slaves": "1",
    "used_memory": "100",
    "maxmemory": "1000",
    "connected_clients": "5",
    "maxclients": "100",
}


@pytest.fixture
def app(tmp_path, monkeypatch):
    for name in [name for name in os.environ if name.startswith(("SIDELAMB_", "REDIS_URL"))]:
        monkeypatch.delenv(name)
    (tmp_path / "jobs.py").write_text(
        "from sidelamb import job\n\n@job\ndef a(): ...\n\n@job(queue='low')\ndef b(): ...\n"
    )
    return tmp_path


def examined(app, redis_url="", allowed=None):
    findings = examine(app, template=None, modules=(), redis_url=redis_url, allowed=allowed)
    return [(finding.sign.value, finding.text) for finding in findings]


def wrong(findings):
    return [text for sign, text in findings if sign == "wrong"]


def judged(*, ahead_s=0.0, pollers=1, clients=10, **info):
    facts = RedisFacts("redis.example:6379", GOOD | info, ahead_s, pollers)
    return [(finding.sign.value, finding.text) for finding in judge_redis(facts, clients)]


# --- an app ---


def test_an_app_in_order_has_nothing_wrong(app, redis_url):
    findings = examined(app, redis_url)
    assert wrong(findings) == []
    assert ("ok", "jobs: 2 jobs on default, low") in findings


def test_code_that_cannot_be_imported_is_found_with_its_place(app):
    (app / "jobs.py").write_text("import not_there\n")
    [text] = wrong(examined(app))
    assert text.startswith("jobs.py, line 1: ModuleNotFoundError")


def test_modules_without_a_job_are_found(app):
    (app / "jobs.py").write_text("")
    [text] = wrong(examined(app))
    assert "declares no job" in text


def test_a_queue_that_nobody_serves_is_found(app):
    (app / "sidelamb.toml").write_text('[capsules.default]\nfunction = "WorkerFunction"\n')
    [text] = wrong(examined(app))
    assert text.startswith("nobody serves the queue 'low'")


def test_settings_that_cannot_be_read_are_found(app):
    (app / "sidelamb.toml").write_text("[capsules.default]\nfunctoin = 'x'\n")
    [text] = wrong(examined(app))
    assert "did you mean 'function'?" in text


@pytest.mark.parametrize(("timeout", "sign", "said"), [(30, "wrong", "refused"), (90, "warning", "late")])
def test_a_capsule_that_does_not_know_its_functions_timeout_is_found(app, timeout, sign, said):
    (app / "sidelamb.toml").write_text(
        f'[capsules.default]\nfunction = "WorkerFunction"\nqueues = ["default", "low"]\ntimeout = {timeout}\n'
    )
    [text] = [text for found, text in examined(app) if found == sign and "timeout" in text]
    assert said in text
    assert text.endswith("set timeout = 60")


# --- the sum ---


def test_the_sum_is_sandboxes_times_threads_over_all_capsules():
    config = Config("", (CapsuleConfig("a", "f", in_flight=10, threads=4), CapsuleConfig("b", "g", in_flight=5)))
    [enough] = about_connections(config, 45)
    assert enough.sign is Sign.OK
    assert enough.text.startswith("10 sandboxes x 4 threads + 5 sandboxes x 1 threads = 45 database connections")
    [too_many] = about_connections(config, 44)
    assert too_many.sign is Sign.WRONG
    assert "lower in_flight or threads" in too_many.text


def test_the_settings_of_the_app_are_what_is_summed_up(app):
    (app / "sidelamb.toml").write_text(
        '[capsules.default]\nfunction = "WorkerFunction"\nqueues = ["default", "low"]\n'
        "in_flight = 25\nthreads = 4\n"
    )
    assert wrong(examined(app, allowed=100)) == []
    [text] = wrong(examined(app, allowed=99))
    assert "25 sandboxes x 4 threads = 100 database connections" in text


# --- Redis ---


def deployed_with(app, parameters):
    for name, text in files("shop").items():
        if name in {"template.yaml", "samconfig.toml"}:
            (app / name).write_text(text)
    said = 'capabilities = "CAPABILITY_IAM"'
    written = (app / "samconfig.toml").read_text().replace(said, f"{said}\nparameter_overrides = {parameters}", 1)
    (app / "samconfig.toml").write_text(written)


@pytest.mark.parametrize(
    "parameters",
    [
        r'"RedisUrl=\"rediss://in.use\" Queues=\"low=2, default\" InFlight=\"50\" Threads=4 WorkerTimeout=90"',
        '["RedisUrl=rediss://in.use:6379", "Queues=low,default", "InFlight=50", "Threads=4", "WorkerTimeout=90"]',
    ],
)
def test_of_a_stack_the_parameters_of_its_deploy_are_summed_up(app, parameters):
    deployed_with(app, parameters)
    findings = examined(app, allowed=100)
    assert [text.partition(" =")[0] for text in wrong(findings)] == ["50 sandboxes x 4 threads"]
    assert "= 200 database connections" in wrong(findings)[0]
    assert ("ok", "capsules and functions agree on their timeouts") in findings


def test_a_queue_that_the_stacks_poller_does_not_take_is_found(app):
    deployed_with(app, "[]")
    (said,) = wrong(examined(app))
    assert said.startswith("nobody serves the queue 'low', so its jobs wait; add it to a capsule's queues")


def test_settings_with_which_the_stacks_poller_would_not_start_are_found(app):
    deployed_with(app, '"Queues=low,low"')
    assert wrong(examined(app)) == ["capsule 'default': a queue stands twice in low, low"]


def test_a_good_redis_has_nothing_wrong():
    assert {sign for sign, _ in judged()} == {"ok"}


@pytest.mark.parametrize(
    ("change", "sign", "said"),
    [
        ({"redis_version": "6.0.16"}, "wrong", "Redis 6.0.16 is too old"),
        ({"redis_version": "7.2.4", "valkey_version": "7.0.1"}, "wrong", "Valkey 7.0.1 is too old"),
        ({"maxmemory_policy": "allkeys-lru"}, "wrong", "may evict jobs: its maxmemory-policy is allkeys-lru"),
        ({"used_memory": "900"}, "warning", "90% full"),
        ({"connected_slaves": "0"}, "warning", "no replica, no append-only file"),
        ({"ahead_s": 7.0}, "wrong", "7 s ahead of that of Redis"),
        ({"ahead_s": -7.0}, "wrong", "7 s behind that of Redis"),
        ({"role": "slave"}, "wrong", "is a replica"),
        ({"cluster_enabled": "1"}, "wrong", "set SIDELAMB_NAMESPACE={app}"),
        ({"pollers": 0}, "warning", "no poller is alive"),
        ({"clients": 96}, "wrong", "over its maxclients, 100"),
    ],
)
def test_what_hurts_is_said(change, sign, said):
    [(found, text)] = [(found, text) for found, text in judged(**change) if found != "ok"]
    assert found == sign
    assert said in text


def test_what_is_harmless_is_not_said():
    assert {sign for sign, _ in judged(maxmemory="0", used_memory="10000")} == {"ok"}
    assert {sign for sign, _ in judged(connected_slaves="0", aof_enabled="1")} == {"ok"}
    assert {sign for sign, _ in judged(ahead_s=4.9, clients=95)} == {"ok"}


def test_a_real_redis_that_may_evict_is_found(app, tmp_path):
    with RedisServer(tmp_path / "redis") as server:
        import redis

        with redis.Redis.from_url(server.url) as db:
            db.config_set("maxmemory-policy", "allkeys-lru")
        [text] = wrong(examined(app, server.url))
    assert "allkeys-lru" in text


def test_a_living_poller_is_counted_and_a_dead_ones_name_is_not(app, redis_url, db):
    db.sadd("processes", "alive:1:a", "dead:1:b")
    db.hset("alive:1:a", "beat", time.time())
    assert any(text.endswith("processes alive there: 1") for _, text in examined(app, redis_url))


def test_a_redis_that_is_not_there_is_one_finding(app):
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        [text] = wrong(examined(app, f"redis://127.0.0.1:{free.getsockname()[1]}"))
    assert "cannot be reached" in text
    assert "\n" not in text


def test_the_command_says_it_all_and_ends_with_one_if_something_is_wrong(app, redis_url):
    def run(*argv):
        command = [sys.executable, "-m", "sidelamb_local.cli", "doctor", *argv]
        return subprocess.run(command, cwd=app, capture_output=True, text=True, timeout=60, check=False)

    ended = run("--redis", redis_url, "--connections", "10")
    assert ended.returncode == 0, ended.stdout + ended.stderr
    assert "     ok  jobs: 2 jobs on default, low" in ended.stdout.splitlines()
    assert run("--connections", "9").returncode == 1
