"""Jobs whose annotations say what they take; postponed, as most are."""

from __future__ import annotations

import datetime as dt  # noqa: TC003 - the annotations are read
import enum
import uuid  # noqa: TC003 - the same
from dataclasses import dataclass, field
from decimal import Decimal  # noqa: TC003 - the same
from typing import TYPE_CHECKING, Annotated, Any, Literal, NewType

from pydantic import BaseModel, Field, SecretStr
from typing_extensions import TypedDict  # pydantic wants it before Python 3.12

from sidelamb import job

if TYPE_CHECKING:
    from fractions import Fraction

GOT: list[Any] = []
"""What the jobs were run with."""


class Color(enum.Enum):
    RED = "red"


class Size(enum.IntEnum):
    BIG = 3


@dataclass
class Line:
    sku: uuid.UUID
    price: Decimal
    when: dt.date | None = None
    tags: list[str] = field(default_factory=list)


@dataclass(eq=False)
class Odd:
    when: dt.date


class Order(BaseModel):
    number: int
    lines: list[Line]
    placed_at: dt.datetime = Field(alias="placedAt")


class Gift(Order):
    note: str


class Secret(BaseModel):
    word: SecretStr


class Address(TypedDict):
    city: str
    since: dt.date


class Plain:
    """What nothing can carry."""


@dataclass
class Wrapping:
    inner: Plain


Age = NewType("Age", int)
Stamp = NewType("Stamp", "dt.datetime")  # type: ignore[valid-newtype]


def every(
    when: dt.datetime,
    day: dt.date,
    at: dt.time,
    takes: dt.timedelta,
    which: uuid.UUID,
    price: Decimal,
    color: Color,
    size: Size,
    line: Line,
    order: Order,
    address: Address,
    /,
    *rest: dt.date,
    maybe: dt.datetime | None = None,
    many: list[Line] | None = None,
    by_name: dict[str, Decimal] | None = None,
    either: int | dt.date = 0,
    **others: uuid.UUID,
) -> None:
    GOT.append(((when, day, at, takes, which, price, color, size, line, order, address, *rest), locals()))


def plain(
    a: int, b: str | None, c: list[dict[str, int]], d: Age, e: Literal["x", 1], f: Any, *g: float
) -> None: ...


def one(value: Any) -> None:
    GOT.append(value)


def mixed(number: int, when: dt.datetime) -> None: ...


def bounded(number: Annotated[int, Field(gt=0)]) -> None: ...


def either(value: dt.datetime | str) -> None: ...


def order(value: Order) -> None:
    GOT.append(value)


def secret(value: Secret) -> None: ...


def odd(value: Odd) -> None: ...


def unresolved(value: Fraction, when: dt.date) -> None:
    GOT.append((value, when))


def unknown(value: Plain) -> None: ...


def wrapping(value: Wrapping) -> None: ...


def pair(value: tuple[int, dt.date]) -> None: ...


class User:
    @job(name="User.remind")
    @classmethod
    def remind(cls, when: dt.datetime) -> None: ...
