#!/usr/bin/env python3
"""Who may come in from outside, and that nobody who does can hurt: keys, bounds on connections and topics, garbage.

usage: test_doors.py BUILD_DIR [NAME ...]    (BUILD_DIR has headgate and tests/serve_for_tests)
"""
import contextlib
import os
import pathlib
import random
import re
import resource
import signal
import socket
import sqlite3
import stat
import subprocess
import sys
import threading
import time

import cli_harness
from cli_harness import (HEADGATE, SERVE, WAIT_S, Runtime, Skipped, checked, control_endpoint, equal,
                         events_endpoint, headgate, main, place, runtime, serving, status, watch)

try:
    import msgpack
    import zmq
except ImportError:
    zmq = None

QUIET_S = 0.7  # seven heartbeats: who is let in hears some within this


def need_zmq(curve=False):
    if not zmq:
        raise Skipped("python3 has no zmq or no msgpack")
    if curve and not zmq.has("curve"):
        raise Skipped("this libzmq has no CURVE")


def free_port():
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        return taken.getsockname()[1]


@contextlib.contextmanager
def sockets():
    """Opens sockets of one context; all are closed at the end."""
    with zmq.Context() as context:
        opened = []

        def open_socket(kind, endpoint, keys=None, **options):
            one = context.socket(kind)
            opened.append(one)
            one.linger = 0
            if keys:
                one.curve_serverkey, one.curve_publickey, one.curve_secretkey = (key.encode() for key in keys)
            for name, value in options.items():
                setattr(one, name, value)
            one.connect(endpoint)
            if kind == zmq.SUB:
                one.subscribe("")
            return one
        try:
            yield open_socket
        finally:
            for one in opened:
                one.close()


def hears(subscriber, within=WAIT_S):
    return subscriber.poll(within * 1000) != 0


def drain(subscriber):
    """The events that wait, without heartbeats."""
    events = []
    while subscriber.poll(0):
        event = checked(msgpack.unpackb(subscriber.recv_multipart()[1]))
        if event["type"] != "HEARTBEAT":
            events.append(event)
    return events


def await_event(subscriber, kind):
    deadline = time.monotonic() + WAIT_S
    while time.monotonic() < deadline:
        assert hears(subscriber), f"no {kind}"
        for event in drain(subscriber):
            if event["type"] == kind:
                return event
    raise AssertionError(f"no {kind}")


def ask(control, command):
    control.send(msgpack.packb(command))
    return msgpack.unpackb(control.recv()) if control.poll(WAIT_S * 1000) else None


def rows(where):
    with contextlib.closing(sqlite3.connect(where.ledger)) as ledger:
        return ledger.execute("SELECT count(*) FROM journal WHERE event = 'USAGE_RECORDED'").fetchone()[0]


def resident_mib(served):
    for line in open(f"/proc/{served.process.pid}/status"):
        if line.startswith("VmRSS:"):
            return int(line.split()[1]) / 1024


def is_sanitized():
    """Sanitizers keep what was freed, and say nothing about memory."""
    with open(SERVE, "rb") as program:
        return bool(re.search(b"__[at]san_init", program.read()))


def check_growth(served, before, most):
    grown = resident_mib(served) - before
    assert is_sanitized() or grown < most, f"{grown} MiB"


def until(condition, what):
    deadline = time.monotonic() + WAIT_S
    while not condition():
        assert time.monotonic() < deadline, what
        time.sleep(0.01)


def counter(served, name):
    return int(served.ask(f"counter {name}"))


# --------------------------------------------------------------------------------------------------------------- keys

def keygen(path):
    public = cli_harness.keygen(path)
    equal(len(public), 40)
    return public, path.read_text().strip()


def test_keygen_writes_a_file_for_its_owner_alone():
    with place() as here:
        file = here.folder / "key"
        public, secret = keygen(file)
        equal(stat.S_IMODE(file.stat().st_mode), 0o600)
        assert len(secret) == 40 and secret != public, "no key"
        equal(headgate("keygen", "--public", file).strip(), public)
        out, err = headgate("keygen", file, code=2)
        assert "is there already" in err and file.read_text().strip() == secret and not out, err
        os.symlink(here.folder / "elsewhere", here.folder / "link")
        headgate("keygen", here.folder / "link", code=2)
        assert not (here.folder / "elsewhere").exists()
        equal(sorted(p.name for p in here.folder.iterdir()), ["devs.config.json", "key", "link"])


def test_public_tcp_without_keys_is_refused():
    for section in ("eventBus", "serve"):
        for host in ("0.0.0.0", "*", "192.0.2.7", "[::]", "example.org"):
            with place(**{section: {"bind": [f"tcp://{host}:5599"]}}) as here:
                _, err = headgate("status", "--config", here.config, code=2)
                assert "needs CURVE" in err and "headgate keygen" in err and f"{section}.curve" in err, err
                started = subprocess.run([SERVE, here.config], capture_output=True, text=True, input="", timeout=WAIT_S)
                assert started.returncode == 1 and "needs CURVE" in started.stderr, started


def test_a_socket_in_a_folder_that_others_may_enter_is_warned_of():
    with place(eventBus={"bind": ["ipc://run/events.ipc"]}) as here:
        folder = here.folder / "run"
        for mode, warned in ((None, False), (0o700, False), (0o711, True), (0o750, True)):
            if mode:
                folder.mkdir(exist_ok=True)
                folder.chmod(mode)
            done = subprocess.run([HEADGATE, "audit", "--config", here.config], capture_output=True, text=True, timeout=WAIT_S)
            equal("eventBus.bind[0] is in a folder that others may enter" in done.stderr, warned, done.stderr)
            equal(f"chmod 700 {folder}" in done.stderr, warned)


def refused(where, *wanted):
    started = subprocess.run([SERVE, where.config], capture_output=True, text=True, input="", timeout=WAIT_S)
    equal(started.returncode, 1, started)
    for text in wanted:
        assert text in started.stderr, (text, started.stderr)
    return started.stderr


def test_key_files_that_are_none_are_refused_without_their_text():
    need_zmq(curve=True)
    port = free_port()
    curve = {"serverSecretKeyFile": "server.key", "allowedClientKeys": "clients.txt"}
    with place(eventBus={"bind": [f"tcp://127.0.0.1:{port}"], "curve": curve}) as here:
        server, clients = here.folder / "server.key", here.folder / "clients.txt"
        refused(here, str(clients), "No such file")
        public, secret = keygen(here.folder / "good")
        clients.write_text(f"# who may\n{public} alice\n\n")
        refused(here, str(server), "No such file")
        server.write_text(secret)
        for mode in (0o644, 0o640, 0o604, 0o622):
            server.chmod(mode)
            assert secret not in refused(here, str(server), "may be read or written by others", "chmod 600")
        server.chmod(0o600)
        for mode in (0o666, 0o620, 0o602):
            clients.chmod(mode)
            refused(here, str(clients), "may be written by others", "chmod go-w")
        clients.chmod(0o644)
        for text in ("", "#nothing\n", secret[:39], secret + "x", f"{secret}\n{secret}\n", f"{secret}\nmore\n", "\0" * 40,
                     "~" * 40):
            server.write_text(text)
            err = refused(here, str(server))
            assert secret[:39] not in err and "key" in err, err
        server.write_text(f"# of the runtime\n{secret}\n")
        clients.write_text(f"{public}\n{public[:-1]}\n")
        assert public[:-1] not in refused(here, f"{clients}:2", "no key")
        clients.write_text(f"{public}\n")
        with runtime(here.config):
            pass
        server.unlink()
        server.mkdir(mode=0o700)
        refused(here, str(server))


@contextlib.contextmanager
def keyed_place(host="0.0.0.0", **serve):
    """A runtime whose events and commands are on the network, for one client; the keys of all."""
    need_zmq(curve=True)
    ports = free_port(), free_port()
    curve = {"serverSecretKeyFile": "server.key", "allowedClientKeys": "clients.txt"}
    with place(limit=10**9, eventBus={"bind": [f"tcp://{host}:{ports[0]}"], "curve": curve},
               serve={"bind": [f"tcp://{host}:{ports[1]}"], "curve": curve, **serve}) as here:
        keys = {name: keygen(here.folder / f"{name}.key") for name in ("server", "client", "stranger")}
        (here.folder / "clients.txt").write_text(f"# who may\n{keys['client'][0]}   the one client\n")
        yield here, [f"tcp://127.0.0.1:{port}" for port in ports], keys


def test_only_a_client_with_a_key_of_the_list_hears_anything():
    with keyed_place() as (here, (events, commands), keys), sockets() as connect:
        server, client, stranger = keys["server"][0], keys["client"], keys["stranger"]
        strangers = [None, (server, *stranger), (stranger[0], *client), (stranger[0], *stranger)]
        with runtime(here.config) as served:
            subscribers = [connect(zmq.SUB, events, keys=each) for each in strangers]
            askers = [connect(zmq.DEALER, commands, keys=each) for each in strangers]
            for each in askers:
                each.send(msgpack.packb({"type": "STATUS", "request": 1}))
            keyed = connect(zmq.SUB, events, keys=(server, *client))
            inside = connect(zmq.SUB, events_endpoint(here))
            assert hears(keyed) and hears(inside), "the client with its key, or the file"
            served.tell("burst 100")
            equal(await_event(keyed, "USAGE_RECORDED")["budget"], "default")
            report = ask(connect(zmq.DEALER, commands, keys=(server, *client)), {"type": "STATUS", "request": 7})
            equal((report["type"], report["totalUsed"]), ("STATUS_REPORT", 100))
            equal(ask(connect(zmq.DEALER, control_endpoint(here)), {"type": "STATUS", "request": 8})["totalUsed"], 100)
            time.sleep(QUIET_S)
            equal([each.poll(0) for each in subscribers + askers], [0] * 2 * len(strangers))
            assert counter(served, "keys_refused") >= 2, "one on each endpoint"
            assert hears(keyed), "still"


def test_watch_from_another_machine_shows_its_keys_and_asks_for_what_was_before_it():
    with keyed_place() as (here, (events, commands), keys):
        there = [events, "--control", commands, "--server-key", keys["server"][0], "--key"]
        with runtime(here.config) as served:
            served.tell("burst 100")
            with watch(*there, here.folder / "client.key", "--from", "1", "--json") as follower:
                follower.until(lambda: follower.types().count("USAGE_RECORDED") == 100, "what was before it")
                equal([event["seq"] for event in follower.events()][:100], list(range(1, 101)))
                equal(follower.end(signal.SIGINT), 0)
            with watch(*there, here.folder / "stranger.key", "--from", "1", "--json", live=False) as follower:
                follower.note("nothing is heard")
                equal((follower.end(signal.SIGINT), follower.lines), (0, []))


def test_a_key_that_is_struck_off_gets_in_no_more():
    """Who is there with it is cut; who may come comes again by himself."""
    with keyed_place() as (here, (_, commands), keys), sockets() as connect, serving(here.config) as served:
        status_of, server, clients = {"type": "STATUS", "request": 1}, keys["server"][0], here.folder / "clients.txt"
        there = connect(zmq.DEALER, commands, keys=(server, *keys["client"]))
        own = connect(zmq.DEALER, control_endpoint(here))
        for each in (there, own):
            equal(ask(each, status_of)["type"], "STATUS_REPORT")

        def read_again(text, times):
            clients.write_text(text)
            served.process.send_signal(signal.SIGHUP)
            served.note("devs.config.json was read again", times)
        read_again(f"{keys['client'][0]}\n{keys['stranger'][0]}\n", 1)
        served.note("serve: only keys of ")
        equal(ask(there, status_of)["type"], "STATUS_REPORT")
        assert not any("cut" in note for note in served.notes), served.notes
        allowed = connect(zmq.DEALER, commands, keys=(server, *keys["stranger"]))
        equal(ask(allowed, status_of)["type"], "STATUS_REPORT")
        read_again(f"{keys['stranger'][0]}\n", 2)
        served.note("a key was struck off, so 2 connections were cut")
        there.send(msgpack.packb(status_of))
        late = connect(zmq.DEALER, commands, keys=(server, *keys["client"]))
        late.send(msgpack.packb(status_of))
        until(lambda: allowed.send(msgpack.packb(status_of)) or allowed.poll(500), "the client whose key is still there")
        time.sleep(QUIET_S)
        equal((late.poll(0), there.poll(0)), (0, 0))
        equal(ask(own, status_of)["type"], "STATUS_REPORT")
        read_again("no key\n", 3)
        served.note("the keys of before hold")
        equal(ask(connect(zmq.DEALER, commands, keys=(server, *keys["stranger"])), status_of)["type"], "STATUS_REPORT")
        (here.folder / "server.key").write_text(keys["stranger"][1])
        read_again(f"{keys['stranger'][0]}\n", 4)
        served.note("serve.curve.serverSecretKeyFile has another key and takes effect at the next start")
        assert not any(key in note for note in served.notes for pair in keys.values() for key in pair), served.notes
        equal(served.end(signal.SIGTERM), 0)


def test_watch_with_keys():
    with keyed_place() as (here, (events, _), keys), runtime(here.config) as served:
        server = keys["server"][0]
        with watch(events, "--json", "--server-key", server, "--key", here.folder / "client.key") as follower:
            served.tell("record 5")
            follower.until(lambda: "USAGE_RECORDED" in follower.types(), "the record")
            follower.end(signal.SIGINT)
        for arguments, wanted in ((("--server-key", server), "belong together"),
                                  (("--key", here.folder / "client.key"), "belong together"),
                                  (("--server-key", "short", "--key", here.folder / "client.key"), "40 characters"),
                                  (("--server-key", server, "--key", here.folder / "nothing"), "No such file")):
            _, err = headgate("watch", events, *arguments, code=2)
            assert wanted in err, err


def test_keys_are_nowhere():
    """In no file, output, event or answer but the key files."""
    with keyed_place() as (here, (events, commands), keys), sockets() as connect:
        said = []
        served = Runtime(here.config)
        key = (keys["server"][0], *keys["client"])
        follower_arguments = ("--json", "--server-key", key[0], "--key", here.folder / "client.key")
        with watch(events, *follower_arguments) as follower:
            connect(zmq.SUB, events, keys=(key[0], *keys["stranger"]))
            served.tell("burst 10")
            follower.until(lambda: "USAGE_RECORDED" in follower.types(), "the records")
            until(lambda: counter(served, "keys_refused") > 0, "the stranger was not noticed")
            said.append(repr(ask(connect(zmq.DEALER, commands, keys=key), {"type": "SNAPSHOT", "request": 1})))
            said.append(headgate("status", "--json", "--config", here.config))
            said.append(headgate("audit", "--json", "--config", here.config))
            follower.end(signal.SIGINT)
            said += follower.lines + follower.notes
        out, err = served.process.communicate(timeout=WAIT_S)
        said += [out, err]
        said += [file.read_bytes().decode("latin-1") for file in here.folder.rglob("*")
                 if file.is_file() and file.suffix != ".key" and file.name != "clients.txt"]
        assert len(said) > 12, said
        for name, pair in keys.items():
            for text in said:
                assert pair[1] not in text and pair[0] not in text, (name, text[:200])


def test_no_core_file_has_keys():
    with place() as here, serving(here.config) as served:
        limits = pathlib.Path(f"/proc/{served.process.pid}/limits").read_text()
        equal(re.search("Max core file size +(\\S+) +(\\S+)", limits).groups(), ("0", "0"))


# ------------------------------------------------------------------------------------------------------------- bounds

def test_more_subscribers_than_there_may_be_are_turned_away():
    need_zmq()
    port = free_port()
    with place(eventBus={"bind": [f"tcp://127.0.0.1:{port}"], "maxSubscribers": 3}) as here, sockets() as connect:
        with runtime(here.config) as served:
            ways = [events_endpoint(here), f"tcp://127.0.0.1:{port}"]
            first = [connect(zmq.SUB, ways[i % 2]) for i in range(3)]
            assert all(hears(each) for each in first), "the first three"
            late = [connect(zmq.SUB, way) for way in ways]
            raw = socket.create_connection(("127.0.0.1", port))  # it never says a word
            raw.settimeout(WAIT_S)
            while raw.recv(64):
                pass
            raw.close()
            time.sleep(QUIET_S)
            equal([each.poll(0) for each in late], [0, 0])
            assert counter(served, "connections_turned_away") >= 3
            for each in first:
                drain(each)
            served.tell("record 1")
            for each in first:
                await_event(each, "USAGE_RECORDED")
            first[0].close()
            until(lambda: any(each.poll(10) for each in late), "the place of one who left stays empty")
            time.sleep(QUIET_S)
            equal(sum(each.poll(0) != 0 for each in late), 1)


def test_connections_that_say_nothing_take_no_place_for_long():
    need_zmq()
    with place(eventBus={"maxSubscribers": 2}) as here, sockets() as connect, runtime(here.config):
        silent = []
        for _ in range(2):
            silent.append(socket.socket(socket.AF_UNIX))
            silent[-1].connect(events_endpoint(here)[len("ipc://"):])
        late = connect(zmq.SUB, events_endpoint(here))
        assert hears(late), "the handshake of the silent ones has no end"
        for each in silent:
            each.close()


def test_more_clients_than_there_may_be_are_turned_away():
    need_zmq()
    with place(serve={"maxClients": 2}) as here, sockets() as connect, runtime(here.config) as served:
        status_of = {"type": "STATUS", "request": 7}
        two = [connect(zmq.DEALER, control_endpoint(here)) for _ in range(2)]
        equal([ask(each, status_of)["type"] for each in two], ["STATUS_REPORT"] * 2)
        third = connect(zmq.DEALER, control_endpoint(here))
        third.send(msgpack.packb(status_of))
        time.sleep(QUIET_S)
        equal(third.poll(0), 0)
        assert counter(served, "connections_turned_away") >= 1
        equal([ask(each, status_of)["type"] for each in two], ["STATUS_REPORT"] * 2)
        two[0].close()
        assert third.poll(WAIT_S * 1000), "the place of one who left stays empty"


def flood_connections(path, stop):
    """Connections that say nothing, more and more of them."""
    opened = []
    while not stop.is_set():
        opened.append(socket.socket(socket.AF_UNIX))
        opened[-1].setblocking(False)
        with contextlib.suppress(OSError):
            opened[-1].connect(path)
        while len(opened) > 400:
            opened.pop(0).close()
    for each in opened:
        each.close()


def limited(descriptors, hard=None):
    return lambda: resource.setrlimit(resource.RLIMIT_NOFILE, (descriptors, hard or descriptors))


def test_too_few_descriptors_for_a_flood_are_refused():
    """libzmq ends the process when it finds none."""
    for clients, few in ((256, 959), (2000, 2703)):
        with place(serve={"maxClients": clients}) as here:
            command = [HEADGATE, "serve", "--config", here.config]
            found = subprocess.run(command, capture_output=True, text=True, timeout=WAIT_S, preexec_fn=limited(few))
            equal(found.returncode, 1, found.stderr)
            for text in (f"only {few} file descriptors", f"serve.maxClients {clients} need {few + 1}", "LimitNOFILE"):
                assert text in found.stderr, found.stderr


def test_a_flood_of_connections_finds_descriptors():
    """With the fewest that are taken, and where only the hard limit has enough."""
    for soft, hard in ((960, 960), (256, 4096)):
        with place() as here, serving(here.config, preexec_fn=limited(soft, hard)) as served:
            paths = [endpoint[len("ipc://"):] for endpoint in (events_endpoint(here), control_endpoint(here))]
            with running(*[lambda stop, path=path: flood_connections(path, stop) for path in paths * 2]):
                time.sleep(2)
                equal(served.process.poll(), None, served.notes)
            equal(served.end(signal.SIGTERM), 0)


def test_nobody_comes_over_tcp_without_end():
    """Each that comes takes a number of ZeroMQ's, which meets the name of another in the end (bus/door.c)."""
    need_zmq()
    port = free_port()
    with place(serve={"bind": [f"tcp://127.0.0.1:{port}"]}) as here, runtime(here.config) as served:
        ready = b"\x05READY\x0bSocket-Type\x00\x00\x00\x06DEALER"
        opening = b"\xff" + bytes(8) + b"\x7f\x03\x01NULL".ljust(3 + 20, b"\0") + bytes(32) + bytes([4, len(ready)]) + ready
        came = 0
        while counter(served, "connections_turned_away") == 0:
            for _ in range(100):
                with socket.create_connection(("127.0.0.1", port)) as raw:
                    raw.sendall(opening)
                    said = b""
                    while b"READY" not in said and b"ERROR" not in said and (more := raw.recv(4096)):
                        said += more
                    came += 1
            assert came < 30_000, came
        assert came > 8192, came
        assert status("--config", here.config)["live"], "who comes over the file is not counted"


def test_connections_without_keys_lock_nobody_out():
    """Bare connections, more than there may be, again as soon as they are cut: the file and a client with its key get in."""
    with keyed_place(maxClients=32) as (here, (_, commands), keys), sockets() as connect, runtime(here.config) as served:
        key = (keys["server"][0], *keys["client"])
        port = int(commands.rpartition(":")[2])
        holders = [connect(zmq.DEALER, commands, keys=key) for _ in range(4)]
        for each in holders:
            equal(ask(each, {"type": "STATUS", "request": 1})["type"], "STATUS_REPORT")
        bare = [socket.create_connection(("127.0.0.1", port)) for _ in range(64)]
        until(lambda: counter(served, "connections_turned_away") >= 64 - (16 - 4), "the flood was let in")
        for number in range(5):
            equal(status("--config", here.config)["totalUsed"], 0)
            late = connect(zmq.DEALER, commands, keys=key)
            equal(ask(late, {"type": "STATUS", "request": 2})["type"], "STATUS_REPORT")
            bare += [socket.create_connection(("127.0.0.1", port)) for _ in range(32)]
        for each in holders:
            equal(ask(each, {"type": "STATUS", "request": 3})["type"], "STATUS_REPORT")
        for each in bare:
            each.close()


def flood_topics(endpoint, stop, length=30):
    """Subscribes to ever new topics, over connection after connection."""
    with zmq.Context() as context:
        number = 0
        while not stop.is_set():
            with context.socket(zmq.XSUB) as flooder:
                flooder.linger, flooder.sndtimeo = 0, 100
                flooder.connect(endpoint)
                end = time.monotonic() + 0.5
                while time.monotonic() < end and not stop.is_set():
                    number += 1
                    with contextlib.suppress(zmq.Again):
                        flooder.send(b"\1" + f"{number}-".encode().ljust(length, b"x"))


@contextlib.contextmanager
def running(*functions):
    """Calls each in a thread until the end; each is told by an event."""
    stop = threading.Event()
    threads = [threading.Thread(target=function, args=(stop,)) for function in functions]
    for each in threads:
        each.start()
    try:
        yield
    finally:
        stop.set()
        for each in threads:
            each.join()


def test_a_flood_of_topics_costs_the_flooder_its_connection():
    need_zmq()
    with place(limit=10**9) as here, sockets() as connect, runtime(here.config) as served:
        endpoint = events_endpoint(here)
        good = connect(zmq.SUB, endpoint)
        assert hears(good), "live"
        before = resident_mib(served)
        with running(lambda stop: flood_topics(endpoint, stop), lambda stop: flood_topics(endpoint, stop, 900)):
            notice = await_event(good, "SUBSCRIBER_DROPPED")
            equal((notice["seq"], notice["prev"], notice["payload"]), (None, None, {"reason": "too_many_topics"}))
            events = []
            for _ in range(40):
                served.tell("burst 50")
                time.sleep(0.05)
                events += drain(good)
            until(lambda: events.extend(drain(good)) or sum(e["type"] == "USAGE_RECORDED" for e in events) == 2000,
                  "a good subscriber misses events")
            dropped = counter(served, "subscribers_dropped")
        assert dropped >= 2, dropped
        check_growth(served, before, 64)
        journalled = [event["seq"] for event in events if event["seq"]]
        equal(journalled, list(range(journalled[0], journalled[0] + len(journalled))))
        served.end()
        equal(rows(here), 2000)


def raw_subscriber(endpoint):
    """A socket that speaks ZMTP 3 and sends what no library would; a frame of up to 255 bytes is a size and its bytes."""
    raw = socket.socket(socket.AF_UNIX)
    raw.connect(endpoint[len("ipc://"):])
    raw.sendall(b"\xff" + bytes(8) + b"\x7f\x03\x01NULL".ljust(3 + 20, b"\0") + bytes(32))
    ready = b"\x05READY\x0bSocket-Type\x00\x00\x00\x03SUB"
    raw.sendall(bytes([4, len(ready)]) + ready)
    raw.settimeout(WAIT_S)
    greeted = b""
    while b"READY" not in greeted:
        greeted += raw.recv(4096)
    raw.settimeout(0.1)
    return raw


def test_nobody_ends_the_subscription_of_another():
    """ZeroMQ tells of ends by who never subscribed, first of all and beside others."""
    need_zmq()
    with place() as here, sockets() as connect, runtime(here.config) as served:
        with contextlib.closing(raw_subscriber(events_endpoint(here))) as first:
            first.sendall(b"\0\1\0" + b"\0\x0f\0USAGE_RECORDED")
            time.sleep(QUIET_S)
            good = connect(zmq.SUB, events_endpoint(here))
            assert hears(good), "a subscriber after an end"
            first.sendall(b"\0\1\0" * 10 + b"\0\x0f\0USAGE_RECORDED")
            time.sleep(QUIET_S)
            drain(good)
            served.tell("record 1")
            equal(await_event(good, "USAGE_RECORDED")["payload"]["usedDelta"], 1)


def test_two_connections_together_hold_no_more_topics_than_one_may():
    """What one subscribes to the other ends, of which ZeroMQ tells, and which it does not end for the first."""
    need_zmq()
    with place() as here, runtime(here.config) as served:
        one, other = raw_subscriber(events_endpoint(here)), raw_subscriber(events_endpoint(here))
        before, sent = resident_mib(served), 0
        with contextlib.closing(one), contextlib.closing(other), contextlib.suppress(OSError):
            while sent < 5000:
                topics = [f"{sent + number:07}".encode() * 7 for number in range(20)]
                for raw, what in ((one, b"\1"), (other, b"\0")):
                    raw.sendall(b"".join(bytes([0, len(topic) + 1]) + what + topic for topic in topics))
                    time.sleep(0.005)  # or there are too many at once, of which the bus knows that they are too many
                sent += len(topics)
        assert sent < 2000, f"{sent} topics, and nobody was cut"
        until(lambda: counter(served, "subscribers_dropped") >= 1, "the cut is not counted")
        check_growth(served, before, 8)


def test_many_topics_of_a_good_subscriber_are_no_flood():
    need_zmq()
    with place() as here, sockets() as connect, runtime(here.config) as served:
        for _ in range(3):
            subscriber = connect(zmq.SUB, events_endpoint(here))
            for number in range(250):
                subscriber.subscribe(f"NO_SUCH_EVENT_{number}")
            await_heartbeat = hears(subscriber)
            assert await_heartbeat
            time.sleep(QUIET_S)
        equal(counter(served, "subscribers_dropped"), 0)


def test_topics_that_somebody_left_behind_are_not_charged_to_the_next():
    """The next connection gets the descriptor of the one that left."""
    need_zmq()
    with place() as here, sockets() as connect, runtime(here.config) as served:
        many = [f"NO_SUCH_EVENT_{number}" for number in range(255)]
        def subscribe(topics):
            subscriber = connect(zmq.SUB, events_endpoint(here))
            assert hears(subscriber), "live"
            for topic in topics:
                subscriber.subscribe(topic)
            time.sleep(QUIET_S)
            return subscriber
        first = subscribe(many)
        subscribe(many)
        first.close()
        time.sleep(QUIET_S)
        third = subscribe(["ANOTHER", "AND_ANOTHER"])
        equal(counter(served, "subscribers_dropped"), 0)
        drain(third)
        assert hears(third), "still"


# ------------------------------------------------------------------------------------------------------------ garbage

GREETING = b"\xff" + bytes(7) + b"\x01\x7f\x03\x00NULL".ljust(22 + 3, b"\0") + bytes(31)


def raw_garbage(path, stop, seed):
    """Bytes that are no ZMTP, and ZMTP that goes wrong at every place."""
    draw = random.Random(seed)
    while not stop.is_set():
        with contextlib.suppress(OSError), socket.socket(socket.AF_UNIX) as raw:
            raw.settimeout(0.2)
            raw.connect(path)
            choice = draw.randrange(5)
            if choice == 0:
                raw.sendall(draw.randbytes(draw.randrange(1, 5000)))
            elif choice == 1:  # a greeting that stops somewhere
                raw.sendall(GREETING[:draw.randrange(1, 64)])
            elif choice == 2:  # a greeting, then anything
                raw.sendall(GREETING + draw.randbytes(draw.randrange(1, 3000)))
            else:  # a handshake, then frames that are too large or make no sense
                ready = b"\x05READY\x0bSocket-Type\0\0\0\x03SUB"
                raw.sendall(GREETING + b"\x04" + bytes([len(ready)]) + ready)
                raw.sendall(b"\x02" + (2**62).to_bytes(8, "big") if choice == 3 else draw.randbytes(3000))
            raw.recv(4096)


def nested(depth):
    return b"\x81\xa4type" + b"\x91" * depth + b"\xc0"


def zmtp_garbage(kind, endpoint, stop, seed):
    draw = random.Random(seed)
    with zmq.Context() as context:
        while not stop.is_set():
            with context.socket(kind) as peer:
                peer.linger, peer.sndtimeo = 0, 100
                peer.connect(endpoint)
                for _ in range(200):
                    frames = draw.choice(([draw.randbytes(draw.randrange(1, 400))], [b"", b"\xdf\xff\xff\xff\xff"],
                                          [nested(draw.randrange(1, 60000))], [bytes(1)] * draw.randrange(1, 50),
                                          [b"\x02more"], [b"x" * 2_000_000] if draw.randrange(50) == 0 else [b"\xc1"],
                                          [msgpack.packb({"type": "STATUS", "request": -1})]))
                    with contextlib.suppress(zmq.Again):
                        peer.send_multipart(frames)
                    if stop.is_set():
                        break


def test_garbage_on_every_endpoint_does_nothing_but_count():
    need_zmq()
    with place(limit=10**9) as here, sockets() as connect, runtime(here.config) as served:
        events, commands = events_endpoint(here), control_endpoint(here)
        good, control = connect(zmq.SUB, events), connect(zmq.DEALER, commands)
        assert hears(good), "live"
        before = resident_mib(served)
        seeds = [random.randrange(2**32) for _ in range(6)]
        print(f"  seeds {seeds}")
        with running(lambda stop: raw_garbage(events[len("ipc://"):], stop, seeds[0]),
                     lambda stop: raw_garbage(commands[len("ipc://"):], stop, seeds[1]),
                     lambda stop: zmtp_garbage(zmq.XSUB, events, stop, seeds[2]),
                     lambda stop: zmtp_garbage(zmq.XSUB, events, stop, seeds[3]),
                     lambda stop: zmtp_garbage(zmq.DEALER, commands, stop, seeds[4]),
                     lambda stop: zmtp_garbage(zmq.DEALER, commands, stop, seeds[5])):
            for number in range(1, 41):
                served.tell("burst 50")
                time.sleep(0.05)
                if number % 10 == 0:
                    equal(ask(control, {"type": "STATUS", "request": number})["totalUsed"], 50 * number)
            refused_frames = counter(served, "frames_refused")
        assert refused_frames > 100 and counter(served, "subscribers_dropped") > 0, refused_frames
        check_growth(served, before, 64)
        heard = []
        until(lambda: heard.extend(drain(good)) or sum(event["type"] == "USAGE_RECORDED" for event in heard) >= 2000,
              "a good subscriber misses events")
        equal(ask(control, {"type": "STATUS", "request": 99})["totalUsed"], 2000)
        served.end()
        equal(rows(here), 2000)
        equal(status("--config", here.config)["totalUsed"], 2000)


# ------------------------------------------------------------------------------------------------------------- memory

def test_stuck_subscribers_hold_no_more_than_the_page_says():
    """docs/operations.md: at most 32,768 events for each, of 1 KiB here."""
    need_zmq()
    with place(limit=10**9) as here, sockets() as connect, runtime(here.config) as served:
        stuck = [connect(zmq.SUB, events_endpoint(here), rcvhwm=1) for _ in range(4)]
        assert all(hears(each) for each in stuck)
        served.tell("burst 1000")
        before = resident_mib(served)
        for _ in range(4):
            served.tell("burst 50000")
        time.sleep(QUIET_S)
        check_growth(served, before, 4 * 32 + 32)
        equal(counter(served, "subscribers_dropped"), 0)
        assert 1 <= counter(served, "subscribers_behind") <= 4, "once each, or several at one event"
        served.end()
        equal(rows(here), 201000)


if __name__ == "__main__":
    sys.exit(main(dict(globals())))
