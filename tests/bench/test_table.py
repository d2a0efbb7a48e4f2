from bench.run import WORKLOADS
from bench.sample import Results, Sample
from bench.table import as_text, cells


def results(*peers: tuple[str, float]) -> Results:
    found = Results()
    for peer, rate in peers:
        found.add(Sample("W2", "20,000", peer, 0, {"rate": rate, "all_us": 1e6 / rate}))
    return found


def test_a_table_says_how_many_times_better_sidelamb_is():
    rows = cells(results(("sidelamb", 80_000.0), ("sidekiq", 20_000.0)), WORKLOADS["W2"], "20,000")
    assert rows[0] == ["", "jobs/s", "Sidelamb is", "CPU µs/job, all", "Sidelamb is"]
    assert rows[1] == ["sidelamb", "80,000", "", "12.5", ""]
    assert rows[2] == ["sidekiq", "20,000", "4.00 \N{MULTIPLICATION SIGN}", "50.0", "4.00 \N{MULTIPLICATION SIGN}"]


def test_where_sidelamb_is_worse_the_number_is_below_one():
    rows = cells(results(("sidelamb", 10_000.0), ("limit", 40_000.0)), WORKLOADS["W2"], "20,000")
    assert rows[2][2] == "0.25 \N{MULTIPLICATION SIGN}"


def test_without_sidelamb_nothing_is_compared():
    rows = cells(results(("rq", 60.0), ("huey", 4_000.0)), WORKLOADS["W2"], "20,000")
    assert "Sidelamb is" not in rows[0]


def test_as_text_numbers_stand_below_each_other():
    assert as_text([["", "n"], ["one", "1"], ["two", "22"]]) == ["      n", "one   1", "two  22"]
