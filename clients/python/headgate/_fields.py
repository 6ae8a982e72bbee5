"""The fields of a command, checked in the caller's thread: a runtime refuses a frame with a wrong one as a whole, and
what can't be packed must not reach the thread that owns the socket."""
import operator
from typing import Any, Dict

from ._errors import InvalidArgument

TEXT_MAX = 512  # bytes of UTF-8
TEXTS = frozenset(("budget", "model", "taskId", "parent", "permit", "reason", "why", "usageId", "responseId", "source",
                   "topics"))
NEVER_EMPTY = frozenset(("usageId",))  # left out, it would count every time
FLAGS = frozenset(("firstInLine", "fromParent"))
BODIES = frozenset(("answer",))  # as much as fits into a frame: as_json() sees to that


def checked(fields: Dict[str, Any]) -> Dict[str, Any]:
    """Without those that have their default: None, empty or False. A 0 may be one that is known."""
    found = {name: _value(name, value) for name, value in fields.items() if value is not None}
    return {name: value for name, value in found.items() if not (value is False or value == "")}


def _value(name: str, value: Any) -> Any:
    if name in FLAGS:
        if not isinstance(value, bool):
            raise InvalidArgument(f"{name} must be a bool, not {type(value).__name__}")
        return value
    if name in TEXTS or name in BODIES:
        return _text(name, value)
    return _integer(name, value)


def _text(name: str, value: Any) -> str:
    if not isinstance(value, str):
        raise InvalidArgument(f"{name} must be a str, not {type(value).__name__}")
    try:
        size = len(value.encode("utf-8"))
    except UnicodeEncodeError:
        raise InvalidArgument(f"{name} has a lone surrogate") from None
    if "\0" in value:
        raise InvalidArgument(f"{name} has a NUL")
    if not value and name in NEVER_EMPTY:
        raise InvalidArgument(f"{name} is empty")
    if size > TEXT_MAX and name not in BODIES:
        raise InvalidArgument(f"{name} has {size} bytes, of at most {TEXT_MAX}")
    return value


def _integer(name: str, value: Any) -> int:
    if isinstance(value, float) and value.is_integer():
        value = int(value)
    try:
        number = operator.index(value)  # also of numpy, whose integers msgpack can't pack
    except TypeError:
        raise InvalidArgument(f"{name} must be an int, not {type(value).__name__}") from None
    if isinstance(value, bool):
        raise InvalidArgument(f"{name} must be an int, not bool")
    if not -(2**63) <= number < 2**64:
        raise InvalidArgument(f"{name} is out of range: {number}")
    return number
