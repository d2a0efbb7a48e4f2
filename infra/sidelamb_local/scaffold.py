"""The files that make a folder an app on AWS: what `sidelamb init` writes, as texts.

The template is the one of this release. Names come from the stack's, so that several environments and several apps
live in one account without meeting each other.
"""

from __future__ import annotations

import importlib.metadata
from pathlib import Path

from sidelamb_local import deploy
from sidelamb_local.deploy.assemble import assembled

__all__ = ["MAKEFILE", "RULES", "SAMCONFIG", "TEMPLATE", "files", "rules", "template"]

TEMPLATE = "template.yaml"
SAMCONFIG = "samconfig.toml"
MAKEFILE = "Makefile"
RULES = "sidelamb.mk"

MAKE = f"""\
# `sam build` makes the functions' bundles by these rules. What you add here is yours.
include {RULES}
"""

JOBS = '''\
"""The jobs of this app. A worker runs what is declared here; see SIDELAMB_JOBS in template.yaml."""

from sidelamb import job


@job
def greet(name: str) -> None:
    """Try it: sidelamb enqueue jobs.greet world."""
    print(f"Hello, {name}!")
'''

GITIGNORE = """\
.aws-sam/
.sidelamb/
.venv/
__pycache__/
"""


def files(stack: str) -> dict[str, str]:
    """Return the texts by file name, for a stack of this name."""
    return {
        TEMPLATE: template(),
        SAMCONFIG: samconfig(stack),
        MAKEFILE: MAKE,
        RULES: rules(),
        "jobs.py": JOBS,
        "requirements.txt": requirements(),
        "poller/requirements.txt": poller_requirements(),
        ".gitignore": GITIGNORE,
    }


def template() -> str:
    """Return the template of this release, with empty sections for its user."""
    return assembled()


def rules() -> str:
    """Return how `sam build` makes a bundle, for make."""
    return Path(deploy.__path__[0], RULES).read_text()


def requirements() -> str:
    """Return what the functions need; boto3 is in Lambda's own runtime and stays out."""
    return (
        "# What the functions on AWS need. What your jobs import goes here too.\n"
        f"sidelamb=={importlib.metadata.version('sidelamb')}\n"
        "aws-lambda-powertools>=3.20\n"
        "hiredis>=3.2\n"
    )


def poller_requirements() -> str:
    """Return what the poller needs on Fargate, where no AWS library is there already."""
    return (
        "# What the poller's task runs. Your jobs do not run in it: their imports go into the other file.\n"
        f"sidelamb=={importlib.metadata.version('sidelamb')}\n"
        "botocore>=1.40\n"
        "aiohttp>=3.12\n"
        "hiredis>=3.2\n"
    )


def samconfig(stack: str) -> str:
    """Return SAM's settings: `sam build && sam deploy` for one stack, `--config-env staging` for another."""
    return f"""\
# Settings of `sam build` and `sam deploy`. `sam deploy --guided` asks for the rest and writes it here.
# A stack more of the same app: sam deploy --config-env staging
version = 0.1

[default.global.parameters]
stack_name = "{stack}"

[default.build.parameters]
cached = true

[default.validate.parameters]
lint = true

[default.deploy.parameters]
resolve_s3 = true
s3_prefix = "{stack}"
capabilities = "CAPABILITY_IAM"
confirm_changeset = true

[staging.global.parameters]
stack_name = "{stack}-staging"

[staging.deploy.parameters]
resolve_s3 = true
s3_prefix = "{stack}-staging"
capabilities = "CAPABILITY_IAM"
confirm_changeset = true
"""
