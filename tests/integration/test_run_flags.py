#!/usr/bin/env python3
"""The flags of headgate run, and what a dry run says: python3 test_run_flags.py BUILD_DIR [NAME ...]

Standard library only.
"""
import contextlib
import json
import os
import sqlite3
import subprocess
import sys

import cli_harness
from cli_harness import HEADGATE, equal, main
from run_harness import WAIT_S, chat_line, dry_run, place, set_limit, sim, wait_until


# ------------------------------------------------------------------------------------------------ flags


def test_sizes():
    good = {"200000": 200000, "200k": 200000, "2M": 2000000, "2_000_000": 2000000, "1.5M": 1500000, "0.001k": 1,
            "1G": 10**9, "9007199254740991": 2**53 - 1}
    with place(2) as here:
        for text, tokens in good.items():
            summary, _ = dry_run(here, text)
            equal(summary["hardLimit"], tokens, text)
        for text in ("0", "-1", "", "abc", "1.5", "1.2345k", "2MM", "1__000", "_1", "1e6", "9007199254740992", "1T",
                     "9999999999G", " 5", "5 "):
            _, said = dry_run(here, text, code=2)
            assert "--limit" in said, (text, said)


def test_wrong_usage_says_what_to_do():
    with place(1) as here:
        cases = [([], "hardLimitTokens"), (["--limit", "1k", "--progress", "often"], "--progress"),
                 (["--limit", "1k", "--max-concurrency", "0"], "--max-concurrency"),
                 (["--limit", "1k", "--bind", "tcp://0.0.0.0:5555"], "loopback|127.0.0.1"),
                 (["--limit", "1k", "--base-url", "ftp://x"], "no http or https URL"), (["--config", "nowhere.json"], "nowhere.json"),
                 (["--limit", "1k", "-o", here.folder / "nowhere" / "r.jsonl"], "directory"),
                 (["--limit", "1k", "-o", here.batch], "batch file")]
        for flags, word in cases:
            _, said = here.run(*flags, code=2)
            assert any(part in said for part in word.split("|")), (flags, said)
        here.batch.unlink()
        _, said = here.run("--limit", "1k", code=2)
        assert "batch.jsonl" in said, said


def test_what_standard_output_can_not_do():
    with place(1) as here:
        for flags, word in ((["-o", "-", "--json"], "both want standard output"),
                            (["-o", "-", "--order", "input"], "needs results in a file"),
                            (["--errors", "-"], "--errors takes a file"), (["--errors", ""], "--errors takes a file"),
                            (["--errors", here.output], "is the file of the results"),
                            (["--errors", here.batch], "batch file itself")):
            process = here.start("--limit", "1k", *flags)
            out, said = process.communicate(timeout=WAIT_S)
            equal((process.returncode, out), (2, ""), flags)
            assert word in said, (flags, said)
            equal(sorted(path.name for path in here.folder.iterdir()), ["batch.jsonl"], flags)
        equal(dry_run(here, "1M", 0, "-o", "-")[0]["requests"], 1)


def contents(folder):
    return {path.name: path.read_bytes() for path in folder.iterdir() if path.is_file()}


def refused(here, output, word, *flags):
    """A run that would write there is wrong usage, a dry one too, and nothing is as much as touched."""
    before, names = contents(here.folder), sorted(os.listdir(here.folder))
    for dry in ((), ("--dry-run",)):
        _, said = here.run(*dry, *flags, "-o", output, code=2)
        assert word in said, (output, said)
    equal(sorted(os.listdir(here.folder)), names, f"-o {output}: files")
    equal(contents(here.folder), before, f"-o {output}: contents")


def test_results_need_a_regular_file():
    with place(1) as here:
        (here.folder / "sub").mkdir()
        os.mkfifo(here.folder / "pipe")
        for flags in ([], ["--fresh"]):
            for output, word in ((".", "regular file"), ("sub", "regular file"), ("sub/", "regular file"),
                                 ("pipe", "regular file"), ("", "where should the results go"),
                                 ("nowhere/", "no such directory")):
                refused(here, output, word, "--limit", "1M", *flags)
        (here.folder / "r.errors.jsonl").mkdir()
        refused(here, "r.jsonl", "r.errors.jsonl is not a regular file", "--limit", "1M")


def test_results_never_replace_what_a_run_needs():
    with place(1) as here:
        config = here.config(1_000_000, ledger={"path": "l.errors.jsonl"})
        ledger = here.folder / "l.errors.jsonl"
        behind = [f"{ledger}{end}" for end in ("", "-wal", "-shm", "-journal", ".lock", ".d")]
        own = ["l.jsonl", "./l.errors.jsonl", *behind]  # of the first its errors
        for output in own:  # there is no ledger yet
            refused(here, output, "belongs to the ledger", "--config", config)
        os.symlink(ledger, here.folder / "ahead.jsonl")
        refused(here, "ahead.jsonl", "symbolic link", "--config", config)
        set_limit(here, "--config", config, "default", 2_000_000)
        os.symlink(ledger, here.folder / "link.jsonl")
        os.link(ledger, here.folder / "twin.jsonl")
        os.link(here.batch, here.folder / "batch.twin")
        for flags in ([], ["--fresh"]):
            for output in [*own, "link.jsonl"]:
                refused(here, output, "belongs to the ledger", "--config", config, *flags)
            for output, word in (("twin.jsonl", "SQLite database"), (config, "configuration itself"),
                                 (here.batch, "batch file itself"), ("batch.twin", "batch file itself")):
                refused(here, output, word, "--config", config, *flags)


def test_results_never_replace_the_ledger_of_another_runtime():
    with place(1) as here, cli_harness.place() as there, cli_harness.runtime(there.config) as served:
        served.tell("record 5000")
        for flags in ([], ["--fresh"]):
            refused(here, there.ledger, "SQLite database", "--limit", "1M", *flags)
        served.tell("record 70")
        equal(cli_harness.status("--config", there.config)["totalUsed"], 5070)


# ------------------------------------------------------------------------------------------------ --dry-run


def test_what_is_made_is_for_its_owner_alone():
    """Prompts, answers and what they cost, whatever the umask says."""
    with sim() as server, place(5) as here:
        made = here.folder / "made"
        made.mkdir()
        config = made / "devs.config.json"
        lines = [HEADGATE, "init", config], here.command("--config", config, "--base-url", server.url)
        with here.batch.open("a") as batch:
            batch.write("no JSON\n")  # for the errors file
        for command, code in zip(lines, (0, 1)):
            done = subprocess.run([str(part) for part in command], umask=0, capture_output=True, **here.options())
            equal(done.returncode, code, done)
            settings = json.loads(config.read_text())
            settings["llm"]["reservation"] = "learned"
            config.write_text(json.dumps(settings))
        found = {path.name: path.stat().st_mode & 0o777 for path in [*here.folder.iterdir(), *made.iterdir()] if path.is_file()}
        wanted = {name: 0o600 for name in found}
        wanted["batch.jsonl"] = found["batch.jsonl"]
        assert {"results.jsonl", here.errors.name, "devs.config.json", "headgate.db", "headgate.db.learned"} < set(found), found
        equal(found, wanted)
        equal({path.name: path.stat().st_mode & 0o777 for path in [*made.iterdir()] if path.is_dir()},
              {"headgate.db.d": 0o700})


def test_dry_run_says_what_it_may_cost():
    with sim("--output-fill", 100) as server, place(10) as here:
        summary, _ = dry_run(here, "10M", code=0)
        equal((summary["requests"], summary["doneBefore"], summary["invalid"], summary["fits"]), (10, 0, 0, True))
        equal((summary["totalUsed"], summary["available"]), (0, 10_000_000))
        small, large = summary["smallestRequest"], summary["largestRequest"]
        assert 40 < small <= large and 10 * small <= summary["mostTokens"] <= 10 * large, summary
        equal(dry_run(here, summary["mostTokens"], code=0)[0]["fits"], True)
        equal(dry_run(here, summary["mostTokens"] - 1, code=3)[0]["fits"], False)
        equal(sorted(os.listdir(here.folder)), ["batch.jsonl"], "files")
        done, _ = here.run("--limit", summary["mostTokens"], "--max-concurrency", 10, "--base-url", server.url)
        assert done["budget"]["totalUsed"] <= summary["mostTokens"]
        summary, _ = dry_run(here, "10M", code=0)
        equal((summary["requests"], summary["doneBefore"], summary["mostTokens"]), (0, 10, 0))


def test_dry_run_of_nothing_does_not_fit():
    for lines, code in (([], 0), ([dict(chat_line(0), budget="none")], 1)):
        with place(lines) as here:
            summary, _ = dry_run(here, "10M", code=code)
            equal((summary["requests"], summary["mostTokens"], summary["fits"]), (0, 0, None))
            process = here.start("--dry-run", "--limit", "10M")
            said, _ = process.communicate(timeout=WAIT_S)
            assert "fits       nothing is to run\n" in said and "yes" not in said and "at most" not in said, said


def test_dry_run_of_the_rest():
    with sim("--output-fill", 100) as server, place(20) as here:
        one, _ = dry_run(here, "10M", code=0)
        limit = one["largestRequest"] + 200
        run, _ = here.run("--limit", limit, "--base-url", server.url, code=3)
        done, used = run["requests"]["doneNow"], run["budget"]["totalUsed"]
        assert 0 < done < 20 and used > 0, run
        before = {name: (here.folder / name).read_bytes() for name in ("results.jsonl", "batch.jsonl")}
        rest, _ = dry_run(here, limit, code=3)
        equal((rest["requests"], rest["doneBefore"], rest["totalUsed"]), (20 - done, done, used))
        equal(rest["available"], limit - used)
        assert rest["mostTokens"] < one["mostTokens"] and rest["tooLarge"] > 0 and not rest["fits"], rest
        enough = used + rest["mostTokens"]
        equal(dry_run(here, enough - 1, code=3)[0]["fits"], False)
        equal(dry_run(here, enough, code=0)[0]["fits"], True)
        set_limit(here, "--ledger", here.folder / "results.db", "default", enough)
        held, _ = dry_run(here, limit, code=0) # which was said before
        equal(held["hardLimit"], enough)
        equal({name: (here.folder / name).read_bytes() for name in before}, before, "files")
        with contextlib.closing(sqlite3.connect(here.folder / "results.db")) as ledger:
            openings = ledger.execute("SELECT value FROM meta WHERE key = 'opening'").fetchone()[0]
        equal(openings, 2, "openings: of the run and of the limit")
        here.check(server, here.run("--limit", enough, "--base-url", server.url)[0], done=20)


def test_dry_run_knows_the_budgets():
    lines = [dict(chat_line(i), budget="evals") for i in range(3)] + [chat_line(3), dict(chat_line(4), budget="none")]
    with place(lines) as here:
        config = here.config(1_000_000, tokenBudget={"budgets": {"evals": {"hardLimitTokens": 1000}}})
        summary, said = dry_run(here, None, 1, "--config", config)
        equal((summary["requests"], summary["invalid"], summary["shortBudget"], summary["fits"]), (4, 1, "evals", False))
        assert 'line 5: there is no budget "none"' in said, said
        process = here.start("--dry-run", "--config", config)
        table, _ = process.communicate(timeout=WAIT_S)
        assert "4 to run, 0 done before" in table and 'budget     "evals"' in table and "of 1,000 tokens" in table, table


def test_dry_run_beside_a_run():
    with sim("--latency-ms", 30000) as server, place(5) as here:
        process = here.start("--limit", "1M", "--base-url", server.url)
        wait_until(lambda: server.stats()["in_flight"] >= 4, "four calls in flight")
        summary, _ = dry_run(here, "1M", code=0)
        assert summary["reserved"] > 0 and summary["available"] == 1_000_000 - summary["reserved"], summary
        process.kill()
        process.communicate()


if __name__ == "__main__":
    sys.exit(main(dict(globals())))
