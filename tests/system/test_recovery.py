"""A sandbox that dies while no poller lives: its job comes back with its lease's end and one scheduler pass."""

from __future__ import annotations

import json
import os
import signal
import time
import urllib.request

from tests.system.ledger import read


def scheduler_pass(system) -> None:
    """Invoke the scheduler once, as its timer does every minute; returns when it has answered."""
    url = f"{system.stack.endpoint_url}/2015-03-31/functions/{system.stack.scheduler_function}/invocations"
    with urllib.request.urlopen(urllib.request.Request(url, b"{}", method="POST")) as answer:
        assert "FunctionError" not in str(answer.headers)


def test_with_the_poller_dead_the_job_of_a_dead_sandbox_is_back_with_its_lease_and_one_pass(system):
    jid = system.client.enqueue("pause", 1, 60)
    system.wait(lambda: read(system.ledger))
    system.stack.kill_poller()
    os.kill(read(system.ledger)[jid][0].pid, signal.SIGKILL)
    ((lease, deadline),) = system.db.zrange("sidelamb:leases", 0, -1, withscores=True)
    scheduler_pass(system)
    assert system.db.hlen(f"sidelamb:lease:{lease.decode()}"), "it may still run"
    assert deadline - time.time() < 30 + 10 + 10, "start_by, the function's timeout, and the margin"
    system.wait(lambda: time.time() > deadline, 60)
    scheduler_pass(system)
    (raw,) = system.db.lrange("sidelamb:alone:default", 0, -1) or system.db.lrange("queue:default", 0, -1)
    assert (json.loads(raw)["jid"], json.loads(raw)["kills"]) == (jid, 1), "it ran alone, so it is charged"
    system.stack.restart_poller()
    system.wait(lambda: len(read(system.ledger)[jid]) == 2, 5)
