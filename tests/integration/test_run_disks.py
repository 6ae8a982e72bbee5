#!/usr/bin/env python3
"""headgate run on full disks: python3 test_run_disks.py BUILD_DIR [NAME ...]

Standard library only. Each test mounts a small tmpfs under the ledger or the results, and is skipped where that is not
allowed.
"""
import contextlib
import pathlib
import shutil
import signal
import subprocess
import sys
import tempfile

from cli_harness import Skipped, equal, headgate, main, status
from run_harness import WAIT_S, audit, end_of, place, sim, wait_until, whole_lines

NO_ROOM = "the ledger can't be written"
SLOTS = 16
PATIENCE = "could not be written for 30 seconds"


class Disk:
    """A small file system of its own."""

    def __init__(self, folder):
        self.folder = pathlib.Path(folder)

    def mount(self, *options):
        done = subprocess.run(["mount", *options, str(self.folder)], capture_output=True, text=True)
        return done.returncode == 0

    def grow(self):
        assert self.mount("-o", "remount,size=64m"), "the disk does not grow"


@contextlib.contextmanager
def disk(size="400k"):
    with tempfile.TemporaryDirectory(prefix="hg-disk-") as folder:
        small = Disk(folder)
        if not shutil.which("mount") or not small.mount("-t", "tmpfs", "-o", f"size={size}", "none"):
            raise Skipped("a small disk can't be mounted here")
        try:
            yield small
        finally:
            subprocess.run(["umount", "-l", folder], check=True)


@contextlib.contextmanager
def run_on_a_full_disk(lines=400):
    """A run that has said that it has no room for its ledger."""
    with sim() as server, disk() as small, place(lines) as here:
        here.ledger = small.folder / "headgate.db"
        config = here.config(10_000_000, ledger={"path": str(here.ledger)}, scheduler={"maxConcurrency": SLOTS})
        here.flags = ["--config", config, "--base-url", server.url]
        follower = here.follow(*here.flags)
        try:
            follower.note(NO_ROOM)
            yield server, small, here, follower
        finally:
            if follower.process.poll() is None:
                follower.process.kill()
                follower.end()


def check_whole(server, here, summary):
    stats = here.check(server, summary, done=len(here.lines))
    equal((stats["requests"], stats["duplicates"]), (len(here.lines), 0), "calls")
    equal(audit(here.ledger), stats["tokens"], "tokens in the ledger")


def check_nothing_new(server, here, calls):
    """Since `calls`, only those whose reservation was durable already were made; every answer was kept."""
    now = server.stats()["requests"]
    assert now <= calls + SLOTS, (now, calls)
    equal(len(here.results()), now, "answers that were kept")


def test_full_ledger_disk_is_waited_for():
    with run_on_a_full_disk() as (server, small, here, follower):
        assert "full" in " ".join(follower.notes), follower.notes
        small.grow()
        summary = end_of(follower, 0)
        check_whole(server, here, summary)
        assert any("written again" in note for note in follower.notes), follower.notes
        equal(summary["requests"]["doneNow"], len(here.lines))


def test_who_asks_beside_a_full_disk_hears_of_it():
    with run_on_a_full_disk() as (_, small, here, follower):
        words = f'the runtime (pid {follower.process.pid}) can\'t write "{here.ledger}" now, as on a full disk'
        limit = ["limit", "--ledger", here.ledger, "default", "11M"]
        for command in (["status", "--ledger", here.ledger], ["orphans", "--ledger", here.ledger], limit):
            _, said = headgate(*command, code=4)
            assert words in said, said
        small.grow()
        end_of(follower, 0)
        headgate(*limit)
        equal(status("--ledger", here.ledger)["hardLimit"], 11_000_000)


def test_full_ledger_disk_that_stays_full_ends_the_run():
    with run_on_a_full_disk() as (server, small, here, follower):
        calls = server.stats()["requests"]
        follower.process.wait(WAIT_S)
        summary = end_of(follower, 4)
        check_nothing_new(server, here, calls)
        equal((summary["stopped"], summary["requests"]["failed"]), ("ledger", 0))
        assert PATIENCE in summary["reason"] and "full" in summary["reason"], summary
        assert "not called again" in summary["hint"] and summary["goOn"].startswith("headgate run "), summary
        small.grow()
        summary, _ = here.run(*here.flags)
        check_whole(server, here, summary)


def test_interrupts_while_the_ledger_disk_is_full():
    with run_on_a_full_disk() as (server, small, here, follower):
        calls = server.stats()["requests"]
        follower.process.send_signal(signal.SIGTERM)
        follower.note("stopping once the ledger is written again")
        wait_until(lambda: len(whole_lines(here.output)) == server.stats()["requests"], "the calls that still ran")
        follower.process.send_signal(signal.SIGTERM) # which would cut them
        summary = end_of(follower, 4)
        equal(summary["stopped"], "ledger")
        assert NO_ROOM in summary["reason"] and PATIENCE not in summary["reason"], summary
        check_nothing_new(server, here, calls)
        small.grow()
        summary, _ = here.run(*here.flags)
        check_whole(server, here, summary)


def test_interrupt_while_the_ledger_disk_is_full_waits_for_room():
    with run_on_a_full_disk() as (server, small, here, follower):
        calls = server.stats()["requests"]
        follower.process.send_signal(signal.SIGINT)
        follower.note("stopping once the ledger is written again")
        small.grow()
        summary = end_of(follower, 130)
        here.check(server, summary)
        check_nothing_new(server, here, calls)
        equal(audit(here.ledger), server.stats()["tokens"], "tokens in the ledger")
        summary, _ = here.run(*here.flags)
        check_whole(server, here, summary)


def test_full_results_disk_ends_the_run_and_an_interrupt_ends_it_at_once():
    with sim() as server, disk("16k") as small, place(400) as here:
        here.output = small.folder / "results.jsonl"
        here.ledger = here.folder / "headgate.db"
        flags = ["--config", here.config(10_000_000), "--base-url", server.url]
        follower = here.follow(*flags)
        follower.note("nothing new starts")
        follower.process.send_signal(signal.SIGINT)
        summary = end_of(follower, 4)
        equal((summary["stopped"], summary["requests"]["failed"]), ("results", 0))
        assert "No space left" in summary["reason"], summary
        small.grow()
        summary, _ = here.run(*flags)
        here.check(server, summary, done=400)
        audit(here.ledger)


if __name__ == "__main__":
    sys.exit(main(dict(globals())))
