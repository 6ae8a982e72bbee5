"""What bash and zsh offer is what the program takes: usage: test_completion.py BUILD [NAME ...]"""
import re
import shutil
import subprocess
import sys
import tempfile

from cli_harness import HEADGATE, SOURCE, Skipped, equal, headgate, main

COMPLETION = SOURCE / "packaging" / "completion"
GENERATOR = SOURCE / "scripts" / "completion"


def shell(name, script, *arguments, cwd=None):
    if not shutil.which(name):
        raise Skipped(f"no {name}")
    done = subprocess.run([name, *(["-f"] if name == "zsh" else []), "-c", script, name, *arguments], cwd=cwd,
                          capture_output=True, encoding="utf-8", timeout=60)
    equal((done.returncode, done.stderr), (0, ""), script)
    return done.stdout.splitlines()


def bash(*words, cwd=None):
    """What bash offers for the last word of a line."""
    return shell("bash", f'compopt() {{ :; }}; . {COMPLETION}/headgate.bash; COMP_WORDS=("$@"); '
                         'COMP_CWORD=$(($# - 1)); _headgate; printf "%s\\n" "${COMPREPLY[@]}"', "headgate", *words, cwd=cwd)


def zsh(*words):
    """What zsh's _arguments gets to know."""
    return shell("zsh", "_arguments() { print -rl -- $@ }; _describe() { print -rl -- ${(P)2} };"
                        f'words=("$@"); CURRENT=$#; . {COMPLETION}/_headgate', "headgate", *words)


def commands():
    return re.findall(r"^  (\w+) ", headgate("--help"), re.MULTILINE)


def flags_of(command):
    """The long flags that its source takes."""
    source = (SOURCE / "cli" / ("run_flags.c" if command == "run" else f"{command}.c")).read_text()
    return {f"--{name}" for name in re.findall(r'\{"([\w-]+)", (?:no|required|optional)_argument', source)} | {"--help"}


def test_they_are_what_the_help_says():
    done = subprocess.run([GENERATOR, "--check", HEADGATE], capture_output=True, text=True)
    equal((done.returncode, done.stderr), (0, ""))


def test_a_flag_that_is_new_is_noticed():
    with tempfile.NamedTemporaryFile("w", suffix=".sh", dir="/tmp", delete=False) as fake:
        fake.write(f'#!/bin/sh\n{HEADGATE} "$@" | sed "s/^  --dry-run /  --sudden N   do it\\n&/"\n')
    try:
        subprocess.run(["chmod", "755", fake.name], check=True)
        done = subprocess.run([GENERATOR, "--check", fake.name], capture_output=True, text=True)
        equal(done.returncode, 1)
        assert "headgate.bash and packaging/completion/_headgate: not what" in done.stderr, done.stderr
    finally:
        subprocess.run(["rm", fake.name], check=True)


def test_bash():
    equal(set(bash("")), {*commands(), "--help", "--version"})
    equal(bash("or"), ["orphans"])
    for command in commands():
        equal(set(bash(command, "--")), flags_of(command), command)
    assert "-o" in bash("run", "-")
    equal(bash("run", "--order", ""), ["completion", "input"])
    equal(bash("run", "--order", "=", "in"), ["input"])
    equal(bash("run", "--order", "="), ["completion", "input"])
    equal(bash("run", "--model", ""), [""])
    with tempfile.TemporaryDirectory() as folder:
        for name in ("batch.jsonl", "other"):
            with open(f"{folder}/{name}", "w"):
                pass
        for words in (("run", "b"), ("run", "--config", "b"), ("run", "-o", "b"), ("keygen", "b")):
            equal(bash(*words, cwd=folder), ["batch.jsonl"], words)
        equal(bash("status", "b", cwd=folder), [""])


def test_zsh():
    offered = zsh("")
    for command in commands():
        assert any(line.startswith(f"{command}:") for line in offered), command
        specs = zsh(command, "")
        told = {name for line in specs for name in re.findall(r"^\*?(?:\([^)]*\))?(--?[\w-]+)\[", line)}
        equal(told, set(bash(command, "-")), command)
    assert "--order[the results stand as calls ended]:WHAT:(completion input)" in zsh("run", "")


if __name__ == "__main__":
    sys.exit(main(dict(globals())))
