"""`sidelamb logs`: the same lines from this machine and from CloudWatch, over CloudWatch's own protocol."""

from __future__ import annotations

import http.server
import io
import json
import os
import subprocess
import sys
import threading
import time

import boto3
import pytest
from botocore.config import Config
from rich.console import Console

from sidelamb_local.errors import LocalStackError
from sidelamb_local.log_file import LogFile, Said
from sidelamb_local.log_groups import LogGroups
from sidelamb_local.logs_command import Wanted, lines_of, seconds, show
from tests.infra.filter_pattern import FilterPattern

NOW = 1_795_405_727.0
JID = "b4a577edbccf1d805744efa9"


def job_line(outcome="succeeded", *, jid=JID, name="shop.send", queue="mail", **more):
    level = "INFO" if outcome == "succeeded" else "WARNING"
    line = {"level": level, "message": f"{name} {outcome}", "jid": jid, "class": name, "queue": queue}
    return json.dumps(
        line | {"outcome": outcome, "attempt": 1, "lease": "c:1", "function_request_id": "r-1", **more}
    )


FAILED = {"error_class": "ValueError", "error_message": "no"}
LINES = [
    Said(NOW, "worker", job_line(duration_ms=250.0, queue_ms=12.0)),
    Said(NOW + 1, "worker", json.dumps({"level": "INFO", "message": "half way", "jid": JID, "queue": "mail"})),
    Said(
        NOW + 2,
        "worker",
        job_line("retry", jid="other", error_class="ValueError", error_message="no", next_at=NOW),
    ),
    Said(NOW + 3, "worker", job_line("dead", jid="third", name="shop.pay", queue="pay")),
    Said(NOW + 4, "worker", json.dumps({"_aws": {}, "Stack": "shop", "Processed": 1})),
    Said(NOW + 5, "worker", "START RequestId: r-1 Version: 1"),
    Said(NOW + 6, "poller", json.dumps({"level": "WARNING", "message": "Redis is away"})),
]


def shown(wanted=None, lines=LINES):
    out = io.StringIO()
    count = show(lines, wanted or Wanted(), Console(file=out, width=200))
    return out.getvalue().splitlines(), count


def test_everything_is_shown_but_the_platform_and_metrics():
    lines, count = shown()
    assert count == len(lines) == 5
    assert f"✓ shop.send  {JID}  waited 12 ms  ran 250 ms" in lines[0]
    assert lines[1].endswith("│ half way")
    assert "↻ shop.send  other" in lines[2]
    assert "ValueError: no" in lines[2]
    assert lines[4].endswith("│ Redis is away")


@pytest.mark.parametrize(
    ("wanted", "jids"),
    [
        (Wanted(jid="other"), ["other"]),
        (Wanted(queue="pay"), ["third"]),
        (Wanted(name="shop.send"), [JID, "other"]),
        (Wanted(failed=True), ["other", "third"]),
        (Wanted(name="shop.send", failed=True), ["other"]),
        (Wanted(queue="nothing"), []),
        (Wanted(jid='a" || $.jid = "*'), []),
    ],
)
def test_cloudwatch_and_this_machine_choose_the_same_lines(wanted, jids):
    pattern = FilterPattern(wanted.pattern)
    by_pattern = [said for said in LINES if pattern.matches(said.line)]
    assert by_pattern == [said for said in LINES if wanted.holds(said.line)]
    outcomes = [json.loads(said.line) for said in by_pattern]
    assert [line["jid"] for line in outcomes if "outcome" in line] == jids


def test_one_job_is_shown_with_where_it_ran_and_where_it_failed():
    line = job_line(
        "retry", error_class="ValueError", error_message="no", traceback='  File "a.py", line 5', next_at=NOW
    )
    lines, _ = shown(Wanted(jid=JID), [Said(NOW, "worker", line)])
    assert lines[1] == "    lease c:1, request r-1, queue mail"
    assert lines[2].endswith('File "a.py", line 5')


@pytest.mark.parametrize(("text", "s"), [("90s", 90), ("15m", 900), ("2h", 7_200), ("7d", 604_800)])
def test_a_time_is_a_number_with_its_unit(text, s):
    assert seconds(text) == s


@pytest.mark.parametrize("text", ["", "5", "h", "1.5h", "-1h", "1w"])
def test_anything_else_is_no_time(text):
    with pytest.raises(LocalStackError, match="write 90s, 15m, 2h or 7d"):
        seconds(text)


# --- this machine --------------------------------------------------------------------------------------------


@pytest.fixture
def folder(tmp_path):
    (tmp_path / ".sidelamb").mkdir()
    times = iter(said.at for said in LINES)
    log = LogFile(tmp_path / ".sidelamb", clock=lambda: next(times))
    for said in LINES:
        log.write(said.source, said.line)
    log.close()
    return tmp_path


def test_without_a_stack_it_is_what_was_kept_here(folder):
    wanted = Wanted(failed=True)
    assert shown(wanted, lines_of(folder, "", wanted, since=0, follow=False)) == shown(wanted)


def test_where_nothing_was_kept_one_line_says_what_to_do(tmp_path):
    with pytest.raises(LocalStackError, match="start `sidelamb dev`, or name a stack on AWS with --stack"):
        lines_of(tmp_path, "", Wanted(), since=0, follow=False)


def command(folder, *argv, **env):
    kept = {name: value for name, value in os.environ.items() if not name.startswith(("SIDELAMB_", "AWS_"))}
    return subprocess.run(
        [sys.executable, "-m", "sidelamb_local.cli", "logs", *argv],
        cwd=folder,
        env=kept | env,
        capture_output=True,
        text=True,
        timeout=30,
        check=False,
    )


def test_the_command_shows_them(folder):
    ended = command(folder, "--class", "shop.pay", "--since", "9000d")
    assert "✗ shop.pay  third" in ended.stdout
    assert (ended.stdout.count("\n"), ended.stderr, ended.returncode) == (1, "", 0)


def test_nothing_found_is_said(folder):
    assert command(folder, "--since", "1s").stderr == "nothing since 1s ago\n"


# --- CloudWatch ----------------------------------------------------------------------------------------------


class CloudWatch(http.server.ThreadingHTTPServer):
    """Two calls of the CloudWatch Logs API, on real events, two a page."""

    def __init__(self):
        super().__init__(("127.0.0.1", 0), _Asked)
        self.events = {
            f"/sidelamb/shop/{source}": [said for said in LINES if said.source == source]
            for source in ("worker", "poller", "scheduler")
        }
        self.events["/sidelamb/shop-2/worker"] = [Said(NOW, "worker", job_line(jid="not ours"))]
        self.patterns: list[str] = []
        self.denied = False

    @property
    def url(self):
        return f"http://127.0.0.1:{self.server_port}"


class _Asked(http.server.BaseHTTPRequestHandler):
    server: CloudWatch

    def do_POST(self):
        body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        call = self.headers["X-Amz-Target"].rpartition(".")[2]
        if self.server.denied:
            answer = {"__type": "AccessDeniedException", "message": "you may not"}
        elif call == "DescribeLogGroups":
            prefix = body["logGroupNamePrefix"]
            answer = {"logGroups": [{"logGroupName": n} for n in self.server.events if n.startswith(prefix)]}
        else:
            answer = self._filtered(body)
        self.send_response(400 if self.server.denied else 200)
        self.end_headers()
        self.wfile.write(json.dumps(answer).encode())

    def _filtered(self, body):
        pattern = body.get("filterPattern")
        self.server.patterns.append(pattern or "")
        group, since = body["logGroupName"], body["startTime"]
        found = [
            {"eventId": f"{group}{n}", "timestamp": round(said.at * 1000), "message": f"{said.line}\n"}
            for n, said in enumerate(self.server.events[group])
            if said.at * 1000 >= since and (not pattern or FilterPattern(pattern).matches(said.line))
        ]
        found.sort(key=lambda event: event["timestamp"])
        at = int(body.get("nextToken", 0))
        more = {"nextToken": str(at + 2)} if at + 2 < len(found) else {}
        return {"events": found[at : at + 2], **more}

    def log_message(self, *_):
        pass


@pytest.fixture
def cloudwatch():
    server = CloudWatch()
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    yield server
    server.shutdown()
    thread.join()
    server.server_close()


@pytest.fixture
def client(cloudwatch):
    made = boto3.client(
        "logs",
        endpoint_url=cloudwatch.url,
        region_name="eu-west-1",
        aws_access_key_id="a",
        aws_secret_access_key="b",
        config=Config(retries={"total_max_attempts": 1}),
    )
    yield made
    made.close()


def test_the_groups_of_a_stack_and_of_no_other_are_one_stream(client):
    lines = list(LogGroups(client, "shop").kept(0))
    assert lines == LINES
    assert shown(lines=lines) == shown()


def test_what_is_wanted_is_asked_of_cloudwatch(client, cloudwatch):
    wanted = Wanted(failed=True, queue="pay")
    lines = list(LogGroups(client, "shop", wanted.pattern).kept(0))
    assert [json.loads(said.line)["jid"] for said in lines] == ["third"]
    assert set(cloudwatch.patterns) == {wanted.pattern}


def test_what_is_older_is_not_asked_for(client):
    assert [said.at for said in LogGroups(client, "shop").kept(NOW + 5)] == [NOW + 5, NOW + 6]


def test_one_who_follows_gets_every_line_once_even_one_that_comes_late(client, cloudwatch):
    worker = cloudwatch.events["/sidelamb/shop/worker"]

    def wait(_seconds):
        worker.append(Said(NOW + 10, "worker", "a new one"))
        worker.append(Said(NOW + 2.5, "worker", "a late one"))

    heard = []
    for said in LogGroups(client, "shop").follow(NOW, wait):
        heard.append(said.line)
        if said.line == "a new one":
            break
    assert heard == [*(said.line for said in LINES), "a late one", "a new one"]


def test_a_stack_that_is_not_there_is_one_line(client):
    with pytest.raises(LocalStackError, match="no log group in eu-west-1 begins with /sidelamb/ship/; look at"):
        LogGroups(client, "ship")


def test_one_who_may_not_is_told_so(client, cloudwatch):
    cloudwatch.denied = True
    with pytest.raises(LocalStackError, match=r"could not be read: .*you may not"):
        LogGroups(client, "shop")


def test_the_command_reads_a_stack(cloudwatch, tmp_path):
    aws = {
        "AWS_ACCESS_KEY_ID": "a",
        "AWS_SECRET_ACCESS_KEY": "b",
        "AWS_ENDPOINT_URL_CLOUDWATCH_LOGS": cloudwatch.url,
    }
    days = f"{int((time.time() - NOW) // 86_400) + 2}d" if time.time() > NOW else "1d"
    ended = command(tmp_path, "--stack", "shop", "--jid", "other", "--since", days, AWS_REGION="eu-west-1", **aws)
    assert ended.stderr == ""
    assert "↻ shop.send  other" in ended.stdout


def test_the_command_without_a_region_says_what_to_set(tmp_path):
    ended = command(tmp_path, "--stack", "shop", AWS_CONFIG_FILE=str(tmp_path / "none"))
    assert ended.returncode == 2
    assert "CloudWatch Logs cannot be reached: You must specify a region; set AWS_REGION" in ended.stderr.replace(
        ".;", ";"
    )
