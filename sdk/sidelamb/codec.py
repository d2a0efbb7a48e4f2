"""Arguments by annotation: what a job's types say is sent as plain JSON, and comes back as these types.

    @job
    def remind(order: Order, when: datetime, ids: list[UUID]) -> None: ...

pydantic does both, for every type that it knows. A call is checked where it stands, and the value must come back
equal: what an annotation cannot carry (a datetime as `datetime | str`, a subclass as its base) is refused there
rather than changed on its way. Arguments whose annotations are plain, or say nothing, are not looked at here.
"""

from __future__ import annotations

import inspect
from typing import TYPE_CHECKING, Any, NoReturn

from sidelamb.annotations import Unresolved, is_carried, is_plain, is_said_plain, resolved
from sidelamb.errors import BadArgument, ConfigError
from sidelamb.late import late_import
from sidelamb.wording import shown

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from pydantic import TypeAdapter, ValidationError

__all__ = ["Codec", "codec_of"]

MOST_TOLD = 3
"""Places of a value that an error names."""


def codec_of(
    job: str, function: Callable[..., Any], signature: inspect.Signature
) -> tuple[Codec | None, dict[str, str]]:
    """Return what carries a job's arguments, None if nothing has to; and by argument, why its type is not carried.

    Args:
        job: its wire name.
        function: what a worker calls.
        signature: of the function.
    """
    typed: dict[str, Argument] = {}
    hints: dict[str, str] = {}
    for name, parameter in signature.parameters.items():
        if is_said_plain(parameter.annotation):
            continue
        try:
            annotation = resolved(parameter.annotation, function)
        except Unresolved as error:
            hints[name] = (
                f"its annotation {parameter.annotation!r} says nothing, for it cannot be resolved ({error}): "
                "import the type outside of `if TYPE_CHECKING`"
            )
            continue
        if not is_plain(annotation):
            _take(job, name, annotation, typed, hints)
    return (Codec(signature, typed) if typed else None), hints


def _take(job: str, name: str, annotation: Any, typed: dict[str, Argument], hints: dict[str, str]) -> None:
    try:
        with late_import:
            from pydantic import PydanticUserError, TypeAdapter  # noqa: PLC0415 - few jobs need it
    except ImportError:
        if is_carried(annotation):
            typed[name] = _Lacking(job, name, annotation)
        return
    try:
        typed[name] = _Carried(job, name, annotation, TypeAdapter(annotation))
    except (PydanticUserError, NameError, TypeError) as error:
        if is_carried(annotation):
            hints[name] = f"its annotation is not carried: {str(error).partition(chr(10))[0]}"


class Codec:
    """Carries the arguments of one job.

    Args:
        signature: of its function.
        typed: what carries an argument, by the name of its parameter.
    """

    def __init__(self, signature: inspect.Signature, typed: Mapping[str, Argument]) -> None:
        self._positional: list[Argument | None] = []
        self._rest: Argument | None = None
        self._named: dict[str, Argument] = {}
        self._others: Argument | None = None
        for name, parameter in signature.parameters.items():
            one = typed.get(name)
            if parameter.kind is parameter.VAR_POSITIONAL:
                self._rest = one
            elif parameter.kind is parameter.VAR_KEYWORD:
                self._others = one
            else:
                if parameter.kind is not parameter.KEYWORD_ONLY:
                    self._positional.append(one)
                if one is not None and parameter.kind is not parameter.POSITIONAL_ONLY:
                    self._named[name] = one
        self._known = {p.name for p in signature.parameters.values() if p.kind is not p.POSITIONAL_ONLY}

    def encode(
        self, args: Sequence[Any], kwargs: Mapping[str, Any], first: int = 0
    ) -> tuple[list[Any], dict[str, Any]]:
        """Return the arguments of a call as plain JSON; the positional ones from the parameter number `first` on.

        Raises:
            BadArgument: one is not of its type, or would not come back as it is.
        """
        return (
            [one.encode(value) if (one := self._at(n)) else value for n, value in enumerate(args, first)],
            {key: one.encode(value) if (one := self._of(key)) else value for key, value in kwargs.items()},
        )

    def decode(self, args: Sequence[Any], kwargs: Mapping[str, Any]) -> tuple[list[Any], dict[str, Any]]:
        """Return the arguments in a payload as the function takes them.

        Raises:
            BadArgument: one does not fit its type.
        """
        return (
            [one.decode(value) if (one := self._at(n)) else value for n, value in enumerate(args)],
            {key: one.decode(value) if (one := self._of(key)) else value for key, value in kwargs.items()},
        )

    def item(self, item: Any) -> Any:
        """Return one item of `enqueue_many` as plain JSON, or as it is if it is none. Raises as `encode`."""
        if isinstance(item, tuple):
            return tuple(self.encode(item, {})[0])
        return self.encode((), item)[1] if type(item) is dict else item

    def _at(self, n: int) -> Argument | None:
        return self._positional[n] if n < len(self._positional) else self._rest

    def _of(self, key: str) -> Argument | None:
        return self._named.get(key) if key in self._known else self._others


class Argument:
    """Carries one argument.

    Args:
        job: wire name of the job.
        name: of its parameter.
        annotation: of the parameter.
    """

    def __init__(self, job: str, name: str, annotation: Any) -> None:
        self._where = f"{job}: argument {name!r}"
        self._type = inspect.formatannotation(annotation)

    def encode(self, value: Any) -> Any:
        """Return a value as plain JSON."""
        raise NotImplementedError

    def decode(self, value: Any) -> Any:
        """Return a value of the parameter's type."""
        raise NotImplementedError


class _Carried(Argument):
    """One that pydantic carries."""

    def __init__(self, job: str, name: str, annotation: Any, adapter: TypeAdapter[Any]) -> None:
        super().__init__(job, name, annotation)
        self._dump = adapter.dump_python
        self._validate = adapter.validate_python

    def encode(self, value: Any) -> Any:
        from pydantic import ValidationError  # noqa: PLC0415 - it is there
        from pydantic_core import PydanticSerializationError  # noqa: PLC0415 - the same

        try:
            given = self._validate(value)
            sent = self._dump(given, mode="json", by_alias=True, round_trip=True, warnings="error")
            back = self._validate(sent, by_alias=True, by_name=True)
        except ValidationError as error:
            raise BadArgument(f"{self._where} is not {self._type}: {_told(error)}") from None
        except PydanticSerializationError as error:
            raise BadArgument(f"{self._where} cannot be sent as {self._type}: {error}") from None
        if back != given and _can_be_equal(given):
            raise BadArgument(
                f"{self._where} is {shown(given)}, and would come back as {shown(back)}: {self._type} cannot "
                "carry it; say in the annotation what is sent"
            )
        return sent

    def decode(self, value: Any) -> Any:
        from pydantic import ValidationError  # noqa: PLC0415 - it is there

        try:
            return self._validate(value, by_alias=True, by_name=True)
        except ValidationError as error:
            raise BadArgument(f"{self._where} does not fit {self._type}: {_told(error)}") from None


class _Lacking(Argument):
    """One that pydantic would carry, if it were there."""

    def encode(self, value: Any) -> NoReturn:  # noqa: ARG002 - whatever it is
        raise ConfigError(
            f"{self._where} is annotated {self._type}, which pydantic carries, and it is not installed here; "
            "pip install 'sidelamb[pydantic]', for the app and for the workers"
        )

    decode = encode


def _can_be_equal(value: Any) -> bool:
    """Say whether its class compares by what is in it, not by identity."""
    return getattr(type(value), "__eq__", None) is not vars(object)["__eq__"]


def _told(error: ValidationError) -> str:
    """Return what is wrong without the values: they may be secret, and messages are logged."""
    found = error.errors(include_url=False, include_context=False, include_input=False)
    told = [f"{'.'.join(map(str, each['loc']))}: {each['msg']}" if each["loc"] else each["msg"] for each in found]
    more = f" (and {len(told) - MOST_TOLD} more)" if len(told) > MOST_TOLD else ""
    return "; ".join(told[:MOST_TOLD]) + more
