"""What arguments by annotation cost: `python -m bench.arguments`, µs each at the call and at the run."""

from __future__ import annotations

import datetime as dt
import timeit
from dataclasses import dataclass
from decimal import Decimal
from uuid import UUID

from pydantic import BaseModel

from sidelamb.template import Shape

CALLS = 20_000


@dataclass
class Line:
    sku: str
    price: Decimal


class Order(BaseModel):
    id: UUID
    lines: list[Line]


def plain(value: int) -> None: ...


def moment(value: dt.datetime) -> None: ...


def uuid(value: UUID) -> None: ...


def model(value: Order) -> None: ...


VALUES = {
    moment: dt.datetime(2027, 1, 1, tzinfo=dt.UTC),
    uuid: UUID(int=7),
    model: Order(id=UUID(int=7), lines=[Line("A1", Decimal("1.10")), Line("B2", Decimal("2.20"))]),
}


def main() -> None:
    assert Shape("plain", plain).codec is None
    print("plain     nothing")
    for function, value in VALUES.items():
        codec = Shape(function.__name__, function).codec
        assert codec is not None
        args, _ = codec.encode((value,), {})
        sent, run = (
            min(timeit.repeat(lambda: work(given, {}), number=CALLS, repeat=5)) / CALLS * 1e6  # noqa: B023 - at once
            for work, given in ((codec.encode, (value,)), (codec.decode, args))
        )
        print(f"{function.__name__:8}  {sent:5.1f} at the call, {run:5.1f} at the run")


if __name__ == "__main__":
    main()
