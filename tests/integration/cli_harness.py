"""What the tests of the program share: running it, a real runtime to ask, programs that are followed line by line."""
import contextlib
import functools
import json
import os
import pathlib
import re
import shutil
import subprocess
import sys
import tempfile
import threading

try:
    import jsonschema
except ImportError:
    jsonschema = None

SOURCE = pathlib.Path(__file__).resolve().parents[2]
WAIT_S = 30
if len(sys.argv) < 2:
    sys.exit(sys.modules["__main__"].__doc__)
BUILD = pathlib.Path(sys.argv[1]).resolve()
HEADGATE, SERVE = str(BUILD / "headgate"), str(BUILD / "tests" / "serve_for_tests")
if not os.access(HEADGATE, os.X_OK):
    sys.exit(f"there is no program {HEADGATE}: build it first")


class Skipped(Exception):
    pass


def equal(found, expected, about=""):
    assert found == expected, f"{about} found {found!r}, expected {expected!r}"


def headgate(*arguments, code=0, cwd=None, locale="C"):
    """Runs the program to its end; its stdout, or (stdout, stderr) where it is meant to fail."""
    done = subprocess.run([HEADGATE, *map(str, arguments)], capture_output=True, encoding="utf-8", timeout=WAIT_S,
                          cwd=cwd, stdin=subprocess.DEVNULL, env={**os.environ, "LC_ALL": locale})
    assert done.returncode == code, f"{arguments}: exit {done.returncode}: {done.stdout}{done.stderr}"
    return (done.stdout, done.stderr) if code else done.stdout


@functools.cache
def validator(schema, kind):
    """Of the messages of a type, by schemas/events.schema.json or schemas/commands.schema.json."""
    whole = json.loads((SOURCE / "schemas" / f"{schema}.schema.json").read_text())
    return jsonschema.Draft202012Validator({"$ref": f"#/$defs/{kind}", "$defs": whole["$defs"]})


def checked(message, schema="events"):
    """The message, once it is what its schema says; as it is where python3 has no jsonschema."""
    for error in validator(schema, message["type"]).iter_errors(message) if jsonschema else ():
        raise AssertionError(f"{error.json_path}: {error.message}, in {message}")
    return message


def status(*arguments):
    out = headgate("status", "--json", *arguments)
    equal(out.count("\n"), 1, "lines of JSON")
    return json.loads(out)


class Place:
    """A folder with a configuration whose ledger is in it."""

    def __init__(self, folder, limit=200000, **sections):
        self.folder = pathlib.Path(folder)
        self.config = self.folder / "devs.config.json"
        self.ledger = self.folder / "headgate.db"
        budget = {"hardLimitTokens": limit, **sections.pop("tokenBudget", {})}
        self.config.write_text(json.dumps({"tokenBudget": budget, **sections}))


@contextlib.contextmanager
def place(**sections):
    with tempfile.TemporaryDirectory(prefix="hg-") as folder:
        yield Place(folder, **sections)


class Runtime:
    """serve_for_tests on a configuration; each command is answered by one line."""

    def __init__(self, config):
        self.process = subprocess.Popen([SERVE, str(config)], stdin=subprocess.PIPE, stdout=subprocess.PIPE,
                                        stderr=subprocess.PIPE, text=True, bufsize=1)
        line = self.process.stdout.readline().strip()
        if line != "ready":
            raise AssertionError(f"the runtime did not start: {line} {self.process.communicate()[1]}")

    def ask(self, command):
        self.process.stdin.write(command + "\n")
        return self.process.stdout.readline().strip()

    def tell(self, *commands):
        for command in commands:
            equal(self.ask(command), "HG_OK", command)

    def acquire(self, command):
        permit = self.ask(command)
        assert re.fullmatch("[0-9a-f]{16}", permit), f"{command}: {permit}"
        return permit

    def end(self):
        out, err = self.process.communicate(timeout=WAIT_S)
        assert self.process.returncode == 0 and out == "closed HG_OK\n", (self.process.returncode, out, err)

    def kill(self):
        self.process.kill()
        self.process.communicate()


@contextlib.contextmanager
def runtime(config):
    served = Runtime(config)
    try:
        yield served
        if served.process.poll() is None:
            served.end()
    finally:
        if served.process.poll() is None:
            served.kill()


class Follower:
    """A program that prints lines until it is told to stop; its output is read as it comes."""

    def __init__(self, *command, **options):
        self.process = subprocess.Popen([str(part) for part in command], stdin=subprocess.DEVNULL,
                                        stdout=subprocess.PIPE, stderr=subprocess.PIPE, encoding="utf-8", **options)
        self.lines, self.notes, self.news = [], [], threading.Condition()
        self.readers = [threading.Thread(target=self._read, args=pair, daemon=True)
                        for pair in ((self.process.stdout, self.lines), (self.process.stderr, self.notes))]
        for reader in self.readers:
            reader.start()

    def _read(self, stream, into):
        for line in stream:
            with self.news:
                into.append(line.rstrip("\n"))
                self.news.notify_all()

    def until(self, holds, about):
        with self.news:
            assert self.news.wait_for(holds, WAIT_S), f"{about} did not come: {self.lines[-20:]} {self.notes[-20:]}"

    def note(self, text, times=1):
        self.until(lambda: sum(text in note for note in self.notes) >= times, repr(text))

    def types(self):
        return [json.loads(line)["type"] for line in self.lines]

    def events(self):
        return [checked(json.loads(line)) for line in self.lines]

    def end(self, signal_number=None):
        if signal_number:
            self.process.send_signal(signal_number)
        code = self.process.wait(WAIT_S)
        for reader in self.readers:
            reader.join()
        return code


@contextlib.contextmanager
def following(first_note, *arguments, **options):
    follower = Follower(HEADGATE, *arguments, **options)
    try:
        if first_note:
            follower.note(first_note)
        yield follower
    finally:
        if follower.process.poll() is None:
            follower.process.kill()
        follower.end()


def watch(*arguments, live=True):
    return following("following " if live else None, "watch", *arguments)


def serving(config, *flags, **options):
    return following("events at ipc://", "serve", "--config", config, *flags, **options)


def events_endpoint(where):
    return f"ipc://{where.ledger}.d/events.ipc"


def control_endpoint(where):
    return f"ipc://{where.ledger}.d/control.ipc"


@contextlib.contextmanager
def sources(folders, files):
    """A copy of these of the sources, to break something in."""
    with tempfile.TemporaryDirectory(prefix="hg-") as folder:
        root = pathlib.Path(folder)
        for name in folders:
            shutil.copytree(SOURCE / name, root / name, ignore=shutil.ignore_patterns("__pycache__", "corpus", "node_modules"))
        for name in files:
            shutil.copy(SOURCE / name, root / name)
        yield root


def keygen(path):
    """Makes a key file; skips the test where the program's libzmq knows no keys."""
    made = subprocess.run([HEADGATE, "keygen", path], capture_output=True, text=True, timeout=WAIT_S)
    if "without CURVE" in made.stderr:
        raise Skipped("the program's libzmq has no CURVE")
    equal((made.returncode, made.stderr), (0, ""))
    return made.stdout.strip()


def main(tests):
    """Runs the functions of a test file, those named on the command line only where names are given."""
    names = sys.argv[2:]
    tests = [(name, test) for name, test in tests.items()
             if name.startswith("test_") and (not names or any(wanted in name for wanted in names))]
    failed = skipped = 0
    for name, test in tests:
        try:
            test()
        except Skipped as reason:
            skipped += 1
            print(f"SKIPPED {name}: {reason}")
        except Exception as problem:  # a failed test must not hide the others
            failed += 1
            line = problem.__traceback__.tb_next
            while line.tb_next and line.tb_next.tb_frame.f_code.co_filename != __file__:
                line = line.tb_next
            print(f"FAILED {name}, line {line.tb_lineno}: {type(problem).__name__}: {problem}")
    if not jsonschema:
        print("SKIPPED: what is decoded is not held against its schema: python3 has no jsonschema")
    print(f"{len(tests) - failed - skipped} passed, {failed} failed" + (f", {skipped} skipped" if skipped else ""))
    return 1 if failed else 0
