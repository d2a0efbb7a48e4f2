import json

from bench.sample import Results, Sample


def results() -> Results:
    found = Results({"runs": 3})
    for n, rate in enumerate((100.0, 300.0, 200.0)):
        found.add(Sample("W2", "20,000", "sidelamb", n, {"rate": rate}))
        found.add(Sample("W4", "idle", "sidelamb", n, {"start_ms": [rate, rate + 1]}))
    found.add(Sample("W10", "cold", "sidelamb", 0, {"ms": 5.0}))
    return found


def test_the_median_is_taken_over_the_rounds():
    assert results().median("W2", "20,000", "sidelamb", "rate") == 200


def test_a_percentile_is_taken_over_the_samples_of_all_rounds():
    assert results().median("W4", "idle", "sidelamb", "start_ms.p99") == 301
    assert results().median("W4", "idle", "sidelamb", "start_ms.p50") == 200


def test_a_name_may_look_a_little_like_a_percentile():
    found = Results({}, [Sample("W11", "API", "sidelamb", 0, {"Queue.page, anywhere_ms": 2.5})])
    assert found.median("W11", "API", "sidelamb", "Queue.page, anywhere_ms") == 2.5


def test_what_was_not_measured_has_no_median():
    assert results().median("W2", "20,000", "rq", "rate") is None
    assert results().median("W4", "idle", "rq", "start_ms.p50") is None


def test_workloads_stand_in_the_order_of_their_numbers():
    assert results().workloads == ["W2", "W4", "W10"]


def test_results_come_back_from_json_as_they_were():
    before = results()
    assert Results.from_json(json.loads(json.dumps(before.to_json()))) == before
