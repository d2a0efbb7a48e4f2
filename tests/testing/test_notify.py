"""Notifications: of deaths, by a job that is retried; of old queues, once for each outbreak."""

from __future__ import annotations

import http.server
import json
import threading
import time
from typing import TYPE_CHECKING, Any

import pytest

from sidelamb import BadOption, Batch, configure, default_client, hooks, notify, on_death, registry
from sidelamb.api import DeadSet, RetrySet
from sidelamb.awskeys import AwsKeys
from sidelamb.errors import ConfigError, SidelambError
from sidelamb.notify import on_old_queue, sns, sns_request, webhook, webhook_is_signed
from sidelamb.testing import drain
from sidelamb_handlers.oldqueues import tell_of_old_queues
from tests.handlers.kit import payload, push

if TYPE_CHECKING:
    from collections.abc import Iterator

    import redis


class _Receiver(http.server.BaseHTTPRequestHandler):
    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers["content-length"]))
        self.server.got.append(({name.lower(): value for name, value in self.headers.items()}, body))  # type: ignore[attr-defined]
        self.send_response(self.server.status)  # type: ignore[attr-defined]
        self.end_headers()

    def log_message(self, *_: Any) -> None: ...


@pytest.fixture
def receiver() -> Iterator[Any]:
    with http.server.HTTPServer(("127.0.0.1", 0), _Receiver) as server:
        server.got, server.status = [], 200  # type: ignore[attr-defined]
        server.url = f"http://127.0.0.1:{server.server_address[1]}/hook"  # type: ignore[attr-defined]
        thread = threading.Thread(target=server.serve_forever, args=(0.01,))
        thread.start()
        yield server
        server.shutdown()
        thread.join()


@pytest.fixture(autouse=True)
def own_hooks(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(hooks, "death_hooks", [])
    monkeypatch.setattr("sidelamb_handlers.judge.death_hooks", hooks.death_hooks)
    monkeypatch.setattr(notify, "watches", [])
    monkeypatch.setattr("sidelamb_handlers.oldqueues.watches", notify.watches)
    monkeypatch.setattr(notify, "_channels", {})
    registry.add(notify.deliver)
    registry.add(notify.deliver_batch)


@pytest.fixture
def dies(job: Any) -> Any:
    @job(max_retries=0)
    def dies(secret: str) -> None:
        raise ValueError("no")

    return dies


def test_a_death_is_told_by_a_signed_request_without_the_jobs_arguments(dies, configured, receiver) -> None:
    on_death(webhook(receiver.url, secret="s3cret"))
    jid = dies.enqueue("4111")
    report = drain(raise_errors=False)
    assert [run.name for run in report] == ["dies", "sidelamb.notify.deliver"]
    ((headers, body),) = receiver.got
    news = json.loads(body)
    assert (news["event"], news["jid"], news["class"], news["kept"]) == ("job.died", jid, "dies", True)
    assert (news["error_class"], news["error_message"]) == ("ValueError", "no")
    assert b"4111" not in body
    assert headers["sidelamb-id"] == report.runs[1].jid
    signed = headers["sidelamb-signature"]
    assert webhook_is_signed("s3cret", signed, body)
    assert not webhook_is_signed("other", signed, body)
    assert not webhook_is_signed("s3cret", signed, body + b" ")
    assert not webhook_is_signed("s3cret", signed, body, within_s=-1)
    assert not webhook_is_signed("s3cret", "nonsense", body)


def test_what_is_not_received_is_retried_and_the_secret_is_nowhere_in_redis(
    dies, configured, receiver, db
) -> None:
    on_death(webhook(receiver.url, secret="s3cret"))
    receiver.status = 503
    dies.enqueue("x")
    drain(raise_errors=False)
    (waits,) = RetrySet()
    assert waits.name == "sidelamb.notify.deliver"
    assert b"s3cret" not in waits.raw
    receiver.status = 200
    assert drain(until=time.time() + 300).succeeded == 1
    assert len(receiver.got) == 2


def test_of_the_death_of_news_no_news_is_sent(dies, configured, receiver) -> None:
    on_death(webhook(receiver.url, secret="s"))
    receiver.status = 500
    dies.enqueue("x")
    report = drain(scheduled=True, raise_errors=False)
    assert report.dead == 2
    assert DeadSet().size() == 2


def test_a_batchs_events_are_told_once_each_and_retried_until_they_are_received(
    dies, job, configured, receiver, db
) -> None:
    ops = webhook(receiver.url, secret="s3cret", queue="news")
    with Batch("import", on_complete=ops, on_success=ops, on_death=ops, tags=["a"], options={"n": 1}) as batch:
        jid = dies.enqueue("4111")
        job(lambda: None, name="lives").enqueue()
    receiver.status = 503
    drain(raise_errors=False)
    assert {waits.name for waits in RetrySet()} == {"sidelamb.notify.batch"}
    assert not any(b"s3cret" in waits.raw for waits in RetrySet())
    receiver.got.clear()
    receiver.status = 200
    assert drain(until=time.time() + 300).succeeded == 2
    told = {json.loads(body)["event"]: (headers, json.loads(body)) for headers, body in receiver.got}
    assert set(told) == {"batch.complete", "batch.death"}
    headers, news = told["batch.complete"]
    assert headers["sidelamb-id"] == f"{batch.bid}-complete"
    assert (news["batch"], news["description"], news["tags"]) == (batch.bid, "import", ["a"])
    assert (news["total"], news["failed"], news["dead"], news["options"]) == (2, 1, [jid], {"n": 1})


def test_what_is_neither_job_nor_channel_is_no_callback() -> None:
    with pytest.raises(BadOption, match="expected a job, "):
        Batch(on_complete=print)  # type: ignore[arg-type]


def test_a_channel_that_the_worker_does_not_declare_is_named(configured) -> None:
    notify.deliver.enqueue("https://gone.example.org", {})
    with pytest.raises(SidelambError, match=r"no webhook or topic https://gone\.example\.org is declared"):
        drain()


def test_an_old_queue_is_told_once_and_again_after_it_has_recovered(configured, db: redis.Redis) -> None:
    told: list[Any] = []
    on_old_queue(60)(lambda queue, age_s: told.append((queue, round(age_s))))
    on_old_queue(5, "other")(lambda queue, _: told.append(queue))
    client = default_client()
    push(db, payload("a", enqueued_at=time.time() - 100), queue="mail")
    push(db, payload("a", enqueued_at=time.time() - 10), queue="low")
    assert [tell_of_old_queues(client) for _ in range(2)] == [1, 0]
    assert told == [("mail", 100)]
    db.delete("queue:mail")
    assert tell_of_old_queues(client) == 0
    assert not db.exists("sidelamb:old-queues")
    push(db, payload("a", enqueued_at=time.time() - 70), queue="mail")
    tell_of_old_queues(client)
    assert told == [("mail", 100), ("mail", 70)]


def test_one_that_could_not_be_told_is_told_by_the_next_pass(configured, db: redis.Redis, receiver) -> None:
    on_old_queue(60)(webhook(receiver.url, secret="s"))
    push(db, payload("a", enqueued_at=time.time() - 100), queue="mail")
    receiver.status = 500
    assert tell_of_old_queues(default_client()) == 0
    receiver.status = 200
    assert tell_of_old_queues(default_client()) == 1
    assert json.loads(receiver.got[-1][1])["queue"] == "mail"


def test_the_minutes_pass_tells_and_a_pollers_does_not(redis_url, db, tmp_path, monkeypatch) -> None:
    (tmp_path / "told_hooks.py").write_text(
        "from sidelamb.notify import on_old_queue\nseen = []\n"
        "@on_old_queue(60)\ndef tell(queue, age_s): seen.append(queue)\n"
    )
    monkeypatch.syspath_prepend(str(tmp_path))
    monkeypatch.setenv("SIDELAMB_REDIS_URL", redis_url)
    monkeypatch.setenv("SIDELAMB_NOTIFY", "told_hooks")
    from sidelamb.link import Link
    from sidelamb.store import Store
    from sidelamb.testing import LambdaContext
    from sidelamb_handlers import scheduler

    monkeypatch.setattr(scheduler, "_scheduler", lambda: scheduler.Scheduler(Link(redis_url), Store()))
    push(db, payload("a", enqueued_at=time.time() - 100), queue="mail")
    scheduler.handler({"source": scheduler.POLLER}, LambdaContext())
    assert not db.exists("sidelamb:old-queues")
    scheduler.handler({"source": "aws.events"}, LambdaContext())
    import told_hooks  # type: ignore[import-not-found]

    assert told_hooks.seen == ["mail"]


def test_sns_requests_are_signed_as_botocore_signs() -> None:
    from botocore.auth import SigV4Auth
    from botocore.awsrequest import AWSRequest
    from botocore.credentials import Credentials

    keys, now = AwsKeys("AKID", "SECRET", "TOKEN"), time.time()
    news = {"event": "job.died", "class": "a", "error_message": "ä & b"}
    url, body, headers = sns_request("arn:aws:sns:eu-west-1:123456789012:t", news, keys, now)
    request = AWSRequest("POST", url, data=body, headers={"content-type": headers["content-type"]})
    request.context["timestamp"] = headers["x-amz-date"]
    assert b"Subject=sidelamb+job.died+a" in body
    signer = SigV4Auth(Credentials("AKID", "SECRET", "TOKEN"), "sns", "eu-west-1")
    for name in ("x-amz-date", "x-amz-security-token"):
        request.headers[name] = headers[name]
    canonical = signer.canonical_request(request)
    wanted = signer.signature(signer.string_to_sign(request, canonical), request)
    assert headers["authorization"].endswith(f"Signature={wanted}")
    assert url == "https://sns.eu-west-1.amazonaws.com/"


def test_what_is_no_channel_is_refused() -> None:
    with pytest.raises(ConfigError, match="an http or https URL"):
        webhook("file:///etc/passwd", secret="s")
    with pytest.raises(ConfigError, match="needs a secret"):
        webhook("https://example.org", secret="")
    with pytest.raises(ConfigError, match="the ARN of a topic"):
        sns("arn:aws:sqs:eu-west-1:123456789012:t")
    configure()
