#!/usr/bin/env python3
"""docs/protocol.md with pyzmq, msgpack and the JSON Schemas: what a runtime publishes, what its control socket takes.

usage: test_protocol.py BUILD_DIR [NAME ...]    (BUILD_DIR has headgate and tests/serve_for_tests)
"""
import contextlib
import copy
import json
import sys

from cli_harness import (SOURCE, WAIT_S, Runtime, checked, equal, events_endpoint, headgate, main, place, runtime,
                         validator)
from outside_harness import control, jsonschema, msgpack, schema_of, zmq


def golden():
    for line in (SOURCE / "schemas" / "golden" / "outside.hex").read_text().splitlines():
        name, fields, body = line.split()
        yield name, int(fields), msgpack.unpackb(bytes.fromhex(body))


# -------------------------------------------------------------------------------------------------------- the schemas

def test_every_golden_message_is_what_one_schema_says():
    schemas = {name: schema_of(name) for name in ("events", "commands")}
    for schema in schemas.values():
        jsonschema.Draft202012Validator.check_schema(schema)
    kinds = {choice["$ref"].removeprefix("#/$defs/"): name for name, schema in schemas.items()
             for choice in schema["oneOf"]}
    newest = {name: fields for name, fields, _ in golden()}  # lines are added: the last has all fields
    for name, fields, message in golden():
        equal(message["type"], name)
        wrong = list(validator(kinds[name], name).iter_errors(message))
        # A vector of before may lack what came later, and nothing else.
        assert all(error.validator == "required" and fields < newest[name] for error in wrong), (message, wrong)
        others = [other for other in schemas if jsonschema.Draft202012Validator(schemas[other]).is_valid(message)]
        assert others in ([], [kinds[name]]) and (others or wrong), (message, others)
    equal(set(newest), set(kinds))


def test_the_schema_of_events_refuses():
    schema = schema_of("events")  # first: skips where a package is missing
    validator = jsonschema.Draft202012Validator(schema)
    events = {name: message for name, fields, message in golden() if fields and "payload" in message}
    for name, message in events.items():
        def changed(change):
            other = copy.deepcopy(message)
            change(other)
            return validator.is_valid(other)

        def put(part, key, value):
            return changed(lambda other: (other[part] if part else other).__setitem__(key, value))
        for key in message:
            assert not changed(lambda other: other.pop(key)), (name, key)
        for key in message["payload"]:
            assert not changed(lambda other: other["payload"].pop(key)), (name, key)
            assert not put("payload", key, [1]), (name, key)
        assert put("", "more", 1) and put("payload", "more", 1), name
        assert not put("", "v", 2) and not put("", "type", "NO_SUCH"), name
        equal(put("", "seq", None), name in ("HEARTBEAT", "STORE_DEGRADED", "SUBSCRIBER_DROPPED"), name)
    settled = events["TOKENS_SETTLED"]
    for key, value, valid in (("used", 2**53 - 1, True), ("used", 2**53, False), ("used", -1, False),
                              ("usedDelta", -5, True), ("usedDelta", 2**63, False), ("inputTokens", None, True),
                              ("inputTokens", -1, False), ("permit", "0123456789abcde", False), ("permit", 5, False),
                              ("source", "guessed", False), ("attempt", 2**32, False), ("model", "x" * 513, False)):
        equal(validator.is_valid({**settled, "payload": {**settled["payload"], key: value}}), valid, (key, value))


# ------------------------------------------------------------------------------------------------------------- events

@contextlib.contextmanager
def subscriber(endpoint, *topics, raw=None):
    """Receives the next event, valid and with its topic, once it is known that the subscription is live.

    Its frame goes into `raw`, by its row."""
    schema_of("events")
    with zmq.Context() as context, context.socket(zmq.SUB) as socket:
        socket.linger, socket.rcvtimeo = 0, WAIT_S * 1000
        socket.connect(endpoint)
        for topic in topics:
            socket.subscribe(topic)

        def receive():
            topic, payload = socket.recv_multipart()
            event = checked(msgpack.unpackb(payload))
            equal(event["type"], topic.decode())
            if raw is not None:
                raw[event["seq"]] = payload
            return event
        yield receive


def first_heartbeat(receive):
    while (event := receive())["type"] != "HEARTBEAT":
        pass
    return event


def heard(receive, last):
    """The events up to the first of this type, without heartbeats."""
    events = [receive()]
    while events[-1]["type"] != last:
        events.append(receive())
    return [event for event in events if event["type"] != "HEARTBEAT"]


def a_story(where, served):
    """Says something of nearly every kind."""
    served.tell("record 100 one", "record 800 two", "correct -300", "concurrency 5")
    permit = served.acquire("acquire 50 three")
    served.tell(f"settle {permit} 60")  # more than it had reserved
    permit = served.acquire("acquire 10 four")
    served.tell(f"release {permit}")
    equal(served.ask("acquire 5000 five"), "HG_ERR_BUDGET_EXHAUSTED")
    served.acquire("acquire 20 six")  # open at the end: an orphan of the next life
    headgate("limit", "--config", where.config, "default", "2000")
    headgate("audit", "--config", where.config)


def test_every_event_is_valid_and_rows_have_no_gap():
    with place(limit=1000) as here:
        served = Runtime(here.config)
        with subscriber(events_endpoint(here), "") as receive:
            beat = first_heartbeat(receive)
            a_story(here, served)
            served.end()
            events = heard(receive, "RUNTIME_STOPPED")
            equal([event["seq"] for event in events], list(range(events[0]["seq"], events[-1]["seq"] + 1)))
            assert events[0]["seq"] <= beat["payload"]["newest"] + 1, (beat, events[0])
            equal({event["ledgerId"] for event in events}, {beat["ledgerId"]})
            missing = {"USAGE_RECORDED", "TOKENS_RESERVED", "TOKENS_SETTLED", "TOKENS_RELEASED", "BUDGET_OVERRUN",
                       "BUDGET_EXHAUSTED", "LIMIT_CHANGED", "USAGE_CORRECTED", "CONCURRENCY_THROTTLED",
                       "CONCURRENCY_RESTORED", "MAX_CONCURRENCY_CHANGED", "TASK_STARTED", "TASK_FINISHED",
                       "AUDIT_DONE", "RUNTIME_STOPPED"} - {event["type"] for event in events}
            equal(missing, set())


def test_prev_is_the_row_before_under_any_choice_of_topics():
    with place(limit=1000) as here, runtime(here.config) as served:
        wanted = ("TASK_STARTED", "USAGE_RECORDED", "HEARTBEAT")
        with subscriber(events_endpoint(here), *wanted) as receive:
            newest = dict(first_heartbeat(receive)["payload"]["topics"])
            for _ in range(5):
                served.tell("record 1", "record 1")
                served.tell(f"settle {served.acquire('acquire 5 t')} 5")
            count, events = 0, []
            while count < 15:
                event = receive()
                if event["type"] == "HEARTBEAT":
                    continue
                assert event["type"] in wanted, event
                equal(event["prev"], newest.get(event["type"], 0), event)
                newest[event["type"]] = event["seq"]
                count += 1
                events.append(event)
            equal([event["type"] for event in events], ["USAGE_RECORDED", "USAGE_RECORDED", "TASK_STARTED"] * 5)
            # A heartbeat comes behind the events that it counts.
            beat = first_heartbeat(receive)
            equal({topic: beat["payload"]["topics"][topic] for topic in newest if topic in wanted},
                  {topic: seq for topic, seq in newest.items() if topic in wanted})
            equal((beat["seq"], beat["prev"]), (None, None))
            assert beat["payload"]["newest"] == max(beat["payload"]["topics"].values()), beat


# ------------------------------------------------------------------------------------------------------------ commands

def test_commands_and_their_answers():
    with place(limit=1000) as here:
        dead = Runtime(here.config)
        permit = dead.acquire("acquire 30 lost")
        dead.kill()
        with runtime(here.config), control(here) as (ask, receive, _):
            def answer(kind, request, **fields):
                found = ask({"v": 1, "type": kind, "request": request, **fields})
                equal(found["request"], request)
                return found["type"], found
            kind, report = answer("STATUS", 1)
            equal((kind, report["budget"], report["totalUsed"], report["hardLimit"]),
                  ("STATUS_REPORT", "default", 30, 1000))
            kind, orphan = answer("LIST_ORPHANS", 2)
            equal((kind, orphan["permit"], orphan["tokens"], orphan["state"]), ("ORPHAN_REPORT", permit, 30, "charged"))
            kind, orphan = answer("LIST_ORPHANS", 3, after=permit)
            equal((kind, orphan["permit"]), ("ORPHAN_REPORT", "0" * 16))
            for request, (kind, fields) in enumerate([("SETTLE_PERMIT", {"permit": permit, "tokens": 20}),
                                                      ("CORRECT", {"tokens": -5, "why": "a test"}),
                                                      ("LIMIT", {"budget": "default", "tokens": 2000})], 4):
                kind, done = answer(kind, request, **fields)
                equal((kind, done["error"]), ("COMMAND_DONE", 0))
            kind, waiting = answer("LIST_WAITING", 7)
            equal((kind, waiting["count"]), ("WAITING_REPORT", 0))
            kind, audit = answer("AUDIT", 8)
            equal((kind, audit["differences"]), ("AUDIT_REPORT", 0))
            kind, refused = answer("STATUS", 9, budget="nobody")
            equal((kind, refused["error"] > 0), ("COMMAND_DONE", True))
            equal((answer("STATUS", 10)[1]["totalUsed"], answer("STATUS", 11)[1]["hardLimit"]), (15, 2000))


def replay(control, topics="", credit=0, after=0, raw=None):
    """All that the journal has now, a portion after the other; the frames go into `raw`, by their rows."""
    ask, receive, _ = control
    events, request = [], 100
    while True:
        found = ask({"v": 1, "type": "REPLAY", "request": request, "after": after, "topics": topics, "credit": credit})
        portion = []
        while found["type"] != "REPLAY_REPORT":
            portion.append(found)
            if raw is not None:
                raw[found["seq"]] = receive.frame
            found = receive()
        equal((found["request"], found["count"], found["oldest"]), (request, len(portion), 0))
        assert len(portion) <= (credit or 256) and after <= found["reached"] <= found["newest"], found
        assert not portion or portion[-1]["seq"] <= found["reached"], (portion[-1], found)
        events += portion
        if found["reached"] == found["newest"]:
            return events
        assert found["reached"] > after, found
        after, request = found["reached"], request + 1


def test_what_was_missed_is_told_again_as_it_was():
    with place(limit=1000) as here:
        first, frames = Runtime(here.config), {}
        with subscriber(events_endpoint(here), "", raw=frames) as receive:
            first_heartbeat(receive)
            a_story(here, first)
            first.end()
            events = heard(receive, "RUNTIME_STOPPED")
        with runtime(here.config) as second, control(here) as line:
            for number in range(600):
                second.tell(f"record 1 {number}")
            again = {}
            told = replay(line, credit=7, raw=again)
            equal([event["seq"] for event in told], list(range(1, len(told) + 1)))
            assert len(told) > 600, len(told)
            for event in events:
                equal(again[event["seq"]], frames[event["seq"]], event)  # byte for byte
            equal(replay(line)[:len(told)], told)
            equal(replay(line, topics="TOKENS_,USAGE_CORR"),
                  [event for event in told if event["type"].startswith(("TOKENS_", "USAGE_CORRECTED"))])
            equal(replay(line, topics="NOTHING"), [])
            equal(replay(line, after=len(told) - 3)[:3], told[-3:])


def test_commands_are_read_as_the_page_says():
    with place(limit=1000) as here, runtime(here.config), control(here) as (ask, _, _):
        for good in ({"type": "STATUS", "request": 7}, {"type": "STATUS", "request": 7.0},
                     {"request": 7, "type": "STATUS"},
                     {"v": 1, "type": "STATUS", "request": 7, "budget": None, "more": [{"a": 1}]}):
            found = ask(msgpack.packb(good))
            equal((found["type"], found["request"]), ("STATUS_REPORT", 7), good)
        twice = b"\x83" + b"".join(map(msgpack.packb, ("type", "STATUS", "request", 7, "request", 7)))
        for bad, request in ((b"", 0), (b"\xc1", 0), (msgpack.packb([1]), 0), (twice, 0),
                             (msgpack.packb({"v": 2, "type": "STATUS", "request": 7}), 7),
                             (msgpack.packb({"request": 7}), 7), (msgpack.packb({"type": "STATU", "request": 7}), 7),
                             (msgpack.packb({"type": "USAGE_RECORDED", "request": 7}), 7),
                             (msgpack.packb({"type": "STATUS", "request": -1}), 0),
                             (msgpack.packb({"type": "STATUS", "request": 7}) + b"x", 7),
                             (msgpack.packb({"type": "RECORD", "taskId": "a\0b", "request": 7}), 7),
                             (msgpack.packb({"type": "RECORD", "taskId": "x" * 513, "request": 7}), 7),
                             (msgpack.packb({"type": "RECORD", "taskId": 7, "request": 7}), 7),
                             (msgpack.packb({"type": "LIMIT", "request": 7, "budget": "default", "tokens": 2**53}), 7)):
            found = ask(bad)
            equal((found["type"], found["request"], found["error"] > 0), ("COMMAND_DONE", request, True), bad)


if __name__ == "__main__":
    sys.exit(main(dict(globals())))
