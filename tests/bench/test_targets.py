from bench.sample import Results, Sample
from bench.targets import TARGETS, verdicts


def results(**rates: float) -> Results:
    found = Results()
    for peer, rate in rates.items():
        found.add(Sample("W2", "200,000", peer, 0, {"rate": rate, "all_us": 20.0}))
    return found


def test_only_what_was_measured_is_judged():
    assert verdicts(Results()) == []
    words = [verdict.target.words for verdict in verdicts(results(sidelamb=1.0))]
    assert [one for one in words if "measured elsewhere" not in one] == ["CPU µs a job, all processes and Redis"]


def test_those_who_cannot_be_measured_here_are_held_to_what_they_reached_elsewhere():
    found = [one for one in verdicts(results(sidelamb=80_000.0)) if "measured elsewhere" in one.target.words]
    assert [(one.target.want, one.met) for one in found] == [(73_000, True), (86_520, False)]


def test_a_ratio_below_the_target_is_a_miss():
    missed, *_ = verdicts(results(sidelamb=79_000.0, sidekiq=20_000.0))
    assert (round(missed.value, 2), missed.met) == (3.95, False)
    reached, *_ = verdicts(results(sidelamb=80_000.0, sidekiq=20_000.0))
    assert reached.met


def test_the_best_of_several_peers_is_the_one_that_counts():
    found = Results()
    for peer, rate in (("sidelamb", 1_300.0), ("rq", 100.0), ("huey", 1_000.0)):
        found.add(Sample("W1", "single", peer, 0, {"rate": rate}))
    (verdict,) = verdicts(found)
    assert round(verdict.value, 6) == 1.3


def test_growth_is_judged_by_ratios_of_the_same_round_with_their_interval():
    found = Results()
    for n in range(6):
        found.add(Sample("W11", "10,000 queued", "sidelamb", n, {"rate": 100.0 * (n + 1)}))
        found.add(Sample("W11", "1,000,000 queued", "sidelamb", n, {"rate": 98.0 * (n + 1)}))
    (verdict,) = verdicts(found)
    assert verdict.met
    assert verdict.spread is not None
    assert [round(each, 2) for each in (verdict.value, *verdict.spread)] == [0.98, 0.98, 0.98]


def test_too_few_rounds_give_no_interval():
    found = Results()
    for n in range(5):
        found.add(Sample("W11", "10,000 queued", "sidelamb", n, {"rate": 100.0}))
        found.add(Sample("W11", "100,000 queued", "sidelamb", n, {"rate": 90.0}))
    (verdict,) = verdicts(found)
    assert (verdict.met, verdict.spread) == (False, None)


def test_every_target_names_a_workload_and_a_number():
    assert all(target.workload in {f"W{n}" for n in range(1, 12)} and target.want > 0 for target in TARGETS)
