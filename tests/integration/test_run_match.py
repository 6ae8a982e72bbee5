#!/usr/bin/env python3
"""headgate run against a provider of which a fifth of the answers are refusals, cut off or no JSON, each call of it
matched with the provider's own log: python3 test_run_match.py BUILD_DIR [NAME ...]

Handed out: what llm-sim generated, whether the answer arrived or not. Counted: what the ledger says was used.
SEED=N draws the same faults again; CALLS=N another number of requests. Standard library only.
"""
import collections
import contextlib
import itertools
import json
import os
import random
import sqlite3
import sys

from cli_harness import equal, main
from run_harness import CHAT, Sim, answered, audit, place, wait_until

CALLS = int(os.environ.get("CALLS", "2000"))
SEED = int(os.environ.get("SEED", "0")) or random.SystemRandom().randrange(1, 2**31)
# Few 429, because each of them halves the calls at once.
FAULTS = ("--rate-429", 2, "--rate-500", 6, "--rate-cut", 6, "--rate-malformed", 6, "--rate-stream-error", 10)
# Answers that say nothing of what they used.
UNTOLD = ("cut", "malformed", "stream_error")
RUN_S = 600
# A line is called until it is answered, so that every one of them has a result.
PATIENT = {"maxAttempts": 100, "retryUnknownOutcome": 100}


def a_line(i, draw):
    """A call of a kind that the provider knows, streamed or not. It names itself, and the provider's log repeats it."""
    name, text, cap, stream = f"r-{i}", f"question {i}", draw.randint(5, 60), draw.random() < 0.4
    message = [{"role": "user", "content": text}]
    url, body = draw.choice((
        (CHAT, {"messages": message, "max_tokens": cap, "user": name}),
        ("/v1/responses", {"input": text, "max_output_tokens": cap, "user": name}),
        ("/v1/completions", {"prompt": text, "max_tokens": cap, "user": name}),
        ("/v1/messages", {"messages": message, "max_tokens": cap, "metadata": {"user_id": name}})))
    return {"custom_id": name, "method": "POST", "url": url,
            "body": {"model": "m", **body, **({"stream": True} if stream else {})}}


def batch(calls=CALLS):
    draw = random.Random(SEED)
    return [a_line(i, draw) for i in range(calls)]


# estimated: nobody knows what it used, so that it is charged what it had reserved. orphaned: a kill came before it ended.
Charge = collections.namedtuple("Charge", "reserved counted estimated orphaned")


def charges_of(ledger):
    """Of each line the attempts that were charged, in order. Those that were refused go on with what they had reserved,
    or give it back."""
    lines = collections.defaultdict(list)
    with contextlib.closing(sqlite3.connect(f"file:{ledger}?mode=ro", uri=True)) as db:
        for task, state, *charge in db.execute("""
                SELECT r.task_id, r.state, r.tokens, sum(e.used_delta),
                       max(e.source = 'estimated') IS 1 OR r.state = 'orphaned', max(e.event = 'RESERVATION_ORPHANED')
                  FROM reservation r JOIN event e ON e.permit = r.id GROUP BY r.id ORDER BY min(e.seq)"""):
            charge, line = Charge(*charge), lines[task.partition("/")[2]]
            if state == "released":
                equal(charge.counted, 0, f"counted of what {task} gave back")
            else:
                line.append(charge)
    return lines


def calls_of(log):
    """Of each line its calls as the provider's log has them, in order."""
    lines = collections.defaultdict(list)
    with open(log, encoding="utf-8") as calls:
        for call in map(json.loads, calls):
            lines[call["user"]].append(call)
    for name, calls in lines.items():
        calls.sort(key=lambda call: call["attempt"])
        equal([call["attempt"] for call in calls], list(range(1, len(calls) + 1)), f"calls of {name}")
    return lines


NO_CALL = {"tokens": 0, "outcome": "never sent"}


def pairings(charges, calls):
    """The ways in which a line's charges can belong to its calls, both in order. A kill may have come between what was
    reserved and what was sent, and nobody wrote down which of the orphans that was."""
    orphans = [i for i, charge in enumerate(charges) if charge.orphaned]
    for unsent in itertools.combinations(orphans, max(len(charges) - len(calls), 0)):
        sent = iter(calls)
        pairs = [(charge, NO_CALL if i in unsent else next(sent, NO_CALL)) for i, charge in enumerate(charges)]
        if next(sent, None) is None:
            yield pairs


def check_one(charge, call):
    if charge.estimated:
        equal(charge.counted, charge.reserved, "counted of what was reserved")
    else:
        equal(charge.counted, call["tokens"], "counted of what was generated")
    assert call["tokens"] <= charge.reserved
    if not charge.orphaned:
        equal(bool(charge.estimated), call["outcome"] in UNTOLD, "whether it is an estimate")


def excess_of(name, charges, calls):
    """What a line was charged beyond what its calls generated; its charges have to fit its calls in one way."""
    wrongs = []
    for pairs in pairings(charges, calls):
        try:
            for charge, call in pairs:
                check_one(charge, call)
            return sum(charge.reserved - call["tokens"] for charge, call in pairs if charge.estimated)
        except AssertionError as wrong:
            wrongs.append(wrong)
    raise AssertionError(f"{name}: {charges} are not for {calls}: {wrongs}")


def check(here, server, log, limit):
    """Every line in the output once, every charge with its call, and the sums; how often which outcome came."""
    stats = server.stats()  # and the log is written out
    told = [line["custom_id"] for line in here.results() + here.failures()]
    equal(sorted(told), sorted(line["custom_id"] for line in here.lines), "lines in the output")
    charges, calls = charges_of(here.folder / "headgate.db"), calls_of(log)
    equal((set(charges), set(calls)), (set(told), set(told)), "lines that were tried")
    equal(sum(map(len, calls.values())), stats["requests"], "calls in the log")
    outcomes = collections.Counter(call["outcome"] for each in calls.values() for call in each)
    excess = 0
    for name, charged in charges.items():
        worked = [call for call in calls[name] if call["outcome"] not in ("429", "500")]
        excess += excess_of(name, charged, worked)
    handed_out, counted = stats["tokens"], audit(here.folder / "headgate.db")
    equal(counted - handed_out, excess, "counted - handed out")
    assert handed_out <= counted <= limit, (handed_out, counted, limit)
    print(f"{len(told)} lines, {stats['requests']} calls, {handed_out} tokens handed out, {counted} counted, "
          f"{dict(outcomes)}")
    return outcomes


@contextlib.contextmanager
def world(calls, limit, *flags):
    """A batch, a provider with its log, and the flags of a run of it."""
    with place(batch(calls)) as here:
        log = here.folder / "provider.jsonl"
        server = Sim("--seed", SEED, "--retry-after", 0, "--log", log, *FAULTS, *flags)
        config = here.config(limit, llm=PATIENT, eventBus={"bind": []})
        try:
            yield here, server, log, ["--config", config, "--base-url", server.url, "--max-concurrency", 16]
        finally:
            server.stop()


def test_each_call_is_counted_once():
    limit = 10_000_000
    with world(CALLS, limit) as (here, server, log, flags):
        summary, _ = here.run(*flags, wait=RUN_S)
        outcomes = check(here, server, log, limit)
        for outcome in ("ok", "429", "500", *UNTOLD):
            assert outcomes[outcome] >= CALLS / 100, outcomes
        equal(summary["requests"]["doneNow"], CALLS, "lines done")
        equal(summary["run"]["estimated"], sum(outcomes[untold] for untold in UNTOLD), "estimated")


def test_each_call_is_counted_once_although_runs_are_killed():
    limit, calls = 10_000_000, max(CALLS // 5, 100)
    with world(calls, limit, "--latency-ms", 1, "--latency-jitter-ms", 5) as (here, server, log, flags):
        for part in (4, 2):
            run = here.start(*flags)
            wait_until(answered(server, calls // part), "answers")
            run.kill()
            run.communicate()
        here.run(*flags, wait=RUN_S)
        wait_until(lambda: server.stats()["in_flight"] == 0, "the end of all calls")
        outcomes = check(here, server, log, limit)
        equal(len(here.failures()), 0, "failures")
        assert server.stats()["requests"] >= calls and outcomes["ok"] >= calls, outcomes


if __name__ == "__main__":
    print(f"seed {SEED}: SEED={SEED} CALLS={CALLS} repeats it")
    sys.exit(main(dict(globals())))
