import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from bench.model.environments import Environments
from bench.model.given import Given, backlog, steady
from bench.model.page import markdown, plots
from bench.model.poller import shares, through_poller
from bench.model.scenarios import LOADS, WAYS, results
from bench.model.sqs import allowed, through_sqs
from sidelamb.keys import source_of
from sidelamb.link import Link
from sidelamb.store import Store
from sidelamb_handlers.event import MOST_BYTES
from sidelamb_handlers.prices import PRICES

AWS = Given()


@settings(max_examples=30, deadline=None)
@given(waiting=st.integers(1, 300), slots=st.integers(1, 40), most=st.integers(1, 50))
@example(waiting=12_000, slots=10, most=2_000)
@example(waiting=11_000, slots=1, most=20_000)
def test_jobs_are_shared_out_as_the_reserve_script_does(redis_server_url, waiting, slots, most):
    link, store = Link(redis_server_url), Store()
    link.command(b"FLUSHALL")
    link.run(store.enqueue([("default", b'{"n":%d}' % n) for n in range(waiting)]))
    reserved = link.run(
        store.reserve(
            [f"default:{n:016x}" for n in range(slots)],
            ["default"],
            capsule="default",
            poller="p",
            expires=2e9,
            cap=slots,
            most_jobs=most,
            most_bytes=MOST_BYTES,
            extra_bytes=10,
        )
    )
    link.close()
    assert [len(held.jobs) for held in reserved.leases] == shares(waiting, slots, most)
    assert {source_of(f)[0] for held in reserved.leases for f in held.jobs} == {"default"}


@pytest.mark.parametrize("jobs", [backlog(5_000, 0.02), steady(500, 10, 0.02)], ids=["backlog", "steady"])
@pytest.mark.parametrize("way", WAYS, ids=lambda way: way.__name__)
def test_every_job_runs_once_and_none_before_it_came(way, jobs):
    outcome = way(jobs, AWS)
    assert len(outcome.waits) == jobs.count
    assert min(outcome.waits) >= 0
    assert outcome.ended >= jobs.at(jobs.count - 1)


def test_one_job_an_invocation_makes_as_many_invocations_as_jobs():
    assert through_poller("one", backlog(3_000, 0.02), AWS, most=1).invocations == 3_000


def test_packing_makes_few_invocations_and_costs_less():
    jobs = backlog(100_000, 0.02)
    packed, alone = (through_poller("", jobs, AWS, most=most) for most in (1_000, 1))
    assert packed.invocations < alone.invocations / 20
    assert packed.dollars(AWS, PRICES) < alone.dollars(AWS, PRICES)
    assert packed.ended < alone.ended


def test_nothing_is_faster_than_its_environments_can_be():
    jobs = backlog(20_000, 0.1)
    given = Given(concurrency=100)
    outcome = through_poller("", jobs, given, most=1_000)
    assert outcome.ended > 20_000 * 0.1 * 0.95 / 100
    assert outcome.cold_starts == 100


def test_an_environment_takes_ten_requests_a_second_at_most():
    environments = Environments(Given(concurrency=1))
    first = environments.take(0.0)
    assert first is not None
    assert environments.take(0.001) is None
    environments.give_back(first.at, first.at + 0.01)
    assert environments.take(first.at + 0.09) is None
    assert environments.take(first.at + 0.1) is not None


def test_new_environments_start_a_thousand_at_once_and_a_hundred_a_second_after():
    environments = Environments(Given(concurrency=10_000))
    assert sum(environments.take(0.0) is not None for _ in range(2_000)) == 1_000
    assert sum(environments.take(1.0) is not None for _ in range(2_000)) == 100


def test_a_throttle_lowers_the_number_in_flight_as_the_poller_s_own_limit_does():
    given = Given(concurrency=50, new_at_once=10, new_per_s=0.0)
    outcome = through_poller("", backlog(5_000, 0.02), given, most=10)
    assert outcome.throttles > 0
    assert outcome.cold_starts == 10
    assert len(outcome.waits) == 5_000


def test_sqs_begins_with_five_and_adds_three_hundred_a_minute_up_to_its_most():
    assert [allowed(s, AWS) for s in (0, 12, 60, 600)] == [5, 65, 305, 1_250]


def test_sqs_takes_ten_messages_at_most():
    outcome = through_sqs(backlog(1_000, 0.02), AWS)
    assert outcome.invocations == 100
    assert outcome.queue_requests == 1_000 + 2 * 100


def test_the_same_given_gives_the_same_outcome():
    first, second = (list(results(AWS, 0.002)) for _ in range(2))
    assert [figures for _, figures in first] == [figures for _, figures in second]


def test_the_page_has_every_load_with_its_plot():
    found: dict[str, list] = {}
    for load, figures in results(AWS, 0.002):
        found.setdefault(load.name, []).append(figures)
    page = markdown(AWS, found)
    assert sorted(plots(found)) == sorted(f"model-{load.name}.svg" for load in LOADS)
    for load in LOADS:
        assert f"## {load.title}" in page
        assert f"plots/model-{load.name}.svg" in page
    assert page.count("| SQS → Lambda |") == len(LOADS)
