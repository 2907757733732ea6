"""TOML into msgspec Structs, field by field, so that every problem is found and not only the first.

A field that is wrong is reported and stands in as its default or as a blank, so that what lies
beside and behind it can be checked in the same pass. The result is usable only without problems.

    read_toml(path) ─ fill(raw, Struct, file) ─ (value, problems)

A type may carry a rule of its own: `Annotated[str, Meta(extra={"rule": rule})]`, where `rule`
takes the value and returns it, perhaps in normal form, or raises `Unfit`.
"""

import difflib
import math
import re
import tomllib
from datetime import time
from pathlib import Path
from typing import Any, TypeVar

from msgspec import inspect

from service.problems import Problem, within

SECRET = re.compile(
    r"(password|passwd|passphrase|secret|token|credential|private_?key)|key$", re.IGNORECASE
)
LONGEST_SHOWN = 60
Shape = TypeVar("Shape")


class Unfit(Exception):  # noqa: N818 - it says what would fit
    """A value that a rule does not take: `expected` says what it would, `found` what it saw."""

    def __init__(self, expected: str, found: str | None = None) -> None:
        super().__init__(expected)
        self.expected = expected
        self.found = found


def read_toml(path: Path) -> tuple[dict[str, Any], list[Problem]]:
    """The tables of one file; an empty table beside the problem where it cannot be read."""
    try:
        return tomllib.loads(path.read_text(encoding="utf-8")), []
    except OSError as error:
        wrong = Problem(str(path), "-", (error.strerror or "unreadable").lower(), "a readable file")
    except UnicodeDecodeError as error:
        wrong = Problem(str(path), f"byte {error.start}", "bytes that are not UTF-8", "UTF-8 text")
    except tomllib.TOMLDecodeError as error:
        said, _, place = str(error).partition(" (at ")
        wrong = Problem(str(path), place.rstrip(")") or "-", said, "TOML (https://toml.io)")
    except RecursionError:
        wrong = Problem(str(path), "-", "tables or lists nested without end", "a readable file")
    return {}, [wrong]


def fill(raw: object, kind: type[Shape], file: str) -> tuple[Shape, list[Problem]]:
    """`raw` (as tomllib gives it) as a `kind`, and everything that is wrong with it."""
    filling = _Filling(file)
    return filling.value(raw, inspect.type_info(kind), "", ""), filling.problems


class _Filling:
    def __init__(self, file: str) -> None:
        self.file = file
        self.problems: list[Problem] = []

    def wrong(self, key: str, found: str, expected: str, about: str) -> None:
        self.problems.append(Problem(self.file, key or "-", found, expected, about))

    def value(self, raw: object, kind: inspect.Type, key: str, about: str, said: str = "") -> Any:
        match kind:
            case inspect.StructType():
                return self.struct(raw, kind, key, about)
            case inspect.VarTupleType() if isinstance(raw, list):
                places = (f"{key}[{at}]" for at in range(len(raw)))
                return tuple(
                    self.value(one, kind.item_type, place, about)
                    for one, place in zip(raw, places, strict=True)
                )
            case inspect.DictType() if isinstance(raw, dict):
                return {
                    name: self.value(one, kind.value_type, f"{key}.{name}", about)
                    for name, one in raw.items()
                }
            case inspect.UnionType():
                return self.value(raw, _the_one(kind), key, about, said)
            case inspect.Metadata():
                return self.annotated(raw, kind, key, about)
            case _:
                return self.leaf(raw, kind, key, about, said)

    def annotated(self, raw: object, kind: inspect.Metadata, key: str, about: str) -> Any:
        before = len(self.problems)
        value = self.value(raw, kind.type, key, about, describe(kind))
        rule = (kind.extra or {}).get("rule")
        if rule is None or len(self.problems) > before:
            return value
        try:
            return rule(value)
        except Unfit as unfit:
            self.wrong(key, unfit.found or shown(value), unfit.expected, about)
            return value

    def struct(self, raw: object, kind: inspect.StructType, key: str, about: str) -> Any:
        if not isinstance(raw, dict):
            self.wrong(key, shown(raw), describe(kind), about)
            return blank(kind)
        if isinstance(raw.get("id"), str):
            about = within(about, raw["id"])
        values: dict[str, Any] = {}
        for field in kind.fields:
            place = f"{key}.{field.encode_name}" if key else field.encode_name
            if field.encode_name in raw:
                values[field.name] = self.value(raw[field.encode_name], field.type, place, about)
            elif field.required:
                self.wrong(place, "nothing", describe(field.type), about)
                values[field.name] = blank(field.type)
        self.unknown(raw, kind, key, about)
        try:
            return kind.cls(**values)
        except ValueError as error:  # a Struct that checks itself in __post_init__
            self.wrong(key, "values that do not go together", str(error), about)
            return kind.cls(**{one.name: values[one.name] for one in kind.fields if one.required})

    def unknown(self, raw: dict[str, Any], kind: inspect.StructType, key: str, about: str) -> None:
        known = [field.encode_name for field in kind.fields]
        for name in raw.keys() - set(known):
            place = f"{key}.{name}" if key else name
            near = difflib.get_close_matches(name, known, n=1, cutoff=0.6)
            named = next((one for one in near if one.endswith("_env")), None)
            if SECRET.search(name) and (named or not near):
                holder = about.rpartition(" › ")[2]
                variable = environment_variable(f"{holder}.{name}" if holder else place)
                hint = f"nothing here: set the environment variable {variable}"
                hint += f', and {named} = "{variable}"' if named else ""
                self.wrong(place, "a secret in a file (not shown)", hint, about)
                continue
            hint = f"`{near[0]}`?" if near else f"one of {', '.join(sorted(known))}"
            self.wrong(place, "a key that does not exist", hint, about)

    def leaf(self, raw: object, kind: inspect.Type, key: str, about: str, said: str) -> Any:
        if isinstance(kind, inspect.TimeType):
            raw = time_of_day(raw)
        if _fits(raw, kind):
            return float(raw) if isinstance(kind, inspect.FloatType) else raw  # type: ignore[arg-type]
        self.wrong(key, shown(raw), said or describe(kind), about)
        return blank(kind)


def environment_variable(key: str) -> str:
    """Where the secret that somebody wrote at `key` belongs: `redis.password`, and its variable."""
    return "BOWEI_" + re.sub(r"[^A-Z0-9]+", "_", key.upper()).strip("_")


def time_of_day(raw: object) -> object:
    """A TOML time, or text like `08:00`; `24:00` is the midnight that ends the day."""
    if isinstance(raw, str) and re.fullmatch(r"([01]\d|2[0-3]):[0-5]\d|24:00", raw):
        return time(int(raw[:2]) % 24, int(raw[3:]))
    return raw


def shown(raw: object) -> str:
    """A value as its writer wrote it, shortened."""
    match raw:
        case bool():
            return "true" if raw else "false"
        case str():
            text = raw if len(raw) <= LONGEST_SHOWN else raw[:LONGEST_SHOWN] + "…"
            return f'"{text}"'
        case dict():
            return "a table"
        case list():
            return f"a list of {len(raw)}"
        case _:
            return str(raw)


def describe(kind: inspect.Type) -> str:  # noqa: C901, PLR0911 - one line a kind
    """What would be right, in words."""
    match kind:
        case inspect.Metadata(type=inner, extra_json_schema=schema):
            return str((schema or {}).get("description") or describe(inner))
        case inspect.UnionType():
            return describe(_the_one(kind))
        case inspect.BoolType():
            return "true or false"
        case inspect.IntType():
            return "a whole number" + _bounds(kind)
        case inspect.FloatType():
            return "a number" + _bounds(kind)
        case inspect.StrType(pattern=pattern):
            return f"text that matches {pattern}" if pattern else "text in quotes"
        case inspect.LiteralType(values=values):
            return "one of " + ", ".join(shown(value) for value in values)
        case inspect.TimeType():
            return 'a time of day like "08:00"'
        case inspect.VarTupleType(item_type=item):
            return f"a list, each {describe(item)}"
        case inspect.StructType(fields=fields):
            needed = [field.encode_name for field in fields if field.required]
            return "a table" + (f" with {', '.join(needed)}" if needed else "")
        case _:
            return "a table" if isinstance(kind, inspect.DictType) else "a value"


def blank(kind: inspect.Type) -> Any:
    """A stand-in for a value that is wrong, so that checking can go on beside it."""
    match kind:
        case inspect.Metadata(type=inner):
            return blank(inner)
        case inspect.UnionType():
            return None
        case inspect.StructType():
            values = {one.name: blank(one.type) for one in kind.fields if one.required}
            return kind.cls(**values)
        case inspect.LiteralType(values=values):
            return values[0]
        case _:
            return _BLANKS.get(type(kind))


_BLANKS: dict[type[inspect.Type], object] = {
    inspect.BoolType: False,
    inspect.IntType: 0,
    inspect.FloatType: 0.0,
    inspect.StrType: "",
    inspect.TimeType: time(0),
    inspect.VarTupleType: (),
    inspect.DictType: {},
}


def _the_one(kind: inspect.UnionType) -> inspect.Type:
    """TOML has no null: of `X | None` only X can be written."""
    return next(one for one in kind.types if not isinstance(one, inspect.NoneType))


def _fits(raw: object, kind: inspect.Type) -> bool:  # noqa: PLR0911 - one line a kind
    match kind:
        case inspect.BoolType():
            return isinstance(raw, bool)
        case inspect.IntType():
            return isinstance(raw, int) and not isinstance(raw, bool) and _within(raw, kind)
        case inspect.FloatType():
            number = isinstance(raw, int | float) and not isinstance(raw, bool)
            return number and _within(raw, kind)  # type: ignore[arg-type]
        case inspect.StrType(pattern=pattern, min_length=shortest, max_length=longest):
            return (
                isinstance(raw, str)
                and (pattern is None or re.search(pattern, raw) is not None)
                and (shortest or 0) <= len(raw) <= (longest or len(raw))
            )
        case inspect.LiteralType(values=values):
            return any(raw == value and type(raw) is type(value) for value in values)
        case inspect.TimeType():
            return isinstance(raw, time)
        case _:
            return False


def _within(number: float, kind: inspect.IntType | inspect.FloatType) -> bool:
    return (
        math.isfinite(number)
        and (kind.ge is None or number >= kind.ge)
        and (kind.gt is None or number > kind.gt)
        and (kind.le is None or number <= kind.le)
        and (kind.lt is None or number < kind.lt)
    )


def _bounds(kind: inspect.IntType | inspect.FloatType) -> str:
    low = f"{kind.ge:g}" if kind.ge is not None else None
    high = f"{kind.le:g}" if kind.le is not None else None
    if low and high:
        return f" from {low} to {high}"
    if low:
        return f" of at least {low}"
    if high:
        return f" of at most {high}"
    return f" above {kind.gt:g}" if kind.gt is not None else ""
