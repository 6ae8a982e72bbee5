#!/usr/bin/env python3
"""The Python client (clients/python) with a real runtime; all that it sends and hears is held against the schemas.

usage: test_client_python.py BUILD_DIR [NAME ...]    (BUILD_DIR has headgate and tests/serve_for_tests)
"""
import asyncio
import concurrent.futures
import contextlib
import json
import os
import random
import re
import shutil
import signal
import sys
import threading
import time
import typing
import uuid

from cli_harness import WAIT_S, equal, headgate, keygen, main, place, runtime, status
from client_harness import (REPORTS, connected, ended, hg, journal, keyed, killed, lives, python_client, python_program,
                            reported, wrong)
from test_doors import counter, free_port

OPENAI = {"id": "chatcmpl-1", "object": "chat.completion", "model": "gpt-4o-mini", "choices": [
    {"index": 0, "message": {"role": "assistant", "content": "word " * 40000}, "finish_reason": "stop"}],
    "usage": {"prompt_tokens": 11, "completion_tokens": 31, "total_tokens": 42,
              "prompt_tokens_details": {"cached_tokens": 3}, "completion_tokens_details": {"reasoning_tokens": 8}}}
ANTHROPIC = {"id": "msg_1", "type": "message", "role": "assistant", "model": "claude-3-5-haiku",
             "content": [{"type": "text", "text": "word " * 40000}], "stop_reason": "end_turn",
             "usage": {"input_tokens": 10, "cache_read_input_tokens": 4, "cache_creation_input_tokens": 2,
                       "output_tokens": 20}}


def heard(stream, last, times=1):
    """The events up to the given type, that many times."""
    events = []
    while times:
        event = stream.next(WAIT_S)
        assert event, f"no {last} came: {events}"
        events.append(event)
        times -= event.type == last
    return events


def until(holds, about):
    deadline = time.monotonic() + WAIT_S
    while not holds():
        assert time.monotonic() < deadline, about
        time.sleep(0.02)


def refused(kind, act):
    try:
        found = act()
    except kind as problem:
        return problem
    raise AssertionError(f"no {kind} but {found}")


def run(coroutine):
    asyncio.run(coroutine)
    assert not wrong, wrong


def money(here):
    prices = [{"model": "gpt-4o*", "input": 10, "output": 40}]
    here.config.write_text(json.dumps({"tokenBudget": {"hardLimitUsd": 1}, "llm": {"prices": prices}}))


# ------------------------------------------------------------------------------------------------------ what is pure

def test_errors_are_those_of_headgate():
    client = python_client()
    said = re.findall(r"(\d+)\D*?(HG_ERR_\w+)|(HG_ERR_\w+)\D*?(\d+)", headgate("describe", "--errors"))
    said = {name or name2: int(code or code2) for code, name, name2, code2 in said}
    equal({name: code for code, name, _, _ in client.ERRORS}, said)


def test_reports_are_those_of_the_schema():
    client = python_client()
    for name, report in REPORTS.items():
        maps = {"budgets": typing.Dict[str, client.Budget], "topics": typing.Dict[str, int]}
        maps = maps if name == "Snapshot" else {}
        said = {re.sub("[A-Z]", lambda found: "_" + found.group().lower(), field): kind
                for field, kind in reported(report, typing.Optional[int], **maps).items()}
        equal(typing.get_type_hints(getattr(client, name)), said, name)


def test_order_under_any_loss():
    """A subscription that loses events, and a replay: each wanted row once and in order, whatever is lost."""
    client = python_client()
    from headgate._events import Order
    for seed in range(300):
        rng = random.Random(seed)
        wanted = rng.choice([(), ("A",), ("A", "B"), ("A", "CC")])
        rows, newest, order, told = [], {}, Order(wanted, 0, "L"), []

        def replay():
            while order.reached < order.goal:
                upto = min(len(rows), order.reached + rng.randint(1, 5))
                portion = [row for row in rows[order.reached:upto] if order.wants(row["type"])]
                told.extend(order.told_again(portion, upto))

        def hear(event):
            told.extend(order.hear(event))
            replay()
        for _ in range(200):
            kind = rng.choice(["A", "B", "CC", "CD"])
            rows.append({"type": kind, "seq": len(rows) + 1, "prev": newest.get(kind, 0), "ledgerId": "L"})
            newest[kind] = len(rows)
            lost = rng.random() < 0.2
            if order.wants(kind) and not lost:
                hear(rows[-1])
                if rng.random() < 0.1:
                    hear(rows[-1])
            if rng.random() < 0.05:  # the subscription was gone for a while
                order.goal = len(rows)
                replay()
            if rng.random() < 0.1:
                hear({"type": "HEARTBEAT", "ledgerId": "L", "payload": {"newest": len(rows), "topics": dict(newest)}})
        hear({"type": "HEARTBEAT", "ledgerId": "L", "payload": {"newest": len(rows), "topics": dict(newest)}})
        equal(told, [row for row in rows if order.wants(row["type"])], f"seed {seed}, {wanted}:")
        refused(client.LedgerChanged, lambda: order.hear({"type": "A", "seq": 999, "prev": 0, "ledgerId": "another"}))


def test_answers_fit_into_a_command():
    python_client()
    from headgate._answers import ANSWER_MAX, as_json, prompt_bytes
    import json
    for answer in (OPENAI, ANTHROPIC, json.dumps(OPENAI), {**OPENAI, "data": [{"embedding": [0.5] * 100000}]},
                   {**OPENAI, **{f"more{n}": "x" * 200 for n in range(5000)}}):
        kept = as_json(answer)
        assert len(kept) <= ANSWER_MAX, len(kept)
        kept = json.loads(kept)
        source = json.loads(answer) if isinstance(answer, str) else answer
        equal([kept[key] for key in ("id", "model", "usage")], [source[key] for key in ("id", "model", "usage")])
    for nothing in ("no json", [1], 1.5):
        refused((TypeError, ValueError), lambda: as_json(nothing))
    equal([prompt_bytes(each) for each in ("häuser", b"abc", [{"a": "ä"}])], [7, 3, 13])


WRONG_TEXTS = (7, b"x", uuid.uuid4(), ["x"], True, "a\0b", "\ud800", "x" * 513, "ä" * 257)


def test_a_wrong_argument_is_refused_before_it_is_sent():
    """In the thread of who gave it: one call fails, and the connection serves all others."""
    with place() as here, runtime(here.config), connected(here, timeout=5) as client:
        invalid = python_client().InvalidArgument
        held = client.acquire(max_tokens=10, task_id="held")
        for text in WRONG_TEXTS:
            for act in (lambda: client.record(1, task_id=text), lambda: client.record(1, budget=text),
                        lambda: client.record(1, usage_id=text), lambda: client.record(1, model=text),
                        lambda: client.correct(1, why=text), lambda: client.usage(text),
                        lambda: client.permit(max_tokens=1, task_id=text), lambda: client.settle(text, 1),
                        lambda: client.release(text), lambda: client.events(topics=[text] if text == "\ud800" else
                                                                            ["x" * 256, "y" * 256])):
                refused(invalid, act)
        for act in (lambda: client.record(1, usage_id=""), lambda: client.correct(1, why="w", usage_id="")):
            refused(invalid, act)
        for number in ("5", 1.5, [5], 2**64, -(2**63) - 1, float("inf")):
            for act in (lambda: client.record(1, attempt=number), lambda: client.set_limit(number),
                        lambda: client.permit(max_tokens=1, attempt=number)):
                refused(invalid, act)
        refused(invalid, lambda: client.permit(max_tokens=1, first_in_line=1))
        refused(invalid, lambda: client.permit(max_tokens=1, timeout=float("nan")))
        refused(invalid, lambda: held.settle(1, reason=7))
        equal(client.record(3, attempt=2.0).tokens, 3)
        client.correct(1, why="ä" * 256)
        with client.permit(max_tokens=1, task_id="", budget=None, timeout=float("inf")) as p:
            p.settle(1)
        held.settle(1)  # none of its renewals was given up
        equal((client.usage().total_used, held.lost), (6, False))


def test_what_cannot_be_packed_fails_alone():
    with place() as here, runtime(here.config), connected(here, timeout=5) as client:
        from headgate._connection import Call
        call = Call({"v": 1, "type": "STATUS", "budget": "\ud800"}, lambda parts: parts, 5)
        refused(hg.InvalidArgument, client._connection.submit(call).result)
        equal(client.usage().total_used, 0)


def problem_of(module, name="Problem", bases=(Exception,), **fields):
    return type(name, bases, {"__module__": module, **fields})()


def test_only_a_sure_refusal_releases():
    python_client()
    from headgate._answers import refusal_of
    def openai(**fields):
        return problem_of("openai", **fields)
    for status in range(100, 600):
        expected = f"status {status}" if status in (400, 401, 403, 404, 413, 422, 429) else ""
        equal(refusal_of(openai(status_code=status)), expected)
        equal(refusal_of(problem_of("myapp.db", status_code=status)), "")
    for fields, expected in (({"status": 400}, 400), ({"code": 404}, 404), ({"code": "quota", "status_code": 429}, 429),
                             ({"response": problem_of("httpx", status_code=403)}, 403), ({}, 0), ({"code": 14}, 0),
                             ({"status_code": 502, "code": 404}, 0), ({"status_code": 200, "code": 404}, 0),
                             ({"status": True}, 0)):
        equal(refusal_of(openai(**fields)), f"status {expected}" if expected else "", fields)
    for module, expected in (("openai.types", 1), ("anthropic._exceptions", 1), ("google.genai.errors", 1), ("groq", 1),
                             ("google.api_core.exceptions", 0), ("openai_wrapper", 0), ("httpx", 0), ("requests", 0),
                             ("urllib.error", 0), ("__main__", 0)):
        equal(bool(refusal_of(problem_of(module, code=404))), bool(expected), module)
    equal(refusal_of(problem_of("app", bases=(type(openai(status_code=429)),))), "status 429")

    aws = {"response": {"ResponseMetadata": {"HTTPStatusCode": 400}}}
    for operation, name, expected in (("Converse", "ThrottlingException", 1), ("PutItem", "ThrottlingException", 0),
                                      ("ConverseStream", "EventStreamError", 0)):
        problem = problem_of("botocore.exceptions", name, operation_name=operation, **aws)
        equal(bool(refusal_of(problem)), bool(expected), operation)

    # litellm's are openai's; a guardrail of it may have seen the answer
    rate_limit = type(openai(status_code=429))
    equal(refusal_of(problem_of("litellm.exceptions", "RateLimitError", (rate_limit,))), "status 429")
    for name, bases in (("APIResponseValidationError", (rate_limit,)), ("MidStreamFallbackError", (rate_limit,)),
                        ("GuardrailRaisedException", (Exception,))):
        equal(refusal_of(problem_of("litellm.exceptions", name, bases, status_code=400)), "", name)

    # google.genai: the status is a text, and that of the answer, which aiohttp calls status, counts before the code
    api_error = type(problem_of("google.genai.errors", "APIError"))
    for fields, expected in (({"response": None}, "status 429"),
                             ({"response": problem_of("httpx", "Response", status_code=429)}, "status 429"),
                             ({"response": problem_of("aiohttp", "ClientResponse", status=429)}, "status 429"),
                             ({"response": problem_of("httpx", "Response", status_code=200)}, "")):  # amid a stream
        equal(refusal_of(problem_of("google.genai.errors", "ClientError", (api_error,), code=429,
                                    status="RESOURCE_EXHAUSTED", **fields)), expected, fields)

    # botocore makes the classes of a service when they are first needed
    client_error = type(problem_of("botocore.exceptions", "ClientError"))
    equal(refusal_of(problem_of("botocore.errorfactory", "ModelNotReadyException", (client_error,),
                                operation_name="InvokeModel",
                                response={"ResponseMetadata": {"HTTPStatusCode": 429}})), "status 429")

    for problem in (SystemExit(404), KeyboardInterrupt(), problem_of("openai", bases=(BaseException,), status=404)):
        equal((refusal_of(problem), refusal_of(problem, BaseException)), ("", ""))
    equal((refusal_of(KeyError(1), (ValueError, LookupError)), refusal_of(KeyError(1), ValueError)), ("refused", ""))


# ------------------------------------------------------------------------------------------------ finding a runtime

def test_connect_finds_the_runtime():
    client = python_client()
    with place(ledger={"path": "sub.db"}) as here:
        endpoint = f"ipc://{here.folder}/sub.db.d/control.ipc"
        equal(refused(client.NoRuntime, lambda: client.connect(config=here.config, wait=0.3)).code, 22)
        with runtime(here.config):
            ways = ["headgate.connect()", f"headgate.connect({endpoint!r})",
                    f"headgate.connect(ledger={str(here.folder / 'sub.db')!r})"]
            for way, cwd, url in ((ways[0], here.folder, ""), (ways[1], "/", ""), (ways[2], "/", ""),
                                  (ways[0], "/", endpoint), (ways[2].replace("sub", "other"), "/", endpoint)):
                code = f"import os, headgate; os.chdir({str(cwd)!r}); print({way}.usage().hard_limit)"
                code = (f"import os; os.environ['HEADGATE_URL'] = {url!r}; " if url else "") + code
                program = python_program(code)
                ended(program)
                equal(program.lines, ["200000"], way)
        problem = refused(client.HeadgateError, lambda: client.connect(config=here.folder / "none.json"))
        equal(problem.name, "HG_ERR_CONFIG")


def test_keys_that_are_none_are_refused():
    client = python_client()
    with place() as here:
        keygen(here.folder / "key")
        (here.folder / "two").write_text((here.folder / "key").read_text() * 2)
        (here.folder / "binary").write_bytes(bytes(range(256)))
        public, key, file = "server_key (HEADGATE_SERVER_KEY)", "key_file (HEADGATE_KEY_FILE)", here.folder / "key"
        for server_key, key_file, named in ((None, file, public), ("k" * 40, None, key), ("k" * 39, file, public),
                                            ("~" * 40, file, public), ("#" * 40, file, public),
                                            ("k" * 40, here.folder / "none", key), ("k" * 40, here.folder / "two", key),
                                            ("k" * 40, here.folder / "binary", key)):
            problem = refused(client.HeadgateError, lambda: client.connect(
                "tcp://127.0.0.1:1", server_key=server_key, key_file=key_file, wait=0.1))
            equal(problem.name, "HG_ERR_CONFIG", (server_key, key_file))
            assert named in problem.reason and "kkk" not in problem.reason, problem.reason


def test_clients_with_keys():
    client = python_client()
    with keyed() as (here, served, events, control, public):
        known = {"server_key": public["server"], "key_file": here.folder / "client.key"}
        with client.connect(control, events_url=events, **known) as keyed_client:
            with keyed_client.events() as stream:
                with keyed_client.permit(max_tokens=100) as permit:
                    permit.settle(42)
                equal(heard(stream, "TOKENS_SETTLED")[-1].payload["usedDelta"], 42)
                beats, hear = [], stream._order.hear
                stream._order.hear = lambda event: beats.append(event["type"]) or hear(event)
                until(lambda: stream.next(0.1) or "HEARTBEAT" in beats, "what is not replayed")
        equal(counter(served, "keys_refused"), 0)
        for keys in ({}, {**known, "key_file": here.folder / "stranger.key"},
                     {**known, "server_key": public["stranger"]}):
            problem = refused(client.NoRuntime, lambda: client.connect(control, wait=1, **keys))
            assert control in problem.reason and "keys" in problem.reason, problem.reason
        assert counter(served, "keys_refused") >= 1, "the stranger's was not counted"
        with client.connect(config=here.config, **known) as local:  # by ipc, which has no keys
            equal(local.usage().total_used, 42)
        assert not wrong, wrong


# ---------------------------------------------------------------------------------------------------------- permits

def test_settle_takes_numbers_and_answers_of_providers():
    with place(limit=2_000_000) as here, runtime(here.config), connected(here) as client:
        class Sdk:
            def model_dump(self, mode="python", by_alias=False):
                return OPENAI if mode == "json" and by_alias else {}

        class Plain:
            def __init__(self):
                self.usage, self._secret = {"input_tokens": 1, "output_tokens": 2}, "x"
        with client.events(from_seq=1, topics="TOKENS_SETTLED") as stream:
            for answer, expected in ((17, 17), (0, 0), (OPENAI, 42), (ANTHROPIC, 36), (Sdk(), 42), (Plain(), 3)):
                with client.permit(max_output=1000, prompt="a prompt", task_id="t") as permit:
                    equal(permit.tokens, 1008)
                    counted = permit.settle(answer)
                    equal((counted.tokens, counted.source), (expected, "exact"), str(answer)[:100])
                event = stream.next(WAIT_S)
                equal((event.payload["permit"], event.payload["usedDelta"]), (permit.id, expected))
                if answer is OPENAI:
                    equal([event.payload[key] for key in ("model", "responseId", "inputTokens", "cachedTokens",
                                                          "outputTokens", "reasoningTokens")],
                          ["gpt-4o-mini", "chatcmpl-1", 11, 3, 31, 8])
            with client.permit(max_tokens=50) as permit:
                equal(permit.settle(input_tokens=4, output_tokens=5, cached_tokens=0, model="m").tokens, 9)
            equal(stream.next(WAIT_S).payload["cachedTokens"], 0)
            with client.permit(max_tokens=50) as permit:
                equal(permit.settle({"no": "usage"}), hg.Counted(50, "missing"))
                equal(client.settle(permit.id, {"no": "usage"}), hg.Counted(None, "missing"))  # by id, once more
        equal((client.usage().total_used, client.usage().reserved), (17 + 42 + 36 + 42 + 3 + 9 + 50, 0))


def test_permits_of_money():
    """The model decides what a call may cost and what it did: the runtime has the prices."""
    with place() as here:
        money(here)
        with runtime(here.config), connected(here) as client:
            with client.permit(10, prompt="x" * 20, model="gpt-4o") as p:
                equal(p.tokens, 20 * 20 + 10 * 40)
                equal(p.settle(OPENAI), hg.Counted(11 * 10 + 31 * 40, "exact"))
            p = client.acquire(10, prompt="x" * 20, model="gpt-4o")
            equal(p.settle(input_tokens=5, output_tokens=2), hg.Counted(130, "exact"))
            equal(client.record(OPENAI), hg.Counted(11 * 10 + 31 * 40, "exact"))  # by the answer's own model
            refused(hg.HeadgateError, lambda: client.acquire(10, model="llama"))
            p = client.acquire(max_tokens=7)
            equal(p.settle(ANTHROPIC), hg.Counted(7, "missing"))
            total = {"model": "gpt-4o", "usage": {"total_tokens": 90}}  # costs at least so much
            equal(client.acquire(max_tokens=7).settle(total), hg.Counted(900, "missing"))
            equal(client.acquire(max_tokens=1000).settle(total), hg.Counted(1000, "missing"))
            units = client.unit, client.usage().unit, client.snapshot().budgets["default"].unit
            equal(units, ("nanodollars",) * 3)

            async def in_a_loop():
                async with await hg.aio.connect(config=str(here.config)) as other:
                    equal(other.unit, "nanodollars")
                    async with other.permit(10, model="gpt-4o") as p:
                        equal(p.tokens, 400)
                        equal(await p.settle(OPENAI), hg.Counted(1350, "exact"))
            run(in_a_loop())
    assert not wrong, wrong


def test_a_block_left_unsettled():
    class Refused(Exception):
        __module__, status_code = "openai", 429

    class NotFound(Exception):
        """Of the application's own database."""
        status_code = 404

    class Failed(Exception):
        status_code = 500
    with place() as here, runtime(here.config), connected(here) as client:
        with client.events(from_seq=1, topics=("TOKENS_", "TASK_F")) as stream:
            def left(problem):
                with contextlib.suppress(Refused, Failed, NotFound, ValueError, LookupError, SystemExit):
                    with client.permit(max_tokens=100, refused=(LookupError,)):
                        if problem:
                            raise problem
                _, end, outcome = (stream.next(WAIT_S) for _ in range(3))
                return end.type, end.payload["usedDelta"], outcome.type, outcome.payload.get("reason")
            equal(left(Refused("secret")), ("TOKENS_RELEASED", 0, "TASK_FAILED", "Refused, status 429"))
            equal(left(Failed("secret")), ("TOKENS_SETTLED", 100, "TASK_FAILED", "Failed"))
            equal(left(ValueError("secret")), ("TOKENS_SETTLED", 100, "TASK_FAILED", "ValueError"))
            equal(left(NotFound("secret")), ("TOKENS_SETTLED", 100, "TASK_FAILED", "NotFound"))
            equal(left(SystemExit(404)), ("TOKENS_SETTLED", 100, "TASK_FAILED", "SystemExit"))
            equal(left(KeyError("secret")), ("TOKENS_RELEASED", 0, "TASK_FAILED", "KeyError, refused"))
            equal(left(None)[:3], ("TOKENS_SETTLED", 100, "TASK_FINISHED"))
        equal((client.usage().total_used, client.usage().reserved), (500, 0))

        async def the_same():
            async with await hg.aio.connect(config=here.config) as loop:
                for problem in (Refused(), Failed(), NotFound(), KeyError()):
                    with contextlib.suppress(Refused, Failed, NotFound, LookupError):
                        async with loop.permit(max_tokens=10, refused=LookupError):
                            raise problem
                equal((await loop.usage()).total_used, 520)
        run(the_same())


def test_refusals():
    with place(limit=1000) as here, runtime(here.config), connected(here) as client:
        problem = refused(hg.BudgetExhausted, lambda: client.acquire(max_tokens=1001))
        equal((problem.code, problem.name, problem.budget, problem.left),
              (14, "HG_ERR_BUDGET_EXHAUSTED", "default", 1000))
        refused(hg.UnknownBudget, lambda: client.usage("nobody"))
        refused(hg.UnknownPermit, lambda: client.settle("00000000000000aa", 5))
        refused(hg.NoUsage, lambda: client.record({"no": "usage"}))
        refused(hg.InvalidArgument, lambda: client.record(-1))
        refused(TypeError, lambda: client.permit())
        refused(TypeError, lambda: client.permit(max_tokens=1, refused=[429]))
        permit = client.acquire(max_tokens=10)
        equal(permit.settle(5).tokens, 5)
        equal(client.settle(permit.id, 5).tokens, 5)  # the same again
        refused(hg.Conflict, lambda: client.settle(permit.id, 6))
        equal(client.record(7, usage_id="once").tokens, 7)
        equal(client.record(7, usage_id="once").tokens, 7)
        refused(hg.Conflict, lambda: client.record(8, usage_id="once"))
        equal(client.usage().total_used, 12)
        holder = client.acquire(max_tokens=990 - 12)
        refused(hg.DeadlinePassed, lambda: client.acquire(max_tokens=100, timeout=0.1))
        holder.release()
        snapshot = client.snapshot()
        equal((snapshot.budgets["default"].used, snapshot.seq), (12, max(snapshot.topics.values())))
    refused(hg.Closed, lambda: client.usage())


def test_a_forked_child_is_refused():
    with place() as here, runtime(here.config), connected(here) as client:
        child = os.fork()
        if child == 0:
            try:
                client.usage()
            except hg.Forked:
                os._exit(0)
            finally:
                os._exit(1)
        equal(os.waitpid(child, 0)[1], 0)
        equal(client.usage().total_used, 0)


def test_a_busy_event_loop_loses_no_lease():
    async def busy(where):
        async with await hg.aio.connect(config=where.config, lease=1) as client:
            async with client.permit(max_tokens=100) as permit:
                time.sleep(3)  # the loop stands still
                assert not permit.lost
                equal((await client.usage()).open_permits, 1)
                await permit.settle(60)
    python_client()
    with place() as here, runtime(here.config):
        run(busy(here))
        equal(status("--config", here.config)["totalUsed"], 60)
        equal(headgate("orphans", "--config", here.config).count("charged"), 0)


HOLDER = """
import sys, time, headgate
hg = headgate.connect(config=sys.argv[1], lease=0.5)
permits = [hg.acquire(max_tokens=100) for _ in range(int(sys.argv[2]))]
print("holds")
time.sleep(1000)
"""


def test_a_killed_process_leaves_no_slot_behind_its_lease():
    with place(scheduler={"maxConcurrency": 2}) as here, runtime(here.config), connected(here) as client:
        holder = python_program(HOLDER, here.config, 2)
        holder.until(lambda: "holds" in holder.lines, "the permits")
        with client.events(topics="RESERVATION_ORPHANED") as stream:
            holder.end(signal.SIGKILL)
            with client.permit(max_tokens=100, timeout=WAIT_S) as permit:
                permit.settle(1)
            equal(len(heard(stream, "RESERVATION_ORPHANED", 2)), 2)
        found = client.usage()
        equal((found.total_used, found.reserved, found.running, found.open_permits), (201, 0, 0, 0))


def test_cancelling_an_acquire_that_waits():
    async def cancelled(where):
        async with await hg.aio.connect(config=where.config) as client:
            first = await client.acquire(max_tokens=10)
            waits = [asyncio.ensure_future(client.acquire(max_tokens=10)) for _ in range(3)]
            while (await client.usage()).waiting != 3:
                await asyncio.sleep(0.01)
            waits[1].cancel()
            while (await client.usage()).waiting != 2:
                await asyncio.sleep(0.01)
            await first.settle(1)
            await (await waits[0]).settle(1)
            await (await waits[2]).settle(1)
            for _ in range(50):  # whoever is faster, no permit stays
                task = asyncio.ensure_future(client.acquire(max_tokens=10))
                await asyncio.sleep(random.random() * 0.002)
                task.cancel()
                with contextlib.suppress(asyncio.CancelledError):
                    await (await task).release()
            while (found := await client.usage()).open_permits or found.waiting:
                await asyncio.sleep(0.01)
            equal((found.total_used, found.reserved), (3, 0))
    python_client()
    with place(scheduler={"maxConcurrency": 1}) as here, runtime(here.config):
        run(cancelled(here))


def test_a_grant_that_nobody_waits_for_is_given_back():
    with place() as here, runtime(here.config), connected(here) as client, connected(here) as other:
        connection, held = client._connection, threading.Event()
        for granted_first in (False, True):
            permit = client.permit(max_tokens=10)
            held.clear()
            future = connection.submit(permit._call)
            if not granted_first:
                connection._post(lambda: (connection._flush(), held.wait()))  # the grant comes, and is not read yet
            until(lambda: other.usage().open_permits == 1, "the grant")
            if granted_first:
                future.result(WAIT_S)
            connection.cancel(permit._call)
            held.set()
            until(lambda: other.usage().open_permits == 0, "the grant is given back")
        equal((other.usage().total_used, connection._leases), (0, {}))


def test_an_acquire_that_waits_longer_than_its_lease_is_not_given_up():
    with place(scheduler={"maxConcurrency": 1}) as here, runtime(here.config), connected(here) as other:
        first = other.acquire(max_tokens=10)
        with connected(here, lease=1) as client:  # a connection of its own, that has nothing else to say
            waiting = []
            thread = threading.Thread(target=lambda: waiting.append(client.acquire(max_tokens=10, timeout=WAIT_S)))
            thread.start()
            until(lambda: other.usage().waiting == 1, "it waits")
            time.sleep(2.5)
            equal(other.usage().waiting, 1)
            first.settle(1)
            thread.join(WAIT_S)
            waiting[0].settle(1)
        equal(other.usage().total_used, 2)


# --------------------------------------------------------------------------------------------- a runtime that is lost

def test_what_waits_survives_a_lost_runtime():
    with place(scheduler={"maxConcurrency": 1}) as here, lives(here.config) as now, connected(here) as client:
        held = client.acquire(max_tokens=100, lease=1)
        waiting = []
        thread = threading.Thread(target=lambda: waiting.append(client.acquire(max_tokens=50, timeout=WAIT_S)))
        thread.start()
        until(lambda: client.usage().waiting == 1, "the second waits")
        now[0].kill()
        late = threading.Thread(target=lambda: equal(client.record(7).tokens, 7))
        late.start()
        now[0] = type(now[0])(here.config)
        thread.join(WAIT_S)
        late.join(WAIT_S)
        equal(len(waiting), 1)
        equal(held.settle(30).tokens, 30)  # an orphan now: what it used takes the place of the guess
        waiting[0].settle(20)
        until(lambda: held.lost or held._ended, "the lease is gone")
        found = client.usage()
        equal((found.total_used, found.reserved), (57, 0))
        now[0].end()
        equal(sum(delta or 0 for delta, in journal(here, "used_delta")), 57)


def test_a_runtime_that_stops_in_order_is_waited_for():
    with place(scheduler={"maxConcurrency": 1}) as here, lives(here.config) as now, connected(here) as client:
        client.acquire(max_tokens=100)
        granted = []
        thread = threading.Thread(target=lambda: granted.append(client.acquire(max_tokens=50, timeout=WAIT_S)))
        thread.start()
        until(lambda: client.usage().waiting == 1, "the second waits")
        now[0].process.communicate(timeout=WAIT_S)
        now[0] = type(now[0])(here.config)
        thread.join(WAIT_S)
        equal(len(granted), 1)


def test_another_ledger_is_seen():
    with place() as here, lives(here.config) as now, connected(here) as client:
        stream = client.events()
        client.record(1)
        equal(stream.next(WAIT_S).type, "USAGE_RECORDED")
        now[0].end()
        heard(stream, "RUNTIME_STOPPED")
        for path in here.folder.glob("headgate.db*"):
            shutil.rmtree(path) if path.is_dir() else path.unlink()
        now[0] = type(now[0])(here.config)
        for act in (client.usage, lambda: stream.next(WAIT_S), client.usage):
            refused(hg.LedgerChanged, act)


# ----------------------------------------------------------------------------------------------------------- events

def test_events_over_a_restart_once_and_in_order():
    with place(limit=10**9) as here, lives(here.config) as now, connected(here) as client:
        for number in range(700):
            client.record(1)
        topics = ("USAGE_RECORDED", "RUNTIME_")
        with client.events(from_seq=1) as stream, client.events(from_seq=1, topics=topics) as some:
            events, chosen = heard(stream, "USAGE_RECORDED", 100), heard(some, "USAGE_RECORDED", 50)
            stop = threading.Event()

            def load():
                while not stop.is_set():
                    client.record(1)
            thread = threading.Thread(target=load)
            thread.start()
            events += heard(stream, "USAGE_RECORDED", 900)
            killed(now, here.config)
            events += heard(stream, "RUNTIME_STARTED") + heard(stream, "USAGE_RECORDED", 300)
            chosen += heard(some, "RUNTIME_STARTED")
            stop.set()
            thread.join(WAIT_S)
            client.set_limit(10**8)
            events += heard(stream, "LIMIT_CHANGED")
            last = client.usage().seq
            goal = max(event.seq for event in events if event.type.startswith(topics))
            while chosen[-1].seq < goal:
                chosen.append(some.next(WAIT_S))
        equal([event.seq for event in events], list(range(1, events[-1].seq + 1)))
        assert last >= events[-1].seq
        now[0].end()
        rows = journal(here)[:len(events)]
        equal([(event.seq, event.type) for event in events], rows)
        equal([event.seq for event in chosen], [seq for seq, kind in rows if kind.startswith(topics)][:len(chosen)])


def test_events_of_a_remote_runtime_need_their_endpoint():
    client, port = python_client(), free_port()
    with place(serve={"bind": [f"tcp://127.0.0.1:{port}"]}) as here, lives(here.config) as now:
        url = f"tcp://127.0.0.1:{port}"
        with client.connect(url) as remote:
            problem = refused(client.HeadgateError, remote.events)
            equal(problem.name, "HG_ERR_CONFIG")
            assert "HEADGATE_EVENTS_URL" in problem.reason and f"ipc://{here.folder}" in problem.reason, problem.reason
        with client.connect(url, events_url=f"ipc://{here.folder}/headgate.db.d/events.ipc") as remote:
            with remote.events() as stream:
                remote.record(1)
                equal(stream.next(WAIT_S).payload["usedDelta"], 1)
        with client.connect(url, events_url=f"tcp://127.0.0.1:{free_port()}") as remote:  # nothing listens there
            with remote.events() as one, remote.events(topics=("USAGE_", "RUNTIME_")) as some:
                for number in range(3):
                    remote.record(10 + number)
                    for stream in (one, some):
                        equal(heard(stream, "USAGE_RECORDED")[-1].payload["usedDelta"], 10 + number)
                now[0].kill()
                while one.next(3) or some.next(3):
                    pass  # such as AUDIT_DONE
                now[0] = type(now[0])(here.config)
                for stream in (one, some):
                    heard(stream, "RUNTIME_STARTED")
        assert not wrong, wrong


def stream_of(client, place_, answers, **welcome):
    """Its beginning is asked for as often as there are answers."""
    from headgate._events import EventStream

    def ask():
        asked, answer = concurrent.futures.Future(), answers.pop(0)
        if isinstance(answer, Exception):
            asked.set_exception(answer)
        elif answer is not None:
            asked.set_result(answer)
        return asked
    return EventStream(place_, {"ledger": client.ledger_id if client else "L", "events": "ipc://none", **welcome}, ask,
                       (), None)


def test_a_stream_asks_again_where_it_begins():
    async def the_same(where):
        async with await hg.aio.connect(config=where.config) as loop:
            answers = [hg.DeadlinePassed(), hg.StoreFailed("once"), hg.DeadlinePassed(), 0]
            async with hg.aio.Events(stream_of(loop, loop._client._connection.place, answers)) as events:
                try:
                    equal(await events.__anext__(), "an error")
                except hg.StoreFailed:
                    pass
                equal((await events.__anext__()).seq, 1)
            equal(answers, [])
    python_client()
    with place() as here, runtime(here.config), connected(here) as client:
        answers = [hg.DeadlinePassed(), hg.StoreFailed("once"), hg.DeadlinePassed(), 0]
        with stream_of(client, client._connection.place, answers) as stream:
            equal(refused(hg.StoreFailed, lambda: stream.next(WAIT_S)).reason, "once")
            equal(len(answers), 2)
            equal(stream.next(WAIT_S).seq, 1)
        with stream_of(client, client._connection.place, [None]) as stream:
            equal(stream.next(0.1), None)  # no answer yet
        run(the_same(here))


def test_no_question_waits_for_a_runtime_that_is_not_there():
    python_client()
    from headgate._place import Place
    with place() as here, stream_of(None, Place(f"ipc://{here.folder}/none"), [0],
                                    events=f"ipc://{here.folder}/none2") as stream:
        equal([stream.next(0.2) for _ in range(3)], [None] * 3)
        equal((stream._dealer is None, stream._asked), (False, False))


def test_events_from_now_on_miss_nothing_after_the_call():
    async def follow(where):
        async with await hg.aio.connect(config=where.config) as client:
            await client.record(5, task_id="before")
            async with client.events() as events:
                await client.record(6, task_id="after")
                async def next_record():
                    async for event in events:
                        if event.type == "USAGE_RECORDED":
                            return event.payload["taskId"]
                equal(await next_record(), "after")
                waits = asyncio.ensure_future(next_record())
                await asyncio.sleep(0.05)
                await client.record(7, task_id="later")
                equal(await waits, "later")
    python_client()
    with place() as here, runtime(here.config):
        run(follow(here))


if __name__ == "__main__":
    sys.exit(main(dict(globals())))
