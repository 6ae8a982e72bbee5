#!/usr/bin/env python3
"""A Python and a Node subscriber under load, started late, stopped for ten seconds, killed and started again, while
Headgate is killed with -9 and started again: each has every row of the journal once and in order.

usage: test_million.py BUILD_DIR    (BUILD_DIR has headgate; COUNT: how many rows, by default 1,000,000)
"""
import os
import signal
import sys
import time

from cli_harness import Follower, Skipped, equal, main, place
from client_harness import connected, journal, node_program, python_client, python_program
from test_client_many import serve
from test_client_python import until

COUNT = int(os.environ.get("COUNT", "1000000"))
PATIENCE_S = 600
MARK = 2**40  # the limit that is set at the end

LOAD = """
import itertools, json, sys, time, msgpack, zmq
lock, count = sys.argv[1], int(sys.argv[2])
context, done, said = zmq.Context(), 0, 0
while done < count:
    try:
        control = json.load(open(lock))["control"]
    except (OSError, ValueError):
        time.sleep(0.1)
        continue
    dealer, waiting, numbers = context.socket(zmq.DEALER), 0, itertools.count(1)
    dealer.linger = 0
    dealer.setsockopt(zmq.RECONNECT_IVL, -1)
    dealer.sndhwm = dealer.rcvhwm = 10000
    dealer.connect(control)
    while done < count:
        try:
            while waiting < 4000:
                dealer.send(msgpack.packb({"type": "RECORD", "request": next(numbers), "tokens": 1}), zmq.DONTWAIT)
                waiting += 1
        except zmq.Again:
            break
        if not dealer.poll(2000):
            break
        try:
            while True:
                dealer.recv(zmq.DONTWAIT)
                waiting -= 1
                done += 1
        except zmq.Again:
            pass
        if done >= min(said, count):
            print(done)
            said = done + 1000
    dealer.close(0)
"""

PYTHON = """
import os, sys, headgate
config, path, mark = sys.argv[1], sys.argv[2], int(sys.argv[3])
with open(path, "a+b") as out:
    out.seek(0)
    lines = out.read().rpartition(b"\\n")[0].split()
    out.truncate(sum(len(line) + 1 for line in lines))
    last = int(lines[-1].split(b",")[0]) if lines else 0
    stream = headgate.connect(config=config, wait=60).events(from_seq=last + 1)
    while True:
        batch = stream.batch(60)
        out.write(b"".join(f"{event.map['seq']},{event.map['type']}\\n".encode() for event in batch))
        out.flush()
        if any(event.type == "LIMIT_CHANGED" and event.payload["limit"] == mark for event in batch):
            break
"""

NODE = """
import { existsSync, openSync, readFileSync, truncateSync, writeSync } from "node:fs";
import { connect } from "headgate";
const [config, path, mark] = process.argv.slice(2);
const text = existsSync(path) ? readFileSync(path, "latin1") : "";
const whole = text.slice(0, text.lastIndexOf("\\n") + 1);
const out = openSync(path, "a");
truncateSync(path, whole.length);
const last = Number(whole.trimEnd().split("\\n").at(-1).split(",")[0]);
const hg = await connect({ config, waitMs: 60000 });
let lines = "";
const flush = () => { if (lines) writeSync(out, lines); lines = ""; };
setInterval(flush, 100);
for await (const event of hg.events({ fromSeq: last + 1 })) {
  lines += `${event.seq},${event.type}\\n`;
  if (lines.length > 65536) flush();
  if (event.type === "LIMIT_CHANGED" && event.payload.limit === Number(mark)) break;
}
flush();
process.exit(0);
"""


def reach(load, part):
    goal, end = int(COUNT * part), time.monotonic() + PATIENCE_S
    while not load.lines or int(load.lines[-1]) < goal:
        assert load.process.poll() is None or int(load.lines[-1]) >= goal, load.notes
        assert time.monotonic() < end, load.lines[-1:]
        time.sleep(0.05)


class Subscriber:
    def __init__(self, path, start):
        self.path, self.start, self.program = path, start, start()

    def signal(self, number):
        self.program.process.send_signal(number)

    def again(self):
        until(lambda: self.path.exists() and self.path.stat().st_size, "it hears something")
        self.program.end(signal.SIGKILL)
        self.program = self.start()


def test_every_row_once_and_in_order():
    python_client()
    with place(limit=2**41) as here:
        node = None
        try:
            node = node_program(NODE, here.config, here.folder / "node", str(MARK))
            node_start = node.__enter__()
            node_start.end(signal.SIGKILL)  # the package stays; each start is a process of its own
        except Skipped:
            node = None
        server = serve(here)
        load = python_program(LOAD, f"{here.ledger}.lock", str(COUNT))
        subscribers = []
        try:
            reach(load, 0.1)
            path = here.folder / "python"
            subscribers.append(Subscriber(path, lambda: python_program(PYTHON, here.config, path, str(MARK))))
            if node:
                command = node_start.process.args
                subscribers.append(Subscriber(here.folder / "node", lambda: Follower(*command)))
            reach(load, 0.3)
            for each in subscribers:
                each.signal(signal.SIGSTOP)
            time.sleep(10)
            for each in subscribers:
                each.signal(signal.SIGCONT)
            reach(load, 0.5)
            server.end(signal.SIGKILL)
            server = serve(here)
            reach(load, 0.7)
            for each in subscribers:
                each.again()
            reach(load, 1)
            with connected(here) as client:
                client.set_limit(MARK)
            for each in subscribers:
                equal(each.program.process.wait(PATIENCE_S), 0, f"{each.program.notes[-10:]}")
            equal(server.end(signal.SIGTERM), 0)
        finally:
            for each in [server, load, *(each.program for each in subscribers)]:
                if each.process.poll() is None:
                    each.process.kill()
                    each.end()
            if node:
                node.__exit__(None, None, None)
        rows = journal(here)
        equal([seq for seq, _ in rows], list(range(1, len(rows) + 1)))
        assert len(rows) >= COUNT, len(rows)
        mark = max(seq for seq, kind in rows if kind == "LIMIT_CHANGED")
        expected = [f"{seq},{kind}" for seq, kind in rows]
        for each in subscribers:
            heard = each.path.read_text().split()
            wrong = next((pair for pair in zip(heard, expected) if pair[0] != pair[1]), None)
            assert wrong is None and mark <= len(heard) <= len(rows), (each.path, wrong, len(heard), mark, len(rows))
        if not node:
            raise Skipped("the Node part: no node, or no zeromq and @msgpack/msgpack")


if __name__ == "__main__":
    sys.exit(main(dict(globals())))
