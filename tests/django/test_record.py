"""What is kept of a task, where Django is not needed to keep it."""

from __future__ import annotations

import json

from sidelamb.django.record import ERRORS_KEPT, MOST_TRACEBACK, beginning, described, ending
from sidelamb.effects import Ended, Event
from sidelamb_handlers.failure import killed

PAYLOAD = {"class": "shop.tasks.add", "jid": "j", "queue": "default", "args": [1], "django": "default", "retry": 2}


def fields(ended: Ended) -> dict[str, str]:
    noted = [effect for effect in ending(ended) if effect.verb == "note"]
    pairs = noted[0].args if noted else ()
    return {str(name): str(value) for name, value in zip(pairs[::2], pairs[1::2], strict=True)}


def error(ended: Ended, attempt: int = 1) -> list[str]:
    said: list[str] = json.loads(fields(ended)[f"error:{attempt}"])
    return said


def test_what_a_task_was_is_kept_as_json():
    (effect,) = beginning(PAYLOAD, 1.0, 5.0)
    assert effect.keys == ("sidelamb:status:j",)
    assert json.loads(str(effect.args[1])) == {
        "path": "shop.tasks.add",
        "backend": "default",
        "queue": "default",
        "run_after": 5.0,
        "args": [1],
        "kwargs": {},
    }


def test_the_error_of_a_sandbox_that_is_gone_is_kept_without_a_traceback():
    decision = killed(PAYLOAD, "signal: killed", queue="default", now=1.0, random=lambda: 0.5)
    assert decision.event is Event.FAILED
    path, text = error(Ended(PAYLOAD, decision.event, 1.0, decision.changes))
    assert path == "sidelamb_handlers.judge.SandboxKilled"
    assert text == "SandboxKilled: signal: killed (kill 1 of 3)\n"


def test_dying_of_an_error_that_is_kept_already_keeps_no_second_one():
    failed = {**PAYLOAD, "retry_count": 0, "error_class": "ValueError"}
    assert fields(Ended(failed, Event.DIED, 1.0, {"doomed": False})) == {}
    assert error(Ended(failed, Event.DIED, 1.0, error=ValueError("x")), 2)[0] == "builtins.ValueError"


def test_an_end_without_an_error_says_what_it_was():
    assert error(Ended(PAYLOAD, Event.DELETED, 1.0)) == ["sidelamb.control.Discard", "a person has deleted it\n"]
    assert "cancelled" in error(Ended(PAYLOAD, Event.DISCARDED, 1.0))[1]
    assert fields(Ended(PAYLOAD, Event.SUCCEEDED, 1.0)) == fields(Ended(PAYLOAD, Event.PUT_OFF, 1.0)) == {}


def test_of_many_errors_the_last_are_kept_and_of_a_long_traceback_its_end():
    late = {**PAYLOAD, "retry_count": 30}
    assert fields(Ended(late, Event.FAILED, 1.0, error=ValueError("x")))[f"error:{32 - ERRORS_KEPT}"] == ""
    path, text = described(ValueError("y" * 50_000 + "end"))
    assert (path, len(text), text[-4:]) == ("builtins.ValueError", MOST_TRACEBACK, "end\n")
