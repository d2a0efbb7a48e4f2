import xml.etree.ElementTree as ET

from hypothesis import given
from hypothesis import strategies as st

from bench.page import markdown, plots
from bench.plot import bars, lines
from bench.sample import Results, Sample

ABOUT = {
    "machine": {"cpu": "a fast one", "cores": 2},
    "command": "python -m bench",
    "runs": 5,
    "versions": {"sidekiq": {"sidekiq": "6.4.1", "ruby": "3.1.2"}},
}


def results(rate: float) -> Results:
    found = Results(dict(ABOUT))
    for case in ("20,000", "200,000"):
        found.add(Sample("W2", case, "sidelamb", 0, {"rate": rate}))
    found.add(Sample("W2", "20,000", "dramatiq", 0, {"rate": 5_000.0}))
    return found


def test_the_page_names_machine_versions_and_command():
    page = markdown(results(90_000.0))
    assert "| cpu | a fast one |" in page
    assert "| sidekiq | sidekiq 6.4.1, ruby 3.1.2 |" in page
    assert "```sh\npython -m bench\n" in page


def test_the_page_says_what_was_missed():
    assert "| ≥ 16.00 | 18.00 | reached |" in markdown(results(90_000.0))
    assert "| ≥ 16.00 | 2.00 | **missed** |" in markdown(results(10_000.0))


def test_the_page_says_what_failed():
    found = results(90_000.0)
    found.about["failed"] = ["W3: rq: it ended"]
    assert "## What failed\n\n- W3: rq: it ended" in markdown(found)


def test_every_plot_of_the_page_is_written():
    found = results(90_000.0)
    for name in plots(found):
        assert f"(plots/{name})" in markdown(found)


def test_a_name_cannot_break_a_plot():
    svg = bars("<W2> & more", [("a<b>&c", 3.0), ("sidelamb", 5.0)], ours="sidelamb")
    ET.fromstring(svg)


def test_a_plot_reads_on_dark_pages_too():
    assert "prefers-color-scheme: dark" in bars("t", [("a", 1.0)])


@given(
    st.lists(st.tuples(st.text(max_size=5).filter(str.isprintable), st.floats(0, 1e9)), max_size=8), st.booleans()
)
def test_bars_are_well_formed_and_stay_inside(rows, log):
    root = ET.fromstring(bars("title", rows, log=log))
    for rect in root.iter("{http://www.w3.org/2000/svg}rect"):
        assert 0 < float(rect.get("width", "0")) <= 760 - 190 - 120 + 0.1


@given(st.lists(st.lists(st.tuples(st.floats(0, 1e6), st.floats(0, 1e9)), min_size=1, max_size=20), max_size=5))
def test_lines_are_well_formed_and_stay_inside(series):
    named = [(f"line {n}", points) for n, points in enumerate(series)]
    root = ET.fromstring(lines("title", named, across="s", up="jobs"))
    for line in root.iter("{http://www.w3.org/2000/svg}polyline"):
        for point in line.get("points", "").split():
            x, y = map(float, point.split(","))
            assert -0.1 <= x <= 760
            assert -0.1 <= y <= 320
