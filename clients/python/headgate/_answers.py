"""A provider's answer as JSON that fits into a command: what was used stays, long texts go."""
import json
import math
from typing import Any, Mapping, Tuple, Type, Union

TEXT_MAX = 256           # characters; ids, names of models and reasons to stop are shorter
ENTRY_MAX = 4096         # bytes of JSON
ANSWER_MAX = 48 * 1024   # of the 64 KiB that a command may have
KEPT = ("id", "model", "type", "object", "usage", "usageMetadata", "usage_metadata", "modelVersion", "responseId",
        "meta")

Refused = Union[Type[Exception], Tuple[Type[Exception], ...]]

REFUSALS = (400, 401, 403, 404, 413, 422, 429)  # said before any work; a 408, 409 or 499 may come after it
SDKS = ("openai", "anthropic", "google.genai", "cohere", "mistralai", "groq", "together")  # litellm's are openai's
BEDROCK = ("InvokeModel", "InvokeModelWithResponseStream", "Converse", "ConverseStream")
AFTER_WORK = ("Stream", "ResponseValidation")  # in the name of an exception: there was an answer, or part of one


def _plain(value: Any) -> Any:
    """What an SDK's object holds, by the names that its API has on the wire."""
    dump = getattr(value, "model_dump", None)
    if callable(dump):
        for options in ({"mode": "json", "by_alias": True}, {}):
            try:
                return dump(**options)
            except TypeError:
                continue
    for name in ("to_dict", "json"):
        method = getattr(value, name, None)
        if callable(method):
            return method()
    if hasattr(value, "__dict__"):
        return {key: each for key, each in vars(value).items() if not key.startswith("_")}
    return str(value)


def _cut(value: Any, depth: int = 0) -> Any:
    if isinstance(value, str):
        return value if len(value) <= TEXT_MAX else ""
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    if value is None or isinstance(value, (bool, int)):
        return value
    if depth > 16 or isinstance(value, (bytes, bytearray, memoryview)):
        return None
    if isinstance(value, Mapping):
        return {str(key): _cut(each, depth + 1) for key, each in value.items()}
    if isinstance(value, (list, tuple)):
        return [_cut(each, depth + 1) for each in value]
    return _cut(_plain(value), depth + 1)


def as_json(answer: Any) -> str:
    if isinstance(answer, (str, bytes, bytearray)):
        answer = json.loads(answer)
    elif not isinstance(answer, Mapping):
        answer = _plain(answer)
        if isinstance(answer, str):  # pydantic 1
            answer = json.loads(answer)
    if not isinstance(answer, Mapping):
        raise TypeError(f"no number of tokens and no answer of a provider: {type(answer).__name__}")
    answer = _cut(answer)
    text = _written(answer)
    if len(text) > ANSWER_MAX:  # not for its texts: lists, such as embeddings
        text = _written({key: each for key, each in answer.items() if len(_written(each)) <= ENTRY_MAX})
    if len(text) > ANSWER_MAX:
        text = _written({key: answer[key] for key in KEPT if key in answer and len(_written(answer[key])) <= ENTRY_MAX})
    return text


def _written(value: Any) -> str:
    return json.dumps(value, separators=(",", ":"))  # ASCII only: as many bytes as characters


def prompt_bytes(prompt: Any) -> int:
    """At least as many as the prompt has tokens: no tokenizer makes more than one of a byte."""
    if isinstance(prompt, str):
        return len(prompt.encode("utf-8", "surrogatepass"))
    if isinstance(prompt, (bytes, bytearray, memoryview)):
        return len(prompt)
    return len(json.dumps(prompt, ensure_ascii=False, default=_plain).encode("utf-8", "surrogatepass"))


def refusal_of(problem: BaseException, refused: Refused = ()) -> str:
    """How the provider surely refused the call before any work; empty: it is not known that it did."""
    if not isinstance(problem, Exception):
        return ""
    if isinstance(problem, refused):
        return "refused"
    status = _status(problem) if _of_a_provider(problem) else 0
    return f"status {status}" if status in REFUSALS else ""


def _of_a_provider(problem: Exception) -> bool:
    kinds = type(problem).__mro__
    if any(word in kind.__name__ for kind in kinds for word in AFTER_WORK):
        return False
    modules = tuple(f"{kind.__module__}." for kind in kinds)
    if any(module.startswith("botocore.") for module in modules):  # of all services of AWS
        return getattr(problem, "operation_name", None) in BEDROCK
    return any(module.startswith(tuple(f"{sdk}." for sdk in SDKS)) for module in modules)


def _status(problem: Exception) -> int:
    response = getattr(problem, "response", None)
    candidates = [getattr(problem, "status_code", None), getattr(problem, "status", None),
                  getattr(response, "status_code", None), getattr(response, "status", None),
                  getattr(problem, "code", None)]
    if isinstance(response, Mapping):  # botocore
        candidates.append((response.get("ResponseMetadata") or {}).get("HTTPStatusCode"))
    for status in candidates:
        if isinstance(status, int) and not isinstance(status, bool) and 100 <= status <= 599:
            return int(status)
    return 0
