"""The user's own sections of a template."""

from __future__ import annotations

import pytest

from sidelamb_local.errors import LocalStackError
from sidelamb_local.marked import renewed, sections

OLD = """\
Globals: 1
# --- yours: variables
  A: 1   # kept as it is

  B: !Ref C
# --- end of yours
Resources: old
  # --- yours: resources
  # --- end of yours
"""
NEW = """\
Globals: 2
# --- yours: variables
  # Put your own here.
# --- end of yours
Resources: new
  # --- yours: resources
  # None yet.
  # --- end of yours
  # --- yours: statements
  # A new place.
  # --- end of yours
"""


def test_the_lines_between_the_marks_are_the_users():
    assert sections(OLD, "t") == {
        "variables": ["  A: 1   # kept as it is", "", "  B: !Ref C"],
        "resources": [],
    }


def test_what_is_between_the_marks_stays_and_all_else_is_new():
    assert (
        renewed(OLD, NEW, "t")
        == """\
Globals: 2
# --- yours: variables
  A: 1   # kept as it is

  B: !Ref C
# --- end of yours
Resources: new
  # --- yours: resources
  # --- end of yours
  # --- yours: statements
  # A new place.
  # --- end of yours
"""
    )


def test_renewing_twice_changes_nothing_more():
    once = renewed(OLD, NEW, "t")
    assert renewed(once, NEW, "t") == once
    assert renewed(NEW, NEW, "t") == NEW


def test_a_section_that_the_new_template_has_no_place_for_is_not_dropped():
    with pytest.raises(
        LocalStackError, match="no place for: 'mine'; move their lines into 'variables', 'resources'"
    ):
        renewed("# --- yours: mine\nX: 1\n# --- end of yours\n", NEW, "t")
    only_comments = "# --- yours: mine\n# nothing\n\n# --- end of yours\n"
    assert renewed(only_comments, NEW, "t") == NEW


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("# --- yours: a\nx\n", "t: the section 'a' is not closed"),
        ("# --- yours: a\n# --- yours: b\n# --- end of yours\n", "t, line 2: the section 'a' is not closed"),
        ("x\n# --- end of yours\n", "t, line 2: .* without a beginning"),
        ("# --- yours: a\n# --- end of yours\n" * 2, "t, line 3: the section 'a' stands twice"),
    ],
)
def test_marks_that_do_not_match_are_refused_with_their_place(text, said):
    with pytest.raises(LocalStackError, match=said):
        renewed(text, NEW, "t")
