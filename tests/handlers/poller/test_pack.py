"""How many jobs an invocation carries is learned from how long they take."""

from __future__ import annotations

import pytest

from sidelamb_handlers.poller.pack import FIRST, TARGET_S, Pack


def test_before_the_first_answer_it_is_the_capsules_number_but_not_many():
    assert Pack(30).size == 30
    assert Pack(1_000).size == FIRST


def test_short_jobs_fill_an_invocation():
    pack = Pack(1_000)
    pack.ran(100, 100.0)
    assert pack.size == 1_000


def test_long_jobs_travel_alone():
    pack = Pack(100)
    pack.ran(1, 60_000.0)
    assert pack.size == 1


def test_an_invocation_takes_about_its_target():
    pack = Pack(100)
    pack.ran(10, 1_000.0)
    assert pack.size == TARGET_S / 0.1


def test_threads_carry_more():
    pack = Pack(100, threads=4)
    pack.ran(4, 1_000.0)
    assert pack.size == TARGET_S * 4


def test_no_thread_is_without_a_job_while_others_run_their_last():
    pack = Pack(4_000, threads=320)
    pack.ran(320, 1_020.0)
    assert pack.size == 2 * 320


def test_long_jobs_are_as_many_as_there_are_threads():
    pack = Pack(100, threads=25)
    pack.ran(25, 10_000.0)
    assert pack.size == 25
    few = Pack(10, threads=25)
    few.ran(10, 10_000.0)
    assert few.size == 10


def test_fewer_jobs_than_threads_ran_side_by_side():
    pack = Pack(100, threads=8)
    pack.ran(1, 1_000.0)
    assert pack.size == TARGET_S * 8


def test_one_odd_answer_moves_it_only_a_little_and_many_convince_it():
    pack = Pack(100)
    pack.ran(10, 1_000.0)
    before = pack.size
    pack.ran(10, 2_000.0)
    assert before * 0.7 < pack.size < before
    for _ in range(30):
        pack.ran(10, 2_000.0)
    assert pack.size == pytest.approx(TARGET_S / 0.2, abs=1)


def test_many_jobs_at_once_convince_it_sooner_than_one_after_the_other():
    pack = Pack(4_000)
    for _ in range(30):
        pack.ran(1, 6.0)  # mostly what an invocation takes by itself
    assert pack.size < 400
    pack.ran(300, 6.0)
    assert pack.size > 1_500
    pack.ran(1_500, 30.0)
    assert pack.size == 4_000


def test_a_few_quick_jobs_do_not_hide_that_others_are_slow():
    pack = Pack(4_000)
    pack.ran(4_000, 40.0)
    pack.ran(2, 5_000.0)
    assert pack.size < 10
    pack.ran(4, 0.1)
    assert pack.size < 10


@pytest.mark.parametrize("ran", [0, -1])
def test_an_invocation_that_ran_nothing_teaches_nothing(ran):
    pack = Pack(100)
    pack.ran(ran, 30_000.0)
    assert pack.size == 100


def test_jobs_that_took_no_time_at_all_do_not_divide_by_it():
    pack = Pack(100)
    pack.ran(5, 0.0)
    assert pack.size == 100
