"""The template is put together from pieces, as texts."""

from __future__ import annotations

from pathlib import Path

import yaml

from sidelamb_local import deploy
from sidelamb_local.deploy.assemble import PIECES, assemble, assembled
from sidelamb_local.intrinsics import TemplateLoader

ONE = """\
# Of the piece alone.
Format: "1"
# About the whole.

Metadata:
  AWS::CloudFormation::Interface:
    ParameterGroups:
      - One

Resources:
  # Kept.
  A: 1

  B: 2
"""
TWO = """\
Metadata:
  AWS::CloudFormation::Interface:
    ParameterGroups:
      - Two
Resources:
  C: 3
Outputs:
  D: 4
"""


def test_each_section_stands_once_with_what_all_pieces_say_in_it():
    assert (
        assemble([ONE, TWO])
        == """\
Format: "1"
# About the whole.

Metadata:
  AWS::CloudFormation::Interface:
    ParameterGroups:
      - One
      - Two

Resources:
  # Kept.
  A: 1

  B: 2

  C: 3

Outputs:
  D: 4
"""
    )


def test_nothing_that_a_piece_has_is_lost_and_nothing_stands_twice():
    whole = yaml.load(assembled(), TemplateLoader)
    alone = [yaml.load(assemble([f"{text}\n"]), TemplateLoader) for text in texts()]
    for section in ("Parameters", "Conditions", "Resources", "Outputs"):
        names = [name for piece in alone for name in piece.get(section) or {}]
        assert list(whole[section]) == names
        assert len(set(names)) == len(names)


def texts():
    folder = Path(deploy.__file__).parent / "pieces"
    assert {path.stem for path in folder.iterdir()} == set(PIECES)
    return [(folder / f"{name}.yaml").read_text() for name in PIECES]


def test_every_parameter_is_in_a_group_where_the_console_shows_it():
    whole = yaml.load(assembled(), TemplateLoader)
    groups = whole["Metadata"]["AWS::CloudFormation::Interface"]["ParameterGroups"]
    shown = [name for group in groups for name in group["Parameters"]]
    assert sorted(shown) == sorted(whole["Parameters"])
