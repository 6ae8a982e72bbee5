#!/usr/bin/env python3
"""headgate-bench, on small work: python3 test_bench.py BUILD_DIR [NAME ...]

What it measures is no matter here, only that it measures: every bench runs to its end and prints the rows it promises.
"""
import contextlib
import json
import os
import pathlib
import re
import shutil
import subprocess
import sys
import tempfile

from cli_harness import BUILD, HEADGATE, Skipped, equal, main

BENCH = str(BUILD / "bench" / "headgate-bench")
KEYS = ["bench", "value", "unit", "limit", "ratio", "peer", "peerRatio", "rounds", "min", "max"]
WAIT_S = 300


def bench(*arguments, code=0, path=None):
    """Runs it in a folder that must be empty afterwards; (stdout, stderr). `path`: where it finds its peers."""
    with tempfile.TemporaryDirectory(prefix="hg-") as folder:
        done = subprocess.run([BENCH, *map(str, arguments)], capture_output=True, text=True, timeout=WAIT_S,
                              env={**os.environ, "TMPDIR": folder, "PATH": path or os.environ["PATH"]},
                              stdin=subprocess.DEVNULL)
        equal(done.returncode, code, f"exit, {done.stdout}{done.stderr}")
        equal(list(pathlib.Path(folder).iterdir()), [], "left behind")
    return done.stdout, done.stderr


def rows(*arguments, rounds=2, path=None):
    out, _ = bench(*arguments, "--json", "--rounds", rounds, path=path)
    found = [json.loads(line) for line in out.splitlines()]
    for row in found:
        equal(list(row), KEYS)
        equal(row["rounds"], rounds, "rounds")
        assert 0 < row["min"] <= row["value"] <= row["max"], row
        for other, ratio in (("limit", "ratio"), ("peer", "peerRatio")):
            equal(row[other] is None, row[ratio] is None, row)
            assert row[other] is None or row[other] > 0, row
    return {row["bench"]: row for row in found}


def has_node(peer):
    probe = [shutil.which("node") or "false", BUILD / "bench" / peer, "--probe"]
    return subprocess.run(probe, capture_output=True, check=False).returncode == 0


def has_redis():
    return shutil.which("redis-server") is not None


@contextlib.contextmanager
def programs(**scripts):
    """A folder of shell scripts in the place of programs: a PATH."""
    with tempfile.TemporaryDirectory(prefix="hg-") as folder:
        for name, text in scripts.items():
            program = pathlib.Path(folder) / name.replace("_", "-")
            program.write_text(f"#!/bin/sh\n{text}\n")
            program.chmod(0o700)
        yield folder


def check_beside(found, names, limit):
    """The named rows, each beside Node, and below it beside Redis."""
    equal(list(found), [row for name in names for row in (name, f"{name}, beside Redis")])
    for name in names:
        row, redis = found[name], found[f"{name}, beside Redis"]
        equal((row["limit"] is not None, row["peer"] is not None), (limit, has_node("record_peer.mjs")), row)
        equal((redis["limit"], redis["peer"] is not None), (None, has_redis()), redis)
        for key in ("value", "unit", "min", "max"):
            equal(redis[key], row[key], key)


def test_record():
    check_beside(rows("record", "--records", 2000, rounds=1), ["record"], limit=True)


def test_record_sync():
    found = rows("record-sync", "--callers", 3, "--ms", 20)
    check_beside(found, ["record-sync 3", "record-sync 3 p50", "record-sync 3 p99", "record-sync 3 p99.9"], limit=True)
    equal([row["unit"] for row in found.values()], 2 * ["records/s"] + 6 * ["us"])
    p50, p99, p999 = (found[f"record-sync 3 p{share}"]["value"] for share in ("50", "99", "99.9"))
    assert p50 <= p99 <= p999, found


def test_record_sync_by_many_callers():
    with programs() as nothing:
        found = rows("record-sync", "--ms", 1, rounds=1, path=nothing)
    equal([name for name, row in found.items() if row["unit"] == "records/s" and row["limit"]],
          [f"record-sync {callers}" for callers in (1, 8, 64, 512)])


def test_tasks():
    found = rows("tasks", "--ms", 20, rounds=1)
    equal(list(found), ["tasks 64", "tasks 1024"])
    for row in found.values():
        equal((row["limit"], row["peer"] is not None), (None, has_node("record_peer.mjs")), row)


def test_frames():
    found = rows("frames", "--records", 20000)
    equal(list(found), ["frames"])
    assert found["frames"]["limit"] and not found["frames"]["peer"], found


def test_events():
    found = rows("events", "--subscribers", 3, "--events", 500)
    equal([(name, row["unit"]) for name, row in found.items()],
          [("events 3 ipc", "events/s"), ("events 3 tcp", "events/s")])
    assert all(row["limit"] and not row["peer"] for row in found.values()), found


def test_hostile():
    found = rows("hostile", "--records", 5000)
    equal([(name, row["unit"]) for name, row in found.items()],
          [("hostile time", "ns/record"), ("hostile rate", "records/s"), ("hostile commands", "records/s")])
    assert all(row["limit"] and not row["peer"] for row in found.values()), found


def test_scale():
    found = rows("scale", "--budgets", 100, "--waiting", 1000, "--ms", 20)
    equal(list(found), ["scale, 1 budget", "scale, 100 budgets", "scale, 10 waiting", "scale, 1000 waiting"])
    equal([row["ratio"] for row in found.values()][::2], [1, 1])
    equal({row["unit"] for row in found.values()}, {"us"})


def test_memory():
    found = rows("memory", "--tasks", 20000, "--subscribers", 16, rounds=1)
    equal([(name, row["unit"]) for name, row in found.items()],
          [("memory, idle", "MiB"), ("memory, a waiting task of 20000", "B"), ("memory, a subscriber of 16", "KiB")])
    idle, task, _ = (row["value"] for row in found.values())
    if not is_sanitized():
        assert idle < 16 and task < 512, found


def test_peers_that_are_missing_are_told():
    with programs() as nothing:
        out, said = bench("record", "--records", 2000, "--rounds", 1, "--json", path=nothing)
    equal([json.loads(line)["peer"] for line in out.splitlines()], [None, None])
    assert "no Node" in said and "no redis-server" in said, said


ROWS = """{"bench":"one","value":300.0,"unit":"records/s","limit":600.0,"ratio":0.5,"peer":20.0,"peerRatio":15.0}
{"bench":"two, `half`","value":8.0,"unit":"us","limit":2.0,"ratio":4.0,"peer":null,"peerRatio":null}

{"bench":"four","value":50.0,"unit":"ns/record","limit":40.0,"ratio":1.25,"peer":null,"peerRatio":null}
{"bench":"three","value":8.0,"unit":"MiB","limit":null,"ratio":null,"peer":null,"peerRatio":null}
"""


def test_plot():
    if not shutil.which("gnuplot"):
        raise Skipped("no gnuplot here")
    with tempfile.TemporaryDirectory(prefix="hg-") as folder:
        lines, svg, png = (pathlib.Path(folder) / name for name in ("rows.jsonl", "a b.svg", "c.png"))
        lines.write_text(ROWS)
        equal(bench("plot", lines, svg), ("", ""))
        drawn = re.findall("<text>([^<]*)</text>", svg.read_text())
        shown = ["one (records/s)", "two, -half- (us)", "0.50", "15.0", "0.25", "0.80"]  # a time is turned round
        equal([text for text in shown if text not in drawn], [], drawn)
        assert not [text for text in drawn if "three" in text], drawn  # nothing to compare it with
        bench("plot", lines, lines, png)
        equal(png.read_bytes()[:4], b"\x89PNG")


def test_plots_that_cannot_be_drawn():
    with (tempfile.TemporaryDirectory(prefix="hg-") as folder, programs() as nothing,
          programs(gnuplot="exit 3") as broken):
        lines, picture = pathlib.Path(folder) / "rows.jsonl", pathlib.Path(folder) / "out.svg"
        lines.write_text(ROWS)
        assert "apt-get install gnuplot-nox" in bench("plot", lines, picture, code=1, path=nothing)[1]
        assert "gnuplot ended with exit 3" in bench("plot", lines, picture, code=1, path=broken)[1]
        assert ".svg nor with .png" in bench("plot", lines, folder + "/out.pdf", code=1)[1]
        assert "cannot read" in bench("plot", folder + "/none", picture, code=1, path=broken)[1]
        assert "cannot write" in bench("plot", lines, folder + "/none/out.svg", code=1, path=broken)[1]
        lines.write_text(ROWS + "{}\n")
        assert "rows.jsonl:6: not a row" in bench("plot", lines, picture, code=1, path=broken)[1]
        equal(list(pathlib.Path(folder).iterdir()), [lines])


def test_a_peer_that_promises_less_is_no_peer():
    if not has_redis():
        raise Skipped("no redis-server here")
    real = shutil.which("redis-server")
    for flags, why in (("--appendfsync everysec", "does not sync always"), ("--appendonly no", "no append-only file")):
        with programs(redis_server=f"exec '{real}' \"$@\" {flags}") as path:
            out, said = bench("record", "--records", 2000, "--rounds", 1, code=1, path=path)
        assert out == "" and why in said, (out, said)


def test_records_that_a_peer_only_claims_are_no_figure():
    figures = '{"records":5,"tokens":500,"elapsedUs":1,"p50Ns":1,"p99Ns":1,"p999Ns":1}'
    with programs(node=f"echo '{figures}'") as path:
        out, said = bench("tasks", "--ms", 5, "--rounds", 1, code=1, path=path)
    assert out == "" and "node.db" in said, (out, said)


def test_run():
    found = rows("run", "--at-once", 8, "--latency", 5, "--lines", 60)
    equal(list(found), ["run 8, 5 ms", "run 8, 5 ms, ideal", "run 8, 5 ms, 60 lines"])
    rate, ideal, memory = found.values()
    assert rate["limit"], rate
    equal(rate["peer"] is not None, has_node("fetch_peer.mjs"), "a peer")
    equal((ideal["limit"], ideal["value"]), (1600, rate["value"]))
    equal((memory["unit"], memory["limit"]), ("MiB", None))


def test_run_alone_in_a_table():
    out, said = bench("run", "--at-once", 4, "--lines", 20, "--alone", "--rounds", 1)
    head, *table = [line.split() for line in out.splitlines()]
    equal((head[:3], [row[:2] for row in table]), (["bench", "unit", "headgate"], [["run", "4"], ["run", "4,"]]))
    assert "peer" not in said and "load average" in said, said


def test_run_for_its_memory_alone():
    equal(list(rows("run", "--at-once", 4, "--lines", 20, "--memory-only", rounds=1)), ["run 4, 20 lines"])


def test_a_program_that_does_not_do_its_work_is_no_figure():
    with tempfile.TemporaryDirectory(prefix="hg-") as folder:
        idle = pathlib.Path(folder) / "headgate"
        idle.write_text("#!/bin/sh\nexit 0\n")
        idle.chmod(0o700)
        flags = ["run", "--at-once", 4, "--lines", 20, "--alone", "--rounds", 1, "--headgate"]
        out, said = bench(*flags, idle, code=1)
        assert out == "" and "answered 0 of 0 requests; there should have been 20" in said, (out, said)
        idle.write_text(f"#!/bin/sh\n'{HEADGATE}' \"$@\"\nexit 5\n")
        out, said = bench(*flags, idle, code=1)
        assert out == "" and "exit 5" in said, (out, said)
        out, said = bench(*flags, folder + "/none", code=1)
        assert out == "" and "there is no program" in said, (out, said)


def is_sanitized():
    cache = (BUILD / "CMakeCache.txt").read_text()
    return not re.search("^HEADGATE_SANITIZE:STRING=$", cache, re.MULTILINE)


def test_memory_of_a_run_is_bounded():
    """A million lines may take 96 MiB: a hundred thousand stay far below, and each line adds next to nothing."""
    if is_sanitized():
        raise Skipped("the memory of a sanitizer is not the program's")
    few, many = (rows("run", "--at-once", 256, "--lines", lines, "--alone", rounds=1)[f"run 256, {lines} lines"]["value"]
                 for lines in (10_000, 100_000))
    assert many < 96, f"{many} MiB"
    assert many - few < 20, f"{few} MiB, then {many} MiB"


def test_wrong_flags():
    for flags in (["none"], [], ["run", "--none"], ["record", "--records"], ["record-sync", "--ms"], ["tasks", "--none"],
                  ["frames", "--records"], ["events", "--events"], ["hostile", "--records"], ["scale", "--ms"], ["memory", "--tasks"],
                  ["plot", "out.svg"]):
        assert "usage: headgate-bench" in bench(*flags, code=2)[1], flags
    assert "from 1 to" in bench("run", "--rounds", "0", code=1)[1]
    for name in ("record", "record-sync", "tasks", "frames", "events", "hostile", "open", "scale", "memory", "run", "bare-loop",
                 "plot"):
        assert name in bench(name, "--help")[0] + bench(name, "--help")[1]


if __name__ == "__main__":
    sys.exit(main(dict(globals())))
