"""The commands of docs/protocol.md, and what their answers are in Python."""
import dataclasses
import re
import uuid
from typing import Any, Dict, List, Optional, Type, TypeVar, Union

from ._answers import Refused, as_json, prompt_bytes, refusal_of
from ._connection import Call, Message
from ._errors import InvalidArgument
from ._fields import checked

T = TypeVar("T")

OUTCOMES = {"done": 0, "failed": 1, "again": 2}


@dataclasses.dataclass(frozen=True)
class Counted:
    """What was counted, and where it comes from: `exact`, `estimated`, or `missing`: the whole reservation was charged,
    or what is known at least where that is more, and `tokens` are None where only the id of the permit is known."""

    tokens: Optional[int]
    source: str


# What these hold is STATUS_REPORT, SNAPSHOT_BUDGET and SNAPSHOT_REPORT of docs/protocol.md. A runtime of an older
# version may not say what has a default here.

@dataclasses.dataclass(frozen=True)
class Usage:
    """How a budget stands. Amounts are in `unit`: `tokens`, or `nanodollars` (10^-9 US dollars). At the rate of
    `tokens_per_minute` it reaches its threshold and its limit in so many milliseconds; None: never, or it is too early
    to say."""

    budget: str
    hard_limit: int
    total_used: int
    reserved: int
    remaining: int
    available: int
    usage_percent: float
    should_throttle: bool
    throttled: bool
    open_permits: int
    max_concurrency: int
    effective_concurrency: int
    running: int
    waiting: int
    waits_for: str
    waits_for_throttle: bool
    needed: int
    seq: int
    live: bool = True
    audited: int = 0
    audit_differences: int = 0
    audit_failed: bool = False
    tokens_per_minute: int = 0
    threshold_in_ms: Optional[int] = None
    limit_in_ms: Optional[int] = None
    task_tokens: int = 0
    saved_tokens: int = 0
    overran: int = 0
    pushed_back_to: int = 0
    unit: str = "tokens"


@dataclasses.dataclass(frozen=True)
class Budget:
    """As Usage."""

    budget: str
    parent: str
    limit: int
    used: int
    reserved: int
    usage_percent: float
    should_throttle: bool
    throttled: bool
    open_permits: int
    tokens_per_minute: int = 0
    threshold_in_ms: Optional[int] = None
    limit_in_ms: Optional[int] = None
    task_tokens: int = 0
    unit: str = "tokens"


@dataclasses.dataclass(frozen=True)
class Snapshot:
    """How everything stands at row `seq`: go on with `events(from_seq=snapshot.seq + 1)`."""

    seq: int
    ledger: str
    max_concurrency: int
    effective_concurrency: int
    running: int
    waiting: int
    waits_for: str
    waits_for_throttle: bool
    needed: int
    budgets: Dict[str, Budget]
    topics: Dict[str, int]
    audited: int = 0
    audit_differences: int = 0
    audit_failed: bool = False


def _read(kind: Type[T], message: Message, **more: Any) -> T:
    found = {re.sub("[A-Z]", lambda found: "_" + found.group().lower(), key): value for key, value in message.items()}
    found.update(more)
    names = [field.name for field in dataclasses.fields(kind)]  # type: ignore[arg-type]
    return kind(**{name: found[name] for name in names if name in found})


def _command(kind: str, **fields: Any) -> Message:
    return {"v": 1, "type": kind, **checked(fields)}


def usage(budget: str, timeout: Optional[float]) -> Call[Usage]:
    return Call(_command("STATUS", budget=budget), lambda parts: _read(Usage, parts[0]), timeout)


def newest(timeout: Optional[float]) -> Call[int]:
    """The newest journal row."""
    return Call(_command("STATUS"), lambda parts: int(parts[0]["seq"]), timeout)


def _snapshot(parts: List[Message]) -> Snapshot:
    budgets = {part["budget"]: _read(Budget, part) for part in parts if part["type"] == "SNAPSHOT_BUDGET"}
    topics = {part["topic"]: part["newest"] for part in parts if part["type"] == "SNAPSHOT_TOPIC"}
    return _read(Snapshot, parts[-1], budgets=budgets, topics=topics)


def snapshot(timeout: Optional[float]) -> Call[Snapshot]:
    return Call(_command("SNAPSHOT"), _snapshot, timeout)


def _nothing(_: List[Message]) -> None:
    return None


def _counted(parts: List[Message]) -> Counted:
    done = parts[0]
    return Counted(done["tokens"], done["source"])


def of_id(counted: Counted) -> Counted:
    """Which reservation was charged only the permit knows."""
    return Counted(None, "missing") if counted.source == "missing" else counted


def set_limit(budget: str, tokens: int, timeout: Optional[float]) -> Call[None]:
    return Call(_command("LIMIT", budget=budget or "default", tokens=tokens), _nothing, timeout)


def set_max_concurrency(count: int, timeout: Optional[float]) -> Call[None]:
    return Call(_command("CONCURRENCY", count=count), _nothing, timeout)


def _key(usage_id: Optional[str]) -> str:
    return str(uuid.uuid4()) if usage_id is None else usage_id


def correct(tokens: int, budget: str, why: str, usage_id: Optional[str], timeout: Optional[float]) -> Call[None]:
    return Call(_command("CORRECT", budget=budget, tokens=tokens, why=why, usageId=_key(usage_id)),
                _nothing, timeout)


def _spent(answer: Any, details: Dict[str, Any]) -> Dict[str, Any]:
    """The fields of what was used: a number, a provider's answer, or details by name."""
    known = {"tokens": "tokens", "model": "model", "input_tokens": "inputTokens", "cached_tokens": "cachedTokens",
             "cache_write_tokens": "cacheWriteTokens", "output_tokens": "outputTokens",
             "reasoning_tokens": "reasoningTokens", "source": "source", "response_id": "responseId",
             "attempt": "attempt"}
    for name in details:
        if name not in known:
            raise TypeError(f"there is no detail {name!r}")
    fields = {known[name]: value for name, value in details.items()}
    if answer is not None and not isinstance(answer, bool) and hasattr(answer, "__index__"):
        fields["tokens"] = answer.__index__()
    elif answer is not None:
        fields["answer"] = as_json(answer)
    elif "tokens" not in fields and "source" not in fields:
        if "inputTokens" not in fields or "outputTokens" not in fields:
            raise TypeError("what was used? Tokens, a provider's answer, or both input_tokens and output_tokens")
    if min(fields.get(name) or 0 for name in ("tokens", "inputTokens", "outputTokens")) < 0:
        raise InvalidArgument("tokens may not be negative")
    return fields


def record(answer: Any, budget: str, task_id: str, usage_id: Optional[str], details: Dict[str, Any],
           timeout: Optional[float]) -> Call[Counted]:
    return Call(_command("RECORD", budget=budget, taskId=task_id, usageId=_key(usage_id),
                         **_spent(answer, details)), _counted, timeout)


def acquire(max_output: Optional[int], prompt: Any, max_tokens: Optional[int], min_tokens: Optional[int], budget: str,
            task_id: str, attempt: int, first_in_line: bool, parent: str, from_parent: bool, lease: Optional[float],
            timeout: Optional[float], model: str = "") -> Call[Message]:
    amount: Dict[str, int] = {}
    if max_tokens is not None:
        amount = {"maxTokens": max_tokens}
    elif max_output is None:
        raise TypeError("how much may it use? max_output (with the prompt), or max_tokens")
    else:
        read = 0 if prompt is None else prompt_bytes(prompt)
        amount = {"inputTokens": read, "outputTokens": max_output} if model else {"maxTokens": max_output + read}
    if min(*amount.values(), min_tokens or 0) < 0:
        raise InvalidArgument("tokens may not be negative")
    return Call(_command("ACQUIRE_PERMIT", budget=budget, model=model, minTokens=min_tokens or 0, **amount, taskId=task_id,
                         attempt=attempt, firstInLine=first_in_line, parent=parent, fromParent=from_parent,
                         leaseMs=None if lease is None else max(1, round(lease * 1000))),
                lambda parts: parts[0], timeout)


def settle(permit: str, answer: Any, outcome: str, reason: str, details: Dict[str, Any],
           timeout: Optional[float]) -> Call[Counted]:
    return Call(_command("SETTLE_PERMIT", permit=permit, outcome=OUTCOMES[outcome], reason=_text(reason),
                         **_spent(answer, details)), _counted, timeout)


def release(permit: str, outcome: str, reason: str, timeout: Optional[float]) -> Call[None]:
    return Call(_command("RELEASE_PERMIT", permit=permit, outcome=OUTCOMES[outcome], reason=_text(reason)), _nothing,
                timeout)


def leave(permit: str, problem: Optional[BaseException], refused: Refused,
          timeout: Optional[float]) -> Union[Call[None], Call[Counted]]:
    """A block left without a settlement. Of an exception only the name goes out: its text may hold anything."""
    if problem is None:
        return settle(permit, None, "done", "left without a settlement", {"source": "missing"}, timeout)
    how, name = refusal_of(problem, refused), type(problem).__name__
    if how:
        return release(permit, "failed", f"{name}, {how}", timeout)
    return settle(permit, None, "failed", name, {"source": "missing"}, timeout)


def _text(text: str) -> str:
    if not isinstance(text, str):
        raise InvalidArgument(f"reason must be a str, not {type(text).__name__}")
    return text.replace("\0", "").encode("utf-8", "replace")[:500].decode("utf-8", "ignore")
