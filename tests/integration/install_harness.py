"""What the tests of what is installed share: a prefix that the build is put into once, and what documents show."""
import atexit
import functools
import os
import pathlib
import re
import shutil
import subprocess
import tempfile

from cli_harness import BUILD, SOURCE

LIMIT_S = 300
FOLDER = pathlib.Path(tempfile.mkdtemp(prefix="hg-install-"))
atexit.register(shutil.rmtree, FOLDER, ignore_errors=True)


def run(*command, cwd=FOLDER, code=0, **environment):
    """A command's stdout (with stderr where it is meant to fail)."""
    done = subprocess.run([str(part) for part in command], cwd=cwd, capture_output=True, encoding="utf-8",
                          timeout=LIMIT_S, stdin=subprocess.DEVNULL, env={**os.environ, **environment})
    assert done.returncode == code, f"{command}: exit {done.returncode}: {(done.stdout + done.stderr)[-2000:]}"
    return done.stdout + done.stderr if code else done.stdout


@functools.cache
def prefix():
    where = FOLDER / "prefix"
    run("cmake", "--install", BUILD, "--prefix", where)
    return where


@functools.cache
def cached(name):
    """A variable of the build."""
    found = re.search(rf"^{name}:\w+=(.*)$", (BUILD / "CMakeCache.txt").read_text(), re.MULTILINE)
    return found[1] if found else ""


def blocks(document, language):
    """The fenced blocks of a document that are in a language."""
    text = (SOURCE / document).read_text()
    return re.findall(rf"^```{language}\n(.*?)^```$", text, re.MULTILINE | re.DOTALL)


def lines_of(document, start):
    """The lines of a document's shell blocks that begin with a command."""
    return [line for block in blocks(document, "sh") for line in block.splitlines() if line.startswith(start)]


def dynamic(file):
    """What readelf -d says: (tag, value) pairs."""
    return re.findall(r"\((\w+)\) +(.*)", run("readelf", "-dW", file))


def needed(file):
    return {re.search(r"\[(.*)\]", value)[1] for tag, value in dynamic(file) if tag == "NEEDED"}
