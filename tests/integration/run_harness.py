"""What the tests of headgate run share: llm-sim, a batch with its results, the invariants of every run."""
import contextlib
import json
import os
import pathlib
import signal
import sqlite3
import subprocess
import tempfile
import threading
import time
import urllib.request

from cli_harness import BUILD, HEADGATE, Follower, equal

WAIT_S = 120
CHAT = "/v1/chat/completions"
SIM = str(BUILD / "bench" / "llm-sim")


class Sim:
    """A running llm-sim."""

    def __init__(self, *flags):
        self.process = subprocess.Popen([SIM, *map(str, flags)], stdout=subprocess.PIPE, stderr=subprocess.DEVNULL,
                                        text=True)
        self.url = self.process.stdout.readline().split()[-1]

    def stats(self):
        with urllib.request.urlopen(self.url + "/stats", timeout=30) as answer:
            return json.load(answer)

    def stop(self):
        self.process.send_signal(signal.SIGTERM)
        self.process.communicate()


@contextlib.contextmanager
def sim(*flags):
    server = Sim(*flags)
    try:
        yield server
    finally:
        server.stop()


def chat_line(i, max_tokens=40):
    return {"custom_id": f"r-{i}", "method": "POST", "url": CHAT,
            "body": {"model": "m", "messages": [{"role": "user", "content": f"question {i}"}],
                     "max_tokens": max_tokens}}


class Place:
    """A folder with a batch file and its results."""

    def __init__(self, folder, lines):
        self.folder = pathlib.Path(folder)
        self.batch, self.output = self.folder / "batch.jsonl", self.folder / "results.jsonl"
        self.errors = self.folder / "results.errors.jsonl"
        self.write([chat_line(i) for i in range(lines)] if isinstance(lines, int) else lines)

    def write(self, lines):
        self.lines = lines
        self.batch.write_text("".join(json.dumps(line) + "\n" for line in lines))

    def config(self, limit, **sections):
        path = self.folder / "devs.config.json"
        budget = {"hardLimitTokens": limit, **sections.pop("tokenBudget", {})}
        path.write_text(json.dumps({"tokenBudget": budget, **sections}))
        return path

    def command(self, *flags, batch=None):
        return [str(part) for part in (HEADGATE, "run", batch or self.batch, "-o", self.output, "--progress", "never",
                                       *flags)]

    def options(self, env=None):
        """Of a process: in the folder, with no key but those in `env`."""
        clean = {name: value for name, value in os.environ.items()
                 if not name.startswith(("OPENAI_", "ANTHROPIC_"))}
        return {"cwd": self.folder, "env": {**clean, **(env or {})}}

    def start(self, *flags, env=None, batch=None, stdin=subprocess.DEVNULL, **options):
        return subprocess.Popen(self.command(*flags, batch=batch), stdin=stdin, text=True,
                                **{"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, **self.options(env),
                                   **options})

    def follow(self, *flags, env=None):
        return Follower(*self.command("--json", *flags), **self.options(env))

    def run(self, *flags, code=0, env=None, wait=WAIT_S):
        """Runs to the end; the summary (with --json) and what was said on stderr."""
        process = self.start("--json", *flags, env=env)
        out, said = process.communicate(timeout=wait)
        expected = code if isinstance(code, tuple) else (code,)
        assert process.returncode in expected, f"exit {process.returncode}, expected {code}: {out}{said}"
        summary = json.loads(out) if out else None
        if summary:
            equal(summary["exit"], process.returncode, "exit in the summary")
        return summary, said

    def run_to_the_last(self, *flags):
        """Runs again until every line is done; its summary."""
        for _ in range(10):
            summary, _ = self.run(*flags, code=(0, 1))
            if summary["exit"] == 0:
                break
        return summary

    def results(self):
        if not self.output.exists():
            return []
        return whole_lines(self.output)

    def failures(self):
        return whole_lines(self.errors) if self.errors.exists() else []

    def check(self, server, summary, done=None):
        """The invariants above, and that `done` lines have results."""
        results = self.results()
        ids = [result["custom_id"] for result in results]
        equal(len(set(ids)), len(ids), "results with a custom_id of their own")
        assert all(result["response"]["status_code"] == 200 and result["error"] is None for result in results)
        assert set(ids) <= {line["custom_id"] for line in self.lines}
        budget, stats = summary["budget"], server.stats()
        assert stats["tokens"] <= budget["totalUsed"], (stats, budget)
        assert budget["totalUsed"] <= budget["hardLimit"], budget
        equal(budget["reserved"], 0, "reserved")
        if done is not None:
            equal(len(ids), done, "results")
        return stats


@contextlib.contextmanager
def serving(server):
    """A server of socketserver's, on a thread of its own."""
    with server:
        thread = threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True)
        thread.start()
        try:
            yield server
        finally:
            server.shutdown()
            thread.join()


@contextlib.contextmanager
def place(lines):
    with tempfile.TemporaryDirectory(prefix="hg-") as folder:
        yield Place(folder, lines)


def wait_until(condition, about):
    end = time.monotonic() + WAIT_S
    while not condition():
        assert time.monotonic() < end, f"waited in vain for {about}"
        time.sleep(0.01)


def answered(server, count):
    return lambda: server.stats()["answered"] >= count


def whole_lines(path):
    """The lines that a run which reads this file will find."""
    return [json.loads(line) for line in path.read_text().split("\n")[:-1]]


def end_of(follower, code):
    """The summary of a run that was followed."""
    equal(follower.end(), code, f"exit, {follower.lines} {follower.notes}")
    return json.loads(follower.lines[-1])


def dry_run(here, limit, code=(0, 3), *flags):
    process = here.start("--dry-run", "--json", *([f"--limit={limit}"] if limit else []), *flags)
    out, said = process.communicate(timeout=WAIT_S)
    assert process.returncode in (code if isinstance(code, tuple) else (code,)), (limit, process.returncode, out, said)
    return (json.loads(out) if out else None), said


def set_limit(here, *words):
    done = subprocess.run(list(map(str, [HEADGATE, "limit", *words])), capture_output=True, text=True, cwd=here.folder)
    equal(done.returncode, 0, done.stderr)


def orphans(settled=0, **kinds):
    """What a summary says of the calls of earlier runs: of each kind its calls and their tokens."""
    said = {kind: dict(zip(("calls", "tokens"), kinds.get(kind, (0, 0)))) for kind in ("charged", "kept", "released")}
    return {"settled": settled, **said}


def killed_run(here, flags, calls, before_it_dies=lambda: None):
    """A run that dies with so many calls under way, of which nobody will ever hear."""
    with sim("--latency-ms", 60000) as slow:
        process = here.start(*flags, "--max-concurrency", calls, "--base-url", slow.url)
        wait_until(lambda: slow.stats()["in_flight"] >= calls, "calls in flight")
        before_it_dies()
        process.kill()
        process.communicate()


def audit(ledger):
    """The total and the journal say the same, and nothing is open."""
    with contextlib.closing(sqlite3.connect(f"file:{ledger}?mode=ro", uri=True)) as db:
        [(total, reserved)] = db.execute("SELECT total_used, reserved FROM token_budget WHERE name = 'default'")
        [(journal,)] = db.execute("SELECT sum(used_delta) FROM journal")
    equal((journal, reserved), (total, 0), "sum of the journal, reserved")
    return total
