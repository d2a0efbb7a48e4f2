"""What AWS asks, in US dollars: the one table that `sidelamb cost` and docs/cost.md reckon with.

Looked up on 2026-11-23, for us-east-1, on demand, without free tiers, taxes and discounts. Other regions are often
10 to 30 % dearer. Prices change: compare with AWS's own pages before you decide by them, and correct them here.
"""

from __future__ import annotations

from dataclasses import dataclass

__all__ = ["PRICES", "Prices"]


@dataclass(frozen=True, slots=True)
class Prices:
    """Of one region; GB as each service counts them."""

    date: str
    region: str
    lambda_gb_s: float
    """arm64, for each GB of memory and second."""
    lambda_request: float
    fargate_vcpu_h: float
    """Linux on arm64."""
    fargate_gb_h: float
    redis_node_h: float
    """The smallest ElastiCache node, cache.t4g.micro with Valkey."""
    address_h: float
    """A public IPv4 address in use."""
    nat_h: float
    nat_gb: float
    endpoint_h: float
    """An interface endpoint, in each zone."""
    endpoint_gb: float
    logs_gb: float
    """CloudWatch Logs, taken in."""
    metric_month: float
    """A custom metric: each name with each set of dimension values is one."""
    alarm_month: float
    sqs_request: float
    """A standard queue; each 64 KB of a message is one request."""


PRICES = Prices(
    date="2026-11-23",
    region="us-east-1",
    lambda_gb_s=0.0000133334,
    lambda_request=0.20 / 1e6,
    fargate_vcpu_h=0.03238,
    fargate_gb_h=0.00356,
    # From memory: 0.016 for Redis OSS, less the 20 % that Valkey nodes are cheaper. All others were looked up.
    redis_node_h=0.0128,
    address_h=0.005,
    nat_h=0.045,
    nat_gb=0.045,
    endpoint_h=0.01,
    endpoint_gb=0.01,
    logs_gb=0.50,
    metric_month=0.30,
    alarm_month=0.10,
    sqs_request=0.40 / 1e6,
)
