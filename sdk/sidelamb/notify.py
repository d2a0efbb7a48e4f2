"""Notifications: of a job's death, of a batch's end, and of a queue whose oldest job has waited too long.

    ops = webhook("https://example.org/hooks", secret="…")
    on_death(ops)
    Batch("import", on_complete=ops)
    on_old_queue(300)(sns("arn:aws:sns:eu-west-1:123456789012:alarms"))

News of a death or of a batch is itself a job, which is retried until it is delivered. News of an old queue is not:
it would wait behind what it tells of; the scheduler delivers it, and tries again a minute later if that fails.
"""

from __future__ import annotations

import hashlib
import hmac
import json
import time
import urllib.error
import urllib.request
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any
from urllib.parse import urlencode, urlsplit

from sidelamb.awskeys import find_keys, signature
from sidelamb.control import seconds
from sidelamb.errors import ConfigError, SidelambError
from sidelamb.job import job

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from sidelamb.awskeys import AwsKeys
    from sidelamb.batches.status import BatchStatus
    from sidelamb.calls import Enqueues

    OldQueueHook = Callable[[str, float], Any]

__all__ = ["Channel", "OldQueueWatch", "on_old_queue", "sns", "sns_request", "webhook", "webhook_is_signed"]

WITHIN_S = 10.0
"""How long an answer is waited for."""
FRESH_S = 300.0
"""How old a signed request may be."""
SAID_MOST = 300
"""Bytes of an error's answer that are told."""
SUBJECT_MOST = 100
"""Characters of an SNS subject."""
DEAD_MOST = 100
"""Ids of dead jobs in the news of a batch: SNS takes 256 KB."""


@dataclass(frozen=True, slots=True)
class OldQueueWatch:
    """Whom to tell of a queue that is too old."""

    after_s: float
    hook: OldQueueHook
    queues: frozenset[str]
    """Empty for all."""


watches: list[OldQueueWatch] = []
_channels: dict[str, Channel] = {}


def on_old_queue(after: Any, *queues: str) -> Callable[[OldQueueHook], OldQueueHook]:
    """Have `hook(queue, age_s)` called when a queue's oldest job has waited longer than `after`.

    Once, and again when it has recovered in between. Declared in a module that SIDELAMB_NOTIFY names for the
    scheduler's function, which looks every minute. Paused queues are not told of.

    Args:
        after: seconds or timedelta.
        *queues: only these; default all.
    """
    after_s = seconds(after, "on_old_queue(…)")

    def watch(hook: OldQueueHook) -> OldQueueHook:
        watches.append(OldQueueWatch(after_s, hook, frozenset(queues)))
        return hook

    return watch


def webhook(url: str, *, secret: str, queue: str = "default") -> Channel:
    """Return a hook, for `on_death`, `on_old_queue` and the events of a `Batch`, that posts JSON to a URL, signed.

    Declare it in a module that the workers import too: what delivers finds the secret there.

    Args:
        url: where to; it stands in the payload of the job that delivers.
        secret: signs (HMAC-SHA256); it never leaves the process.
        queue: of the job that delivers news of a death or of a batch.

    Raises:
        ConfigError: it is no http or https URL, or there is no secret.
    """
    if urlsplit(url).scheme not in {"http", "https"}:
        raise ConfigError(f"webhook takes an http or https URL, not {url!r}")
    if not secret:
        raise ConfigError(f"the webhook {url} needs a secret, by which its receiver knows that it is yours")
    return _named(_Webhook(url, queue, secret))


def sns(topic_arn: str, *, queue: str = "default") -> Channel:
    """Return a hook that publishes to a topic of SNS; its uses and args as of `webhook`.

    The function needs the permission `sns:Publish`. Raises ConfigError for what is no topic's ARN.
    """
    parts = topic_arn.split(":")
    if parts[:1] != ["arn"] or parts[2:3] != ["sns"] or len(parts) != _ARN_PARTS:
        raise ConfigError(
            f"sns takes the ARN of a topic, like arn:aws:sns:eu-west-1:123456789012:name, not {topic_arn!r}"
        )
    return _named(_Topic(topic_arn, queue))


_ARN_PARTS = 6


@dataclass(frozen=True)
class Channel:
    """A way to tell somebody; made by `webhook` and `sns`."""

    where: str
    """The URL or the topic's ARN."""
    queue: str
    """Of the jobs that deliver."""

    def __call__(self, what: Any, why: Any) -> None:
        """Tell of a death (payload, error), by a job; or of an old queue (name, seconds), now."""
        if isinstance(what, dict):
            if what.get("class") not in {deliver.name, deliver_batch.name}:  # nobody hears of their death this way
                deliver.using(queue=self.queue).enqueue(self.where, _death(what, why))
            return
        news = {"event": "queue.old", "queue": what, "age_s": round(why, 1), "at": time.time()}
        self.send(news, f"{what}-{int(time.time())}")

    def callback(self, event: str) -> tuple[Enqueues[..., Any], tuple[str, str]]:
        """Return the job that tells of a batch's event, and what it takes after the status and the options."""
        return deliver_batch.using(queue=self.queue), (event, self.where)

    def send(self, news: Mapping[str, Any], news_id: str) -> None:
        """Tell it now.

        Raises:
            SidelambError: it was refused.
            OSError: nobody answers.
        """
        raise NotImplementedError


class _Webhook(Channel):
    def __init__(self, where: str, queue: str, secret: str) -> None:
        super().__init__(where, queue)
        object.__setattr__(self, "_secret", secret)

    def send(self, news: Mapping[str, Any], news_id: str) -> None:
        body = json.dumps(news).encode()
        signed = _signed(self._secret, body, int(time.time()))  # type: ignore[attr-defined]
        headers = {"content-type": "application/json", "sidelamb-signature": signed, "sidelamb-id": news_id}
        _post(self.where, body, headers)


class _Topic(Channel):
    def send(self, news: Mapping[str, Any], news_id: str) -> None:
        url, body, headers = sns_request(self.where, {**news, "id": news_id}, find_keys(), time.time())
        _post(url, body, headers)


@job(name="sidelamb.notify.deliver")
def deliver(where: str, news: dict[str, Any]) -> None:
    """Deliver news of a death; what fails is retried as any job."""
    _send(where, news)


@job(name="sidelamb.notify.batch")
def deliver_batch(status: BatchStatus, options: dict[str, Any], event: str, where: str) -> None:
    """Deliver news of a batch, whose callback it is."""
    _send(where, _ending(status, options, event))


def _send(where: str, news: Mapping[str, Any]) -> None:
    from sidelamb.current import current_job  # noqa: PLC0415 - of the worker's side

    channel = _channels.get(where)
    if channel is None:
        known = ", ".join(_channels) or "none"
        raise SidelambError(
            f"no webhook or topic {where} is declared in this worker's modules (there are: {known})"
        )
    channel.send(news, current_job().jid)


def webhook_is_signed(secret: str, header: str, body: bytes, *, within_s: float = FRESH_S) -> bool:
    """Say whether a webhook's request is from who has the secret, and fresh; for its receiver.

    Args:
        secret: that of `webhook`.
        header: the request's `Sidelamb-Signature`.
        body: its body, byte for byte.
        within_s: how old it may be.
    """
    stamp = header.removeprefix("t=").partition(",")[0]
    if not (stamp.isascii() and stamp.isdigit()) or abs(time.time() - int(stamp)) > within_s:
        return False
    return hmac.compare_digest(_signed(secret, body, int(stamp)).encode(), header.encode())


def sns_request(
    topic_arn: str, news: Mapping[str, Any], keys: AwsKeys, now: float
) -> tuple[str, bytes, dict[str, str]]:
    """Return (URL, body, headers) of a Publish, signed at epoch s `now`."""
    _, partition, _, region, *_ = topic_arn.split(":")
    host = f"sns.{region}.amazonaws.com{'.cn' if partition == 'aws-cn' else ''}"
    whose = news.get("class") or news.get("queue") or news.get("batch")
    subject = f"sidelamb {news['event']} {whose}"[:SUBJECT_MOST]
    said = {"Action": "Publish", "Message": json.dumps(news), "Subject": subject}
    body = urlencode({**said, "TopicArn": topic_arn, "Version": "2010-03-31"}).encode()
    stamp = time.strftime("%Y%m%dT%H%M%SZ", time.gmtime(now))
    signed = {
        "content-type": "application/x-www-form-urlencoded; charset=utf-8",
        "host": host,
        "x-amz-date": stamp,
    }
    if keys.session_token:
        signed["x-amz-security-token"] = keys.session_token
    names, lines = ";".join(signed), "".join(f"{name}:{value}\n" for name, value in signed.items())
    scope = f"{stamp[:8]}/{region}/sns/aws4_request"
    proof = signature(f"POST\n/\n\n{lines}\n{names}\n{hashlib.sha256(body).hexdigest()}", stamp, scope, keys)
    who = f"Credential={keys.access_key}/{scope}"
    authorization = f"AWS4-HMAC-SHA256 {who}, SignedHeaders={names}, Signature={proof}"
    return f"https://{host}/", body, {**signed, "authorization": authorization}


def _death(payload: Mapping[str, Any], error: Any) -> dict[str, Any]:
    """Return what is told of a death: no arguments, which may be nobody's business."""
    return {
        "event": "job.died",
        "jid": payload.get("jid"),
        "class": payload.get("class"),
        "queue": payload.get("queue"),
        "error_class": payload.get("error_class") or type(error).__name__,
        "error_message": payload.get("error_message") or str(error),
        "kept": "discarded_at" not in payload,
        "at": time.time(),
    }


def _ending(status: BatchStatus, options: Mapping[str, Any], event: str) -> dict[str, Any]:
    """Return what is told of a batch."""
    return {
        "event": f"batch.{event}",
        "batch": status.bid,
        "description": status.description,
        "tags": list(status.tags),
        "options": dict(options),
        "total": status.total,
        "failed": status.failed,
        "dead": list(status.dead[:DEAD_MOST]),
        "discarded": status.discarded,
        "at": time.time(),
    }


def _named(channel: Channel) -> Channel:
    _channels[channel.where] = channel
    return channel


def _signed(secret: str, body: bytes, now: int) -> str:
    proof = hmac.digest(secret.encode(), b"%d.%b" % (now, body), "sha256").hex()
    return f"t={now},v1={proof}"


class _NoRedirect(urllib.request.HTTPRedirectHandler):
    """A redirected POST would become a GET without its body."""

    def redirect_request(self, *_: Any) -> None:
        return None


_opener = urllib.request.build_opener(_NoRedirect)


def _post(url: str, body: bytes, headers: Mapping[str, str]) -> None:
    request = urllib.request.Request(url, body, dict(headers), method="POST")  # noqa: S310 - a URL the app declared
    try:
        with _opener.open(request, timeout=WITHIN_S) as reply:
            reply.read()
    except urllib.error.HTTPError as error:
        with error:
            said = error.read(SAID_MOST).decode(errors="replace")
        raise SidelambError(f"{url} answered {error.code}: {said}") from None
