#!/usr/bin/env python3
"""What earlier runs left behind, and what headgate run says of it: python3 test_run_earlier.py BUILD_DIR [NAME ...]

Standard library only.
"""
import contextlib
import sqlite3
import sys

from cli_harness import equal, headgate, main, status
from run_harness import WAIT_S, chat_line, dry_run, killed_run, orphans, place, sim


def reservations(ledger):
    """Of the calls that nobody settled, in the order of their permits."""
    with contextlib.closing(sqlite3.connect(ledger)) as db:
        return [tokens for (tokens,) in db.execute("SELECT tokens FROM reservation WHERE state = 'open' ORDER BY id")]


def table(here, *flags):
    """The summary as a person sees it."""
    process = here.start(*flags)
    _, said = process.communicate(timeout=WAIT_S)
    return said


# ------------------------------------------------------------------------------------------------ calls of a run that died


def test_calls_that_died_are_told_by_what_becomes_of_them():
    for policy, kind, words in (("charge", "charged", "stay charged"), ("keep", "kept", "stay reserved"),
                                ("release", "released", "were given back")):
        with sim() as server, place(10) as here:
            config = here.config(10_000_000, tokenBudget={"orphanedReservations": policy})
            for shows in ("--json", None):
                killed_run(here, ["--config", config, "--fresh"], 4)
                tokens = sum(reservations(here.folder / "headgate.db"))
                if shows:
                    summary, _ = here.run("--config", config, "--base-url", server.url)
                    equal(summary["orphans"], orphans(**{kind: (4, tokens)}))
                else:
                    said = table(here, "--config", config, "--base-url", server.url)
                    assert f"4 calls of an interrupted run ended unknown: {tokens:,} tokens {words}\n" in said, said


def test_kinds_are_told_apart():
    """There is room to charge two of the four calls: the others are kept, whatever the policy says."""
    with sim() as server, place(4) as here:
        flags, ledger = ["--limit", 2**53 - 1], here.folder / "results.db"

        def leave_room_for_two():
            call = status("--ledger", ledger)["reserved"] // 4
            headgate("correct", "--ledger", ledger, "default", f"+{2**53 - 1 - 2 * call}", "--why", "nearly full")

        killed_run(here, flags, 4, leave_room_for_two)
        two = sum(reservations(ledger)) // 2
        summary, said = here.run(*flags, "--base-url", server.url, code=3)
        equal(summary["orphans"], orphans(charged=(2, two), kept=(2, two)))
        assert f"{two:,} tokens stay charged" in said and f"{two:,} tokens stay reserved" in said, said


# ------------------------------------------------------------------------------------------------ results without their ledger


def told(calls, tokens, ledger):
    return (f"results.jsonl: another ledger counted {calls} of its calls, which used {tokens:,} tokens by their answers; "
            f"{ledger} does not have them")


def test_results_of_another_ledger_are_told():
    with sim() as server, place(20) as here:
        flags, ledger = ["--limit", "10M", "--base-url", server.url], here.folder / "results.db"
        nothing = {"calls": 0, "tokens": 0}
        for done in (20, 0):
            summary, said = here.run(*flags)
            equal((summary["requests"]["doneNow"], summary["otherLedger"], said), (done, nothing, ""))
        used = summary["budget"]["totalUsed"]
        ledger.unlink()
        _, said = dry_run(here, "10M")
        assert told(20, used, ledger) in said, said
        here.write(here.lines + [chat_line(20)])
        summary, said = here.run(*flags)
        equal(summary["otherLedger"], {"calls": 20, "tokens": used})
        assert told(20, used, ledger) in said, said
        assert summary["budget"]["totalUsed"] < used, summary
        elsewhere = ["--config", here.config(10_000_000, ledger={"path": "third.db"}), "--base-url", server.url]
        said = table(here, *elsewhere)
        assert told(21, used + summary["budget"]["totalUsed"], here.folder / "third.db") in said, said
        assert "elsewhere " in said, said
        summary, said = here.run(*elsewhere, "--fresh") # who starts anew knows it
        equal((summary["requests"]["doneNow"], summary["otherLedger"]), (21, nothing))
        assert "another ledger" not in said, said


if __name__ == "__main__":
    sys.exit(main(dict(globals())))
