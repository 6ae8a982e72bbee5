"""The tables of the documents against the program: every field of the configuration and what is said when it is wrong,
every error, every counter, every flag.

  test_docs_tables.py BUILD [TEST ...]
"""
import json
import pathlib
import re
import subprocess
import sys
import tempfile

from cli_harness import HEADGATE, SOURCE, equal, headgate, main

CONFIGURATION = (SOURCE / "docs" / "configuration.md").read_text()
OPERATIONS = (SOURCE / "docs" / "operations.md").read_text()
WRONG = [-1, 0, 10**9, 2**53, 10**30, 1.5, "", "zz zz", "a/", "x" * 600, True, None, [], ["zz"], {}, {"zz zz": "a"}, {"a": "\u20ac"},
         {"default": {"hardLimitTokens": 1}}, {"zz zz": {"hardLimitTokens": 1}}]
# Where it is said that the words of another row hold, or they need a file that is wrong (test_doors.py).
ELSEWHERE = {"tokenBudget.hardLimitTokens", "tokenBudget.hardLimitUsd", "llm.prices", "eventBus.curve", "serve.curve", "serve.bind", "tokenBudget.budgets"}
UNSUPPORTED = {"eventBus.replay"}  # known, to say that there is none


def section(text, heading):
    """What stands between a heading and the next one of any depth."""
    return re.search(rf"^#+ {re.escape(heading)}\n(.*?)(?=^#|\Z)", text, re.M | re.S)[1]


def rows(text):
    """name -> the cells behind it, of the rows whose first cell is `name`."""
    return {name: [cell.strip() for cell in rest.split("|")] for name, rest in re.findall(r"^\| `([^`]+)` \|(.*)\|$", text, re.M)}


def said_of(section_name, fields):
    """The refusal of a configuration, or \"\"."""
    settings = {"tokenBudget": {"hardLimitTokens": 1000}}
    settings[section_name] = {**settings.get(section_name, {}), **fields}
    with tempfile.TemporaryDirectory(prefix="hg-") as folder:
        path = pathlib.Path(folder) / "c.json"
        path.write_text(json.dumps(settings))
        done = subprocess.run([HEADGATE, "status", "--config", path], capture_output=True, text=True, timeout=30)
    return done.stderr if "ConfigurationError" in done.stderr else ""


SECTIONS = ("tokenBudget", "ledger", "scheduler", "eventBus", "serve", "llm")


def known_to_the_parser(section_name):
    said = said_of(section_name, {"zzzzzzzzzz": 1})
    return set(re.search("known here are (.*)", said)[1].split(", "))


def test_every_field_of_the_configuration_is_documented():
    for name in SECTIONS:
        documented = set(rows(section(CONFIGURATION, f"`{name}`")))
        known = {field for field in known_to_the_parser(name) if f"{name}.{field}" not in UNSUPPORTED}
        equal(documented, known, f"fields of {name}")
    for name in UNSUPPORTED:
        assert f"`{name}` is `not supported" in CONFIGURATION, name
    equal(set(rows(section(CONFIGURATION, "`tokenBudget.budgets`"))), {"hardLimitTokens", "hardLimitUsd", "parent"}, "fields of a budget")
    equal(set(rows(section(CONFIGURATION, "Keys"))), {"serverSecretKeyFile", "allowedClientKeys"}, "fields of curve")
    sections = re.findall(r"^## (.*)$", CONFIGURATION, re.M)
    assert sections[0].startswith("`tokenBudget.hardLimitTokens` (required)"), sections


def test_every_field_has_type_range_default_and_what_is_said():
    for name in SECTIONS:
        for field, cells in rows(section(CONFIGURATION, f"`{name}`")).items():
            equal(len(cells), 4, f"cells of {name}.{field}")
            kind, _, default, wrong = cells
            assert kind and wrong, f"{name}.{field}"
            assert default or kind == "text", f"{name}.{field} has no default"
            if kind.startswith("integer"):
                assert re.search(r"integer, \w+", kind), f"{name}.{field} has no unit"


def test_what_is_said_when_a_field_is_wrong():
    for name in SECTIONS:
        for field, cells in rows(section(CONFIGURATION, f"`{name}`")).items():
            if f"{name}.{field}" in ELSEWHERE:
                continue
            quoted = re.findall(r"`([^`]+)`", cells[3])
            assert quoted, f"{name}.{field} does not say what is said"
            heard = "".join(said_of(name, {field: value}) for value in WRONG)
            for text in quoted:
                pattern = ".*".join(re.escape(part.strip()) for part in text.replace("2^53 − 1", "9007199254740991").split("…"))
                assert re.search(pattern, heard), f"{name}.{field}: {text!r} is never said, but\n{heard}"


def test_a_default_may_be_written_down():
    for name in SECTIONS:
        for field, cells in rows(section(CONFIGURATION, f"`{name}`")).items():
            if re.fullmatch(r"\d+", cells[2]):
                equal(said_of(name, {field: int(cells[2])}), "", f"{name}.{field}")


def test_every_error_has_a_row():
    defined = re.findall(r"^ERROR\((\w+), \d+,", (SOURCE / "schemas" / "errors.def").read_text(), re.M)
    printed = re.findall(r"HG_\w+", headgate("describe", "--errors"))
    documented = rows(section(OPERATIONS, "Errors"))
    equal(list(documented), [f"HG_{name}" for name in defined], "errors of docs/operations.md, in the order of their numbers")
    assert set(documented) <= set(printed)
    for name, cells in documented.items():
        assert len(cells) == 2 and all(cells), name


def test_a_row_that_is_missing_is_seen():
    cut = OPERATIONS.replace("| `HG_ERR_BUSY` |", "| HG_ERR_BUSY |")
    assert "HG_ERR_BUSY" not in rows(section(cut, "Errors")) and "HG_ERR_BUSY" in rows(section(OPERATIONS, "Errors"))


if __name__ == "__main__":
    sys.exit(main(globals()))
