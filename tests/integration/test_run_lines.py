#!/usr/bin/env python3
"""headgate run of a batch of a million lines, some of them bad and some twice there: python3 test_run_lines.py BUILD_DIR

LINES: how many, by default 1,000,000. Standard library only.
"""
import json
import os
import resource
import sys

from cli_harness import equal, main
from run_harness import place, sim

LINES = int(os.environ.get("LINES", "1000000"))
EVERY = 1000  # of so many lines one is bad and one was there before
# Of a run, and with the putting in order behind it. The batch has 155 MiB, the results three times as much.
RUN_MAX, ORDER_MAX = 96 << 20, 192 << 20
RUN_S = 1500
LINE = ('{"custom_id":"r-%d","method":"POST","url":"/v1/chat/completions","body":{"model":"m","messages":'
        '[{"role":"user","content":"question %d"}],"max_tokens":4}}\n')


def write(path):
    """The line numbers of the bad lines, and of those whose custom_id was given before."""
    bad, twice = [], []
    with open(path, "w", encoding="utf-8") as batch:
        for i in range(1, LINES + 1):
            if i % EVERY == 500:
                bad.append(i)
                batch.write('{"custom_id": "r-%d", "method"\n' % i)
            elif i % EVERY == 999:
                twice.append(i)
                batch.write(LINE % (i - 7, i))
            else:
                batch.write(LINE % (i, i))
    return bad, twice


def lines_of(path):
    with open(path, encoding="utf-8") as lines:
        yield from map(json.loads, lines)


def peak():
    """The most memory that any run so far has had."""
    return resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss << 10


def test_a_large_batch_needs_little_memory_and_every_line_is_told_of():
    with place(0) as here, sim("--text-bytes", 0) as server:
        bad, twice = write(here.batch)
        flags = ("--limit", 2**50, "--max-concurrency", 256, "--base-url", server.url)
        good = LINES - len(bad) - len(twice)
        for now, before, more in ((good, 0, ()), (0, good, ("--order", "input"))):
            requests = here.run(*flags, *more, code=1, wait=RUN_S)[0]["requests"]
            equal((requests["lines"], requests["doneNow"], requests["doneBefore"], requests["invalid"],
                   requests["duplicates"]), (LINES, now, before, len(bad), len(twice)))
            equal((requests["failed"], requests["left"], server.stats()["requests"]), (0, 0, good))
            told = {"invalid_line": [], "duplicate_custom_id": []}
            for failure in lines_of(here.errors):
                told[failure["error"]["code"]].append(failure["error"]["line"])
            equal(told, {"invalid_line": bad, "duplicate_custom_id": twice})
            print(f"{LINES} lines, {here.batch.stat().st_size >> 20} MiB: {peak() >> 20} MiB of memory at most")
            assert peak() <= (ORDER_MAX if more else RUN_MAX), peak()
        expected = (i for i in range(1, LINES + 1) if i % EVERY not in (500, 999))
        for result, number in zip(lines_of(here.output), expected, strict=True):
            equal(result["custom_id"], f"r-{number}", "results in the order of the batch")


if __name__ == "__main__":
    sys.exit(main(dict(globals())))
