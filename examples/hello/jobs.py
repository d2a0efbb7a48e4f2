"""The jobs of this app. A worker runs what is declared here; see SIDELAMB_JOBS in template.yaml."""

from sidelamb import job


@job
def greet(name: str) -> None:
    """Try it: sidelamb enqueue jobs.greet world."""
    print(f"Hello, {name}!")
