"""docs/wire-vectors.json, which clients in other languages test themselves with, holds for our own code."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from sidelamb import Client, Malformed, mark_deploy
from sidelamb.keys import Keys, source_of
from sidelamb.lenient import epoch_s
from sidelamb.payload import decode, encode, tidy
from sidelamb.state import State, StateStore
from sidelamb.store import Store
from sidelamb_handlers.config import CapsuleConfig
from sidelamb_handlers.decision import move
from sidelamb_handlers.failure import Failure, killed_raw, on_failure
from sidelamb_handlers.foreign import renewed
from sidelamb_handlers.metrics import BUCKETS_MS, Tally, hash_keys, histogram_keys
from sidelamb_handlers.poller.heartbeat import Heartbeat
from sidelamb_handlers.promotion import promotion
from tests.handlers.kit import everything

FILE = Path(__file__).parents[2] / "docs" / "wire-vectors.json"
VECTORS: dict[str, Any] = json.loads(FILE.read_text())


def each(section: str) -> Any:
    return pytest.mark.parametrize("v", VECTORS[section], ids=lambda v: v["what"])


def plain(value: Any) -> Any:
    """What is in Redis as plain JSON."""
    match value:
        case bytes():
            return value.decode()
        case set() | frozenset():
            return sorted(map(plain, value))
        case dict():
            return {plain(k): plain(v) for k, v in value.items()}
        case list() | tuple():
            return [plain(each) for each in value]
    return value


@each("enqueue")
def test_enqueue(v, redis_url, db):
    options = {"timestamps": v.get("timestamps", "float")}
    client = _client(redis_url, v, **options)
    for payload in v["payloads"]:
        client.push(payload)
    assert plain(everything(db)) == v["redis"]


def _client(redis_url: str, v: Any, timestamps: str) -> Client:
    from sidelamb import configure

    configure(timestamps=timestamps)  # type: ignore[arg-type]
    return Client(redis_url, namespace=v.get("namespace", ""), clock=lambda: v["now"], new_jid=lambda: v["jid"])


@each("promote")
def test_promote(v):
    _, new, queue = promotion(v["entry"].encode(), v["now"])
    assert (new.decode(), queue) == (v["pushed"], v["queue"])


@each("fail")
def test_fail(v):
    raw = v["payload"].encode()
    failure = Failure(v["error_class"], v["error_message"])
    queue = source_of(v["field"])[0]
    decision = on_failure(decode(raw), failure, queue=queue, now=v["now"], random=lambda: v["random"])
    made = move(v["field"], decision, raw)
    assert made.to == v["to"]
    if made.to:
        assert (made.score, made.payload.decode()) == (v["score"], v["stored"])


@each("kill")
def test_kill(v):
    raw = v["payload"].encode()
    decision = killed_raw(raw, v["message"], queue="default", now=v["now"], random=lambda: 0.0)
    changes = {name: value for name, value in decision.changes.items() if name != "failures"}  # ours, as one likes
    made = move("0:default", replace(decision, changes=changes), raw)
    assert (made.to, made.payload.decode()) == (v["to"], v["stored"])
    assert made.score == v["score"]


@each("clean")
def test_clean(v):
    assert renewed(v["stored"].encode(), {}, "default").decode() == v["renewed"]


@each("form")
def test_form(v):
    if v["tidy"] is None:
        with pytest.raises(Malformed):
            tidy(v["raw"].encode())
    else:
        assert tidy(v["raw"].encode()).decode() == v["tidy"]


@each("time")
def test_time(v):
    assert epoch_s(v["value"]) == v["epoch_s"]


@each("lease")
def test_lease(v):
    keys = Keys(v["namespace"])
    assert source_of(v["field"]) == (v["queue"], v["alone"])
    assert keys.lease(v["lease"]).decode() == v["lease_key"]
    assert keys.source(v["field"]).decode() == v["back_to"]


@each("metrics")
def test_metrics(v):
    assert hash_keys(v["now"]) == v["hashes"]
    assert list(histogram_keys(v["class"], v["now"])) == v["histograms"]
    assert list(BUCKETS_MS) == v["buckets_ms"]


def expire_as_told(db: Any, ttl_s: dict[str, int]) -> bool:
    return {plain(key): db.ttl(key) for key in everything(db)} == pytest.approx(ttl_s, abs=2)


@each("cancel")
def test_cancel(v, redis_url, db):
    Client(redis_url, namespace=v.get("namespace", ""), clock=lambda: v["now"]).cancel(v["jid"])
    assert plain(everything(db)) == v["redis"]
    assert expire_as_told(db, v["ttl_s"])


@each("iterate")
def test_iterate(v, link, db):
    state = State(v["executions"], encode(v["cursor"]), v["runtime_s"], v["stalled"])
    assert not link.run(StateStore(Keys("")).checkpoint(v["jid"], state))
    assert plain(everything(db)) == v["redis"]
    assert expire_as_told(db, v["ttl_s"])


@each("heartbeat")
def test_heartbeat(v, link, db):
    """The hashes are as the vector says, and a real poller's have the same fields."""
    link.run(Store().beat(v["identity"], v["ttl_s"], v["fields"], {k: w.encode() for k, w in v["work"].items()}))
    hashes = [v["fields"], v["work"], v["work"]]
    assert plain(everything(db)) == {"processes": [v["identity"]], **dict(zip(v["hashes"], hashes, strict=True))}
    assert {db.ttl(key) for key in v["hashes"]} <= {v["ttl_s"], v["ttl_s"] - 1}
    capsule: Any = SimpleNamespace(config=CapsuleConfig("default", "worker"), flights={}, metrics=Tally())
    nothing: Any = None
    real = Heartbeat(v["identity"], [capsule], store=Store(), redis=nothing, on_signal=print)._fields()
    assert list(real) == list(v["fields"])
    info, told = decode(bytes(real["info"])), decode(v["fields"]["info"].encode())
    assert {name: type(value) for name, value in info.items()} == {name: type(x) for name, x in told.items()}


@each("deploy")
def test_deploy(v, client, db):
    assert mark_deploy(v["label"], client, at=v["now"])
    assert plain(everything(db)) == v["redis"]
    assert expire_as_told(db, v["ttl_s"])
