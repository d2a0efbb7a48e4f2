"""The audit of a system that is busy."""

from __future__ import annotations

import threading
import time

from sidelamb.api import Audit
from tests.system.ledger import read


def test_an_audit_of_a_busy_system_finds_nothing_and_harms_nothing(system):
    jids: set[str] = set()

    def load() -> None:
        for n in range(600):
            jids.add(system.client.enqueue("quick", n) if n % 3 else system.client.enqueue_in(0.5, "quick", n))
            time.sleep(0.005)

    thread = threading.Thread(target=load)
    thread.start()
    findings, rounds = [], 0
    # in the order in which jobs move
    while thread.is_alive() or system.db.exists("schedule") or not system.at_rest():
        findings += Audit(system.client).run()
        rounds += 1
    assert rounds > 10
    assert findings == []
    assert {jid: len(runs) for jid, runs in read(system.ledger).items()} == dict.fromkeys(jids, 1)
