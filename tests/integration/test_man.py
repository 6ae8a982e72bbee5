"""The man pages in docs/man are what scripts/man makes of --help now, have every flag, and are formatted without a
warning.

  test_man.py BUILD [TEST ...]
"""
import os
import pathlib
import re
import shutil
import subprocess
import sys
import tempfile

from cli_harness import BUILD, SOURCE, Skipped, equal, headgate, main

PAGES = SOURCE / "docs" / "man"


def commands():
    return re.findall(r"^  (\w+) +", headgate("--help"), re.M)


def plain(page):
    """The page's text without what formats it."""
    return re.sub(r"\\f[BR]|\\&", "", page.read_text()).replace("\\-", "-")


def stale(pages):
    with tempfile.TemporaryDirectory(prefix="hg-") as folder:
        subprocess.run([sys.executable, SOURCE / "scripts" / "man", "--build", BUILD, "--to", folder], check=True, timeout=60)
        fresh = {path.name: path.read_text() for path in pathlib.Path(folder).iterdir()}
    have = {path.name: path.read_text() for path in pages.glob("*.1")}
    return sorted(name for name in fresh.keys() | have.keys() if fresh.get(name) != have.get(name))


def test_they_are_fresh():
    equal(stale(PAGES), [], "pages that scripts/man would write otherwise")


def test_one_that_is_stale_is_seen():
    with tempfile.TemporaryDirectory(prefix="hg-") as folder:
        copy = pathlib.Path(folder) / "man"
        shutil.copytree(PAGES, copy)
        (copy / "headgate-init.1").unlink()
        page = copy / "headgate-run.1"
        page.write_text(page.read_text().replace("dry\\-run", "dry\\-walk"))
        equal(stale(copy), ["headgate-init.1", "headgate-run.1"], "stale")


def test_every_flag_and_every_command_has_a_place():
    index = plain(PAGES / "headgate.1")
    for command in commands():
        assert f".BR headgate-{command} (1)" in index, command
        page = plain(PAGES / f"headgate-{command}.1")
        for flag in sorted(set(re.findall(r"(?<![\w-])--?[a-z][a-z-]*", headgate(command, "--help")))):
            assert re.search(rf"(?<![\w-]){flag}(?![\w-])", page), f"headgate-{command}.1 has no {flag}"


def test_every_help_says_with_what_it_ends():
    """0 and 2 have every command; all codes that a help names are in the table of its page, and no others."""
    for command in commands():
        said = re.search(r"^Exit: (.*)\Z", headgate(command, "--help"), re.M | re.S)
        assert said, f"headgate {command} --help has no Exit line"
        codes = re.findall(r"(?:^|, )(\d+) ", said[1].replace("\n", " "))
        assert codes[0] == "0" and "2" in codes and codes == sorted(codes, key=int), f"headgate {command}: {codes}"
        page = re.search(r"^\.SH EXIT STATUS\n(.*?)^\.SH", plain(PAGES / f"headgate-{command}.1"), re.M | re.S)[1]
        equal(re.findall(r"^\.B (\d+)$", page, re.M), codes, f"exit codes of headgate-{command}.1")


def test_one_table_has_the_exit_codes_of_a_run():
    codes = re.findall(r"^\| (\d+) \|", (SOURCE / "README.md").read_text(), re.M)
    page = re.search(r"^\.SH EXIT STATUS\n(.*?)^\.SH", plain(PAGES / "headgate-run.1"), re.M | re.S)[1]
    equal(list(dict.fromkeys(codes)), re.findall(r"^\.B (\d+)$", page, re.M), "exit codes")
    for text in page, re.search(r"^\.SH EXIT STATUS\n(.*?)^\.SH", plain(PAGES / "headgate.1"), re.M | re.S)[1]:
        assert re.search(r"^\.B 2\n.*had to stop.* summary says what was done", text, re.M), text  # not: nothing was done


def test_who_looks_for_a_runtime_says_where():
    for command in commands():
        environment = "XDG_RUNTIME_DIR" in plain(PAGES / f"headgate-{command}.1")
        equal(environment, "--config FILE" in headgate(command, "--help"), f"headgate-{command}.1 has XDG_RUNTIME_DIR")


def test_examples_are_commands_of_the_program():
    for command in commands():
        help_ = headgate(command, "--help")
        examples = re.search(r"^\.SH EXAMPLES\n(.*?)^\.SH", plain(PAGES / f"headgate-{command}.1"), re.M | re.S)[1]
        lines = re.findall(r"^headgate (\w+)(.*)$", examples, re.M)
        assert lines, f"headgate-{command}.1 has no example"
        for name, rest in lines:
            equal(name, command, "the command of an example")
            for flag in re.findall(r"(?<= )--?[a-z][a-z-]*", rest):
                assert flag in help_, f"headgate {command} has no {flag}"


def test_man_formats_them_without_a_warning():
    if not shutil.which("man") or not shutil.which("groff"):
        raise Skipped("there is no man or no groff")
    for page in sorted(PAGES.glob("*.1")):
        done = subprocess.run(["man", "--warnings", "-l", page], capture_output=True, text=True, timeout=60,
                              env={**os.environ, "LC_ALL": "C.UTF-8", "MANWIDTH": "100", "MANPAGER": "cat"})
        equal((done.returncode, done.stderr), (0, ""), page.name)
        assert "NAME" in done.stdout, page.name


def test_mandoc_finds_nothing():
    if not shutil.which("mandoc"):
        raise Skipped("there is no mandoc")
    done = subprocess.run(["mandoc", "-Tlint", "-Wwarning", *sorted(PAGES.glob("*.1"))], capture_output=True, text=True, timeout=60)
    # No date stands in a page: it would be stale, or the same page would be another one tomorrow.
    equal([line for line in done.stdout.splitlines() if "missing date" not in line], [], "mandoc -Tlint")


if __name__ == "__main__":
    sys.exit(main(globals()))
