"""What `sidelamb dev` heard, kept for `sidelamb logs`."""

from __future__ import annotations

import threading

import pytest

from sidelamb_local.log_file import LogFile, Said, follow, kept


@pytest.fixture
def log(tmp_path):
    now = iter(range(1_000, 2_000))
    made = LogFile(tmp_path, clock=lambda: float(next(now)), most=200)
    yield made
    made.close()


def test_what_was_said_is_there_in_order_with_its_time(log, tmp_path):
    log.write("WorkerFunction", '{"a":\t1}')
    log.write("poller", "it runs")
    assert list(kept(tmp_path, 0)) == [Said(1000, "WorkerFunction", '{"a":\t1}'), Said(1001, "poller", "it runs")]
    assert [said.at for said in kept(tmp_path, 1001)] == [1001]


def test_nothing_was_said_and_there_is_no_file(tmp_path):
    LogFile(tmp_path / "not there").close()
    assert list(kept(tmp_path, 0)) == []
    assert list(tmp_path.iterdir()) == []


def test_it_keeps_two_files_and_no_more(log, tmp_path):
    for n in range(40):
        log.write("f", f"line {n} {'x' * 20}")
    lines = [said.line.split()[1] for said in kept(tmp_path, 0)]
    assert lines == [str(n) for n in range(40 - len(lines), 40)]
    assert sum(path.stat().st_size for path in tmp_path.iterdir()) < 600


def test_after_its_end_nothing_is_kept(log, tmp_path):
    log.close()
    log.write("f", "late")
    assert list(kept(tmp_path, 0)) == []


def test_a_line_that_is_none_is_passed_over(tmp_path):
    (tmp_path / "dev.log").write_text("not a line\n5\tonly a source\n5.5\tf\tgood\n")
    assert [said.line for said in kept(tmp_path, 0)] == ["good"]


def test_one_who_follows_gets_what_was_and_what_comes_over_a_change_of_files(log, tmp_path):
    """Each wait says the next lines, so that nothing is a matter of time."""
    log.write("f", "0 before")
    said = iter(range(1, 30))

    def wait(_seconds):
        n = next(said)
        log.write("f", f"{n} {'x' * 50}")
        log.write("f", f"{n} again")

    heard = []
    for one in follow(tmp_path, 0, wait):
        heard.append(one.line.split()[0])
        if heard[-1] == "20":
            break
    assert heard == ["0", *(str(n) for n in range(1, 20) for _ in range(2)), "20"]


def test_one_who_follows_waits_for_the_first_line(log, tmp_path):
    started = threading.Event()

    def wait(_seconds):
        if not started.is_set():
            started.set()
            log.write("f", "hello")

    assert next(follow(tmp_path, 0, wait)).line == "hello"


def test_half_a_line_is_not_shown_before_its_end(tmp_path):
    path = tmp_path / "dev.log"
    path.write_text("1.0\tf\tone\n2.0\tf\tha")

    def wait(_seconds):
        with path.open("a") as file:
            file.write("lf\n")

    lines = follow(tmp_path, 0, wait)
    assert [next(lines).line, next(lines).line] == ["one", "half"]
