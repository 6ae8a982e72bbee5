#!/usr/bin/env python3
"""Permits, records and snapshots for programs in any language: the control socket by hand.

usage: test_permits.py BUILD_DIR [NAME ...]    (BUILD_DIR has headgate and tests/serve_for_tests)
"""
import json
import sys

from cli_harness import WAIT_S, Runtime, equal, main, place, runtime, status
from outside_harness import ERRORS, Asker, control, msgpack, until

OPENAI = {"id": "chatcmpl-1", "object": "chat.completion", "model": "gpt-x",
          "choices": [{"index": 0, "message": {"role": "assistant", "content": "ok"}}],
          "usage": {"prompt_tokens": 11, "completion_tokens": 7, "total_tokens": 18,
                    "prompt_tokens_details": {"cached_tokens": 3}}}


def test_a_permit_is_acquired_renewed_and_settled():
    with place(limit=1000) as here, runtime(here.config), control(here) as line:
        asker = Asker(line)
        welcome = asker.ask("HELLO")
        equal((welcome["type"], welcome["leaseMs"]), ("WELCOME", 30000))
        assert welcome["events"].startswith("ipc://") and len(welcome["ledger"]) == 36, welcome
        permit = asker.acquire(100, taskId="one")
        equal(asker.ask("STATUS")["reserved"], 100)
        asker.done("RENEW_PERMIT", permit=permit)
        done = asker.done("SETTLE_PERMIT", permit=permit, tokens=60, model="m", inputTokens=50, outputTokens=10)
        equal((done["tokens"], done["source"]), (60, "exact"))
        asker.done("SETTLE_PERMIT", permit=permit, tokens=60)
        asker.done("SETTLE_PERMIT", "CONFLICT", permit=permit, tokens=61)
        asker.done("RENEW_PERMIT", "UNKNOWN_PERMIT", permit=permit)
        other = asker.acquire(100)
        assert other != permit, other
        asker.done("SETTLE_PERMIT", error=None, permit=other, source="missing")
        equal(asker.ask("STATUS")["totalUsed"], 160)
        third = asker.acquire(100)
        asker.done("RELEASE_PERMIT", permit=third, outcome=1, reason="refused")
        figures = asker.ask("STATUS")
        equal((figures["totalUsed"], figures["reserved"], figures["openPermits"]), (160, 0, 0))


def test_an_acquire_that_does_not_wait_for_tokens():
    with place(limit=1000) as here, runtime(here.config), control(here) as line:
        asker = Asker(line)
        first = asker.acquire(800)
        refused = asker.done("ACQUIRE_PERMIT", "TIMEOUT", maxTokens=300, noWait=True)
        equal(refused["error"], ERRORS["TIMEOUT"])
        second = asker.acquire(200, noWait=True)
        asker.done("SETTLE_PERMIT", permit=second, tokens=201)
        asker.done("RELEASE_PERMIT", permit=first, outcome=1, reason="not needed")
        equal(asker.ask("STATUS")["totalUsed"], 201)


def test_what_is_not_told_is_missing_and_0_is_told():
    with place(limit=1000) as here, runtime(here.config), control(here) as line:
        asker = Asker(line)
        used = 0
        for fields, counted, source in (({}, 100, "missing"), ({"inputTokens": 7}, 100, "missing"),
                                        ({"outputTokens": 7}, 100, "missing"), ({"tokens": None}, 100, "missing"),
                                        ({"tokens": 0}, 0, "exact"), ({"tokens": 0, "inputTokens": 7}, 0, "exact"),
                                        ({"inputTokens": 7, "outputTokens": 0}, 7, "exact")):
            done = asker.done("SETTLE_PERMIT", permit=asker.acquire(100), **fields)
            equal((done["source"], "inputTokens" in done["reason"]), (source, source == "missing"), fields)
            used += counted
            equal(asker.ask("STATUS")["totalUsed"], used, fields)
        for fields in ({}, {"inputTokens": 7}, {"outputTokens": 7}, {"usageId": "u"}, {"source": "missing"}):
            asker.done("RECORD", "NO_USAGE", **fields)
        assert "inputTokens" in asker.ask("RECORD", inputTokens=7)["reason"]
        asker.done("RECORD", tokens=0)
        asker.done("RECORD", inputTokens=7, outputTokens=0)
        equal(asker.ask("STATUS")["totalUsed"], used + 7)


def test_a_provider_s_answer_is_read_by_the_runtime():
    with place(limit=1000) as here, runtime(here.config), control(here) as line:
        asker = Asker(line)
        permit = asker.acquire(100)
        done = asker.done("SETTLE_PERMIT", permit=permit, tokens=999, answer=json.dumps(OPENAI))
        equal((done["tokens"], done["source"]), (18, "exact"))
        permit = asker.acquire(100)
        done = asker.done("SETTLE_PERMIT", permit=permit, answer='{"id": "x", "choices": []}')
        equal(done["source"], "missing")
        equal(asker.ask("STATUS")["totalUsed"], 118)
        done = asker.done("RECORD", taskId="free", usageId="u1", answer=json.dumps(OPENAI))
        equal(done["tokens"], 18)
        asker.done("RECORD", taskId="free", usageId="u1", answer=json.dumps(OPENAI))  # counts once
        asker.done("RECORD", "NO_USAGE", answer="{}")
        asker.done("RECORD", "NO_USAGE", answer="no JSON")
        asker.done("RECORD", "CONFLICT", usageId="u1", tokens=19)
        asker.done("RECORD", "INVALID", usageId="", tokens=4)
        assert "usageId is empty" in asker.ask("CORRECT", usageId="", tokens=4, why="twice")["reason"]
        asker.done("RECORD", tokens=4)
        equal(asker.ask("STATUS")["totalUsed"], 140)
        asker.send("REPLAY", topics="TOKENS_SETTLED")
        event = asker.receive()["payload"]
        equal((event["model"], event["responseId"], event["inputTokens"], event["cachedTokens"], event["outputTokens"]),
              ("gpt-x", "chatcmpl-1", 11, 3, 7))


def test_refusals_say_why():
    budgets = {"budgets": {"small": {"hardLimitTokens": 50}}}
    with place(limit=1000, tokenBudget=budgets) as here, runtime(here.config), control(here) as line:
        asker = Asker(line)
        asker.done("ACQUIRE_PERMIT", "UNKNOWN_BUDGET", budget="nobody", maxTokens=1)
        asker.done("ACQUIRE_PERMIT", "INVALID", maxTokens=0)
        asker.done("ACQUIRE_PERMIT", "INVALID", minTokens=5, maxTokens=4)
        asker.done("ACQUIRE_PERMIT", "INVALID", maxTokens=1, leaseMs=99)
        asker.done("ACQUIRE_PERMIT", "INVALID", maxTokens=1, leaseMs=604800001)
        asker.done("ACQUIRE_PERMIT", "UNKNOWN_PERMIT", maxTokens=1, parent="0000000000000abc")
        refused = asker.done("ACQUIRE_PERMIT", "BUDGET_EXHAUSTED", budget="small", maxTokens=51)
        equal((refused["budget"], refused["tokens"]), ("small", 50))
        for kind in ("SETTLE_PERMIT", "RELEASE_PERMIT"):
            asker.done(kind, "INVALID")
            asker.done(kind, "INVALID", permit="0000000000000abc", outcome=3)
            asker.done(kind, "UNKNOWN_PERMIT", permit="0000000000000abc")
        asker.done("RENEW_PERMIT", "UNKNOWN_PERMIT", permit="0000000000000abc")
        asker.done("CONCURRENCY", "RANGE", count=0)
        asker.done("CONCURRENCY", count=3)
        equal(asker.ask("STATUS")["maxConcurrency"], 3)
        asker.done("LIMIT", "UNKNOWN_BUDGET", budget="nobody", tokens=1)
        asker.done("LIMIT", "RANGE", tokens=0)
        asker.done("LIMIT", budget="small", tokens=60)
        asker.done("PING")


def test_who_waits_is_served_in_line_or_gives_up():
    with place(limit=1000, scheduler={"maxConcurrency": 1}) as here, runtime(here.config), control(here) as line:
        asker = Asker(line)
        first = asker.acquire(10)
        waiting = [asker.send("ACQUIRE_PERMIT", maxTokens=10, taskId=str(n)) for n in range(3)]
        short = asker.send("ACQUIRE_PERMIT", maxTokens=10, timeoutMs=1)
        found = asker.receive()
        equal((found["request"], found["error"]), (short, ERRORS["TIMEOUT"]))
        asker.send_raw({"v": 1, "type": "CANCEL_ACQUIRE", "request": waiting[1]})
        found = asker.receive()
        equal((found["request"], found["error"]), (waiting[1], ERRORS["CANCELLED"]))
        asker.send_raw({"v": 1, "type": "CANCEL_ACQUIRE", "request": 12345})  # nobody's, and no answer
        settle = asker.send("SETTLE_PERMIT", permit=first, tokens=1)
        found = {message["request"]: message for message in (asker.receive(), asker.receive())}
        equal(set(found), {settle, waiting[0]})
        equal(asker.ask("LIST_WAITING")["count"], 1)


def test_an_acquire_of_a_silent_or_gone_connection_is_given_up():
    with place(limit=1000, scheduler={"maxConcurrency": 1}) as here, runtime(here.config):
        with control(here) as line:
            holder = Asker(line)
            permit = holder.acquire(10)
            with control(here) as gone_line:
                Asker(gone_line).send("ACQUIRE_PERMIT", maxTokens=10, taskId="gone", leaseMs=60000)
                until(lambda: status("--config", here.config)["waiting"] == 1, "the acquire")
            with control(here) as silent_line:
                silent = Asker(silent_line)
                request = silent.send("ACQUIRE_PERMIT", maxTokens=10, taskId="silent", leaseMs=100)
                found = silent.receive()
                equal((found["request"], found["error"]), (request, ERRORS["CANCELLED"]))
            # The one that is gone is next in line: its grant finds nobody and is released.
            holder.done("SETTLE_PERMIT", permit=permit, tokens=10)
            after = holder.acquire(20)
            figures = holder.ask("STATUS")
            equal((figures["totalUsed"], figures["reserved"], figures["running"]), (10, 20, 1))
            holder.done("RELEASE_PERMIT", permit=after)


def test_a_permit_that_is_not_renewed_becomes_an_orphan():
    with place(limit=1000, scheduler={"maxConcurrency": 1}) as here, runtime(here.config), control(here) as line:
        asker = Asker(line)
        lost = asker.acquire(30, leaseMs=100)
        next_one = asker.acquire(10)  # as soon as the slot is free
        equal(asker.ask("LIST_ORPHANS")["permit"], lost)
        equal(asker.ask("STATUS")["totalUsed"], 30)
        asker.done("SETTLE_PERMIT", permit=lost, tokens=7)  # the truth comes late
        equal(asker.ask("STATUS")["totalUsed"], 7)
        asker.done("RELEASE_PERMIT", permit=next_one)


def test_permits_are_settled_over_a_restart_and_by_others():
    with place(limit=1000) as here:
        first = Runtime(here.config)
        with control(here) as line:
            permit = Asker(line).acquire(100)
        first.kill()
        with runtime(here.config), control(here) as line:
            asker = Asker(line)
            equal(asker.ask("STATUS")["totalUsed"], 100)
            asker.done("SETTLE_PERMIT", permit=permit, tokens=40)
            equal(asker.ask("STATUS")["totalUsed"], 40)
            assert asker.acquire(1) > permit


def snapshot(asker):
    """The report, with its budgets and topics by their names."""
    request = asker.send("SNAPSHOT")
    budgets, topics = {}, {}
    while (found := asker.receive())["type"] != "SNAPSHOT_REPORT":
        equal(found["request"], request)
        if found["type"] == "SNAPSHOT_BUDGET":
            budgets[found["budget"]] = found
        else:
            topics[found["topic"]] = found["newest"]
    equal((found["request"], found["budgets"], found["topics"]), (request, len(budgets), len(topics)))
    return found, budgets, topics


def folded(events, seq):
    """What the events up to `seq` add up to, for each budget by itself; and the newest row of each type."""
    used, reserved, newest = {}, {}, {}
    for event in events:
        if event["seq"] > seq:
            break
        newest[event["type"]] = event["seq"]
        budget, payload = event["budget"], event["payload"]
        used[budget] = used.get(budget, 0) + payload.get("usedDelta", 0)
        reserved[budget] = reserved.get(budget, 0) + payload.get("reservedDelta", 0)
    return used, reserved, newest


def test_a_snapshot_is_what_the_events_up_to_it_add_up_to():
    budgets = {"budgets": {"a": {"hardLimitTokens": 100000}, "b": {"hardLimitTokens": 50000, "parent": "a"}}}
    with place(limit=200000, tokenBudget=budgets, scheduler={"maxConcurrency": 8}) as here, runtime(here.config), \
            control(here) as line, control(here) as other_line:
        asker, worker = Asker(line), Asker(other_line)
        shots = []
        for number in range(300):  # pipelined: snapshots fall among commits
            worker.send("RECORD", tokens=number, budget=("default", "a", "b")[number % 3])
            if number % 10 == 0:
                worker.send("ACQUIRE_PERMIT", maxTokens=5, budget="b", timeoutMs=100000)
            if number % 50 == 0:
                shots.append(snapshot(asker))
        shots.append(snapshot(asker))
        asker.send("REPLAY")
        events, after = [], 0
        while True:
            found = asker.receive()
            if found["type"] != "REPLAY_REPORT":
                events.append(found)
            elif found["reached"] == found["newest"]:
                break
            else:
                asker.send("REPLAY", after=found["reached"])
        assert len({report["seq"] for report, _, _ in shots}) > 1, shots
        for report, figures, topics in shots:
            used, reserved, newest = folded(events, report["seq"])
            equal(topics, newest, report)
            below = {"default": ("default", "a", "b"), "a": ("a", "b"), "b": ("b",)}
            equal({name: each["parent"] for name, each in figures.items()}, {"default": "", "a": "default", "b": "a"})
            for name, parts in below.items():
                equal(figures[name]["used"], sum(used.get(part, 0) for part in parts), (name, report))
                equal(figures[name]["reserved"], sum(reserved.get(part, 0) for part in parts), (name, report))
            equal((report["maxConcurrency"], report["effectiveConcurrency"]), (8, 8))


def test_many_snapshots_at_once_take_their_turn():
    with place(limit=1000) as here, runtime(here.config), control(here) as line:
        asker = Asker(line)
        requests = [asker.send("SNAPSHOT") for _ in range(200)]
        ended = []
        while len(ended) < 200:
            found = asker.receive()
            if found["type"] == "SNAPSHOT_REPORT":
                ended.append(found["request"])
            else:
                equal(found["request"], requests[len(ended)])
        equal(ended, requests)


def test_one_connection_has_only_so_much_under_way():
    with place(limit=10**9, scheduler={"maxConcurrency": 1}) as here, runtime(here.config), control(here) as line, \
            control(here) as other_line:
        asker, other = Asker(line), Asker(other_line)
        held = asker.acquire(1)
        requests = [asker.send("ACQUIRE_PERMIT", maxTokens=1, leaseMs=600000) for _ in range(8200)]
        refused = [asker.receive() for _ in range(8)]
        equal([(each["request"], each["error"]) for each in refused],
              [(request, ERRORS["BUSY"]) for request in requests[8192:]])
        other.done("RECORD", tokens=5)  # others are served
        asker.done("RECORD", tokens=5)  # and itself, with all that is no acquire
        asker.done("RENEW_PERMIT", permit=held)
        settle = asker.send("SETTLE_PERMIT", permit=held, tokens=1)
        equal({asker.receive()["request"], asker.receive()["request"]}, {settle, requests[0]})


def test_a_runtime_that_closes_answers_all():
    with place(limit=1000, scheduler={"maxConcurrency": 1}) as here, control_of(here) as (served, asker):
        asker.acquire(10)
        waiting = [asker.send("ACQUIRE_PERMIT", maxTokens=10) for _ in range(5)]
        until(lambda: status("--config", here.config)["waiting"] == 5, "the acquires")
        served.process.stdin.close()
        equal({(found["request"], found["error"]) for found in (asker.receive() for _ in range(5))},
              {(request, ERRORS["CLOSED"]) for request in waiting})
        served.process.wait(WAIT_S)


class control_of:
    """A runtime and a connection that ends after it."""

    def __init__(self, where):
        self.where = where

    def __enter__(self):
        self.served = Runtime(self.where.config)
        self.line = control(self.where)
        return self.served, Asker(self.line.__enter__())

    def __exit__(self, *failure):
        self.line.__exit__(*failure)
        if self.served.process.poll() is None:
            self.served.kill()


def test_frames_that_are_no_commands_change_nothing():
    with place(limit=1000) as here, runtime(here.config), control(here) as line:
        asker = Asker(line)
        permit = asker.acquire(10)
        for bad in ({"type": "PERMIT_GRANTED", "request": 1, "permit": permit}, {"type": "SETTLE_PERMIT", "permit": permit,
                    "tokens": -1}, {"type": "SETTLE_PERMIT", "permit": permit, "source": "guessed"},
                    {"type": "SETTLE_PERMIT", "permit": permit, "answer": b"{}"}, {"type": "ACQUIRE", "request": 1},
                    {"type": "LEAVE", "gone": True}, {"type": "RECORD", "tokens": 2**53}):
            asker.send_raw(msgpack.packb(bad))
            found = asker.receive()
            equal((found["type"], found["request"], found["error"]), ("COMMAND_DONE", bad.get("request", 0), 20), bad)
        figures = asker.ask("STATUS")
        equal((figures["totalUsed"], figures["reserved"], figures["running"]), (0, 10, 1))


if __name__ == "__main__":
    sys.exit(main(dict(globals())))
