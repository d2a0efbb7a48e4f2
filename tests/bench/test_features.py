from __future__ import annotations

from bench.features import FEATURES, markdown

TIME = {"median": 12.4, "interval": [10.0, 15.6]}
COUNTS = {"enqueue_trips": 0.0, "run_trips": 1.0, "enqueue_commands": 2.0, "run_commands": 7.25}
FOUND = {
    "machine": {"cpu": "a fast one"},
    "jobs": 500,
    "rounds": 11,
    "features": {name: {"enqueue_us": TIME, "run_us": TIME, **COUNTS} for name in FEATURES},
}


def test_the_page_says_what_is_added_and_names_each_features_page():
    page = markdown(FOUND)
    assert "- cpu: a fast one" in page
    assert "| a plain job | 12 (10 to 16) | 12 (10 to 16) | 0.00 | 1.00 | 2.00 | 7.25 |" in page
    row = "| [unique](how-to/unique.md) | +12 (10 to 16) | +12 (10 to 16) | +0.00 | +1.00 | +2.00 | +7.25 |"
    assert row in page
