"""scripts/check-req-coverage and scripts/db-check: that they pass here, and that each thing they look for, once it is
gone, makes them fail and is named. And what scripts/coverage holds each folder to.

  test_req_coverage.py BUILD [TEST ...]
"""
import contextlib
import importlib.machinery
import importlib.util
import re
import sqlite3
import subprocess
import sys
import tempfile
import pathlib
import re

from cli_harness import SOURCE, equal, headgate, main, place, runtime, sources

REQUIREMENT = "8_RISKS-REQ-031"
TABLE = "docs/specs/8_risks_mitigation.md"
FOLDERS = ("actors", "runner", "config", "ledger", "schemas", "docs", "tests", "scripts", "include", "cmake", ".ci")
UPDATED_AT = "updated_at       TEXT NOT NULL"


def script(name, *arguments, cwd=None):
    done = subprocess.run([sys.executable, SOURCE / "scripts" / name, *map(str, arguments)], capture_output=True,
                          text=True, timeout=60, cwd=cwd)
    return done.returncode, done.stdout + done.stderr


def copy():
    return sources(FOLDERS, (".clang-tidy", "CONTRIBUTING.md"))


def replaced(path, old, new):
    text = path.read_text()
    assert old in text, (path, old)
    path.write_text(text.replace(old, new))


def refused(expected, *changes, requirement=REQUIREMENT):
    with copy() as root:
        for file, old, new in changes:
            for path in root.glob(file):
                if old in path.read_text():
                    replaced(path, old, new)
        code, said = script("check-req-coverage", "--req", requirement, "--root", root)
    assert code == 1 and f"missing: {expected}" in said and said.endswith("status: not covered\n"), (code, said)


def test_all_is_covered():
    code, said = script("check-req-coverage", "--req", REQUIREMENT)
    assert code == 0 and said.endswith("status: covered\n"), said
    with copy() as root:
        equal(script("check-req-coverage", "--req", REQUIREMENT, "--root", root), (0, said), "of a copy")


def test_a_source_without_its_annotation():
    for file in ("actors/tracker.c", "actors/scheduler.c", "runner/task_runner.c"):  # whatever stands in those beside them
        refused(f"{file} is not annotated with [{REQUIREMENT}]", (file, f"[{REQUIREMENT}]", ""))


def test_a_test_that_is_gone():
    refused("item 1.3: tests/unit/test_tracker.c has no test percent_is_rounded_half_up",
            ("tests/unit/test_tracker.c", "percent_is_rounded_half_up", "other"))
    refused("no test is annotated", ("tests/**/*.c", f"[{REQUIREMENT}]", ""))


def test_a_function_a_file_and_a_section_that_are_gone():
    refused("item 1.3: actors/budgets.c has no hg_usage_percent", ("actors/budgets.c", "hg_usage_percent", "other"))
    refused("item 6.4: scripts/nothing does not exist", (TABLE, "`scripts/db-check`", "`scripts/nothing`"))
    refused("item 5.1: docs/orchestrator.md has no section", ("docs/orchestrator.md", "## Intelligent Token", "## Token"))


def test_what_only_a_comment_names():
    gone = "item 1.3: tests/unit/test_tracker.c has no test percent_is_rounded_half_up"
    test, head = "tests/unit/test_tracker.c", "TEST(tracker, percent_is_rounded_half_up) {"
    for before, after in (("/*\n", "\n*/ TEST(tracker, other) {"), ("#if 0\n", "\n#endif\nTEST(tracker, other) {"),
                          ("#if 0\n#if 1\n#else\n", "\n#endif\n#else\nTEST(tracker, other) {\n#endif"), ("// ", "\nTEST(tracker, other) {"),
                          ("#  if 0 // for now\n", "\n#endif\nTEST(tracker, other) {")):
        refused(gone, (test, head, before + head + after))
    refused("item 1.3: actors/budgets.c has no hg_usage_percent",
            ("actors/budgets.c", "hg_usage_percent", "other"), ("actors/budgets.c", "#include <stdlib.h>", "#include <stdlib.h> // hg_usage_percent"))
    refused("item 2.1f: schemas/ledger.sql has no token_budget", ("schemas/ledger.sql", "token_budget", "other"),
            ("schemas/ledger.sql", "CREATE TABLE meta", "-- token_budget\nCREATE TABLE meta"))
    refused("item 5.2: tests/integration/test_docs_tables.py has no test test_every_field_of",
            ("tests/integration/test_docs_tables.py", "def test_every_field_of_the_configuration", '"""\ndef test_every_field_of_the_configuration_is_documented():\n"""\ndef other'))
    with copy() as root:  # a comment in a text is none, and what is behind #else is there
        for before, after in (('static const char *at = "/* http://";\n', ""), ("#if 0\n#else\n", "\n#endif\n#if 1")):
            replaced(root / test, head, f"{before}{head}{after}")
            if after:
                (root / test).write_text((root / test).read_text() + "#endif\n")
            code, said = script("check-req-coverage", "--req", REQUIREMENT, "--root", root)
            equal(code, 0, said)


def test_a_test_that_is_not_run():
    listed = "tests/CMakeLists.txt"
    refused("item 1.3: tests/unit/test_tracker.c is no test that", (listed, "unit/test_*.c ", "# "))
    refused("item 5.3: tests/integration/test_throttle_study.py is no test that",
            (listed, "req_coverage throttle_study tidy)", "req_coverage tidy)"))
    refused("item 5.3: tests/integration/test_throttle_study.py is no test that",
            (listed, "req_coverage throttle_study tidy)", "req_coverage # throttle_study\n tidy)"))
    refused("item 1.3: tests/unit/tracker_fixture.h is no test that", (TABLE, "`tests/unit/test_tracker.c: percent_is_rounded_half_up`",
                                                                     "`tests/unit/tracker_fixture.h`"))


def test_a_table_that_says_less():
    refused("it is not marked as implemented", (TABLE, "**Implemented**", "**Planned**"))
    refused("item 1.8 is not in the table", (TABLE, "\n| 1.8 |", "\n| x |"))
    refused("item 1.9 is not in the table", (TABLE, "\n| 1.9 |", "\n| x |"), (TABLE, "42 items:", "41 items:"))
    refused("the table says 41 items, the requirement has 42", (TABLE, "42 items:", "41 items:"))
    refused("item 1.7 is there 2 times", (TABLE, "\n| 1.8 |", "\n| 1.7 |"))
    refused("item 7.1 is none of the requirement", (TABLE, "\n| 1.8 |", "\n| 7.1 |"))
    refused("item 1.3 says 'the percent is rounded', the requirement 'the percent is used / limit × 100'",
            (TABLE, "the percent is used / limit × 100", "the percent is rounded"))
    for said in ("none", "–"):
        refused("item 1.4 names no tests", (TABLE, "`actors/budgets.c: hg_should_throttle` | `tests/unit/test_tracker.c: throttles_at_the_rounded_threshold`",
                                            f"`actors/budgets.c: hg_should_throttle` | {said}"))
    refused("item 3.6 names no documents", (TABLE, "`CONTRIBUTING.md: gcc and clang without a warning`", "–"))
    refused("no table in docs/specs", requirement="8_RISKS-REQ-032")
    refused("no items here", (TABLE, "## [8_RISKS-REQ-031]", "## [8_RISKS-REQ-032]"), requirement="8_RISKS-REQ-032")


def test_a_document_that_does_not_say_it():
    refused("item 2.2d: docs/protocol.md is named without a section", (TABLE, "docs/protocol.md#concurrency_throttled", "docs/protocol.md"))
    refused("item 6.4: docs/testing.md has no scripts/db-check --table token_budget", ("docs/testing.md", "--table token_budget", ""))
    refused("item 4.5: CONTRIBUTING.md has no gcc and clang without a warning",
            ("CONTRIBUTING.md", "gcc and clang without a warning", "<!-- gcc and clang without a warning -->"))
    refused("item 2.2d: docs/protocol.md has no section #concurrency_throttled",
            ("docs/protocol.md", "### CONCURRENCY_THROTTLED\n", "```text\n### CONCURRENCY_THROTTLED\n```\n"))


def test_a_file_with_nothing_in_it():
    with copy() as root:
        (root / "actors/tracker_permits.c").write_text("// gone\n")
        (root / "tests/integration/test_throttle_study.py").write_text("\"\"\"def test_all():\"\"\"\n")
        (root / "tests/unit/test_messages.c").write_text("// TEST(messages, all)\n")
        code, said = script("check-req-coverage", "--req", REQUIREMENT, "--root", root)
    equal(code, 1)
    for expected in ("item 1.9: actors/tracker_permits.c has no content", "item 5.3: tests/integration/test_throttle_study.py has no test",
                     "item 3.3: tests/unit/test_messages.c has no test"):
        assert f"missing: {expected}\n" in said, (expected, said)


def loaded(path):
    loader = importlib.machinery.SourceFileLoader(path.name.replace("-", "_"), str(path))
    module = importlib.util.module_from_spec(importlib.util.spec_from_loader(loader.name, loader))
    before, sys.dont_write_bytecode = sys.dont_write_bytecode, True
    loader.exec_module(module)
    sys.dont_write_bytecode = before
    return module


def test_each_folder_is_held_to_its_coverage():
    coverage, tidy = loaded(SOURCE / "scripts" / "coverage"), loaded(SOURCE / "tests" / "tidy")
    equal(sorted(coverage.TOLD), sorted(set(tidy.PRODUCT) - {"include"}), "folders that are told")

    def lines(covered, of):
        return {number: [int(number <= covered), [], "f"] for number in range(1, of + 1)}
    well = {"actors/a.c": lines(1000, 1000), "bus/b.c": lines(80, 90), "bus/c.c": lines(10, 10), "schemas/d.c": lines(9, 10),
            "base/e.c": lines(9, 10)}
    equal(coverage.too_low(well), [])
    equal(coverage.too_low({**well, "bus/b.c": lines(79, 90)}), ["bus"])
    equal(coverage.too_low({**well, "actors/a.c": lines(899, 1000), "schemas/d.c": lines(8, 10)}), ["actors", "schemas"])
    equal(coverage.too_low({name: lines for name, lines in well.items() if name != "schemas/d.c"}), ["schemas"])
    equal(coverage.too_low({**well, "cli/e.c": lines(0, 1000)}), [])
    equal(coverage.untested("a.c", {1: (1, [], "f"), 2: (0, [], "f"), 4: (0, [], "f"), 5: (0, [], "g"), 7: (2, [], "g"), 8: (0, [], "g")}),
          [[2, 4, "f"], [5, 5, "g"], [8, 8, "g"]])
    for file, function in coverage.known():
        assert re.search(rf"\b{function}\(", (SOURCE / file).read_text()), f"{function} of {file} is gone: take it out of scripts/coverage.known"


def test_the_table_of_a_real_ledger():
    with place() as here:
        code, said = script("db-check", "--table", "token_budget", "--config", here.config)
        assert code == 1 and "there is no ledger" in said, (code, said)
        with runtime(here.config):
            code, said = script("db-check", "--table", "token_budget", "--config", here.config)
            assert code == 1 and "a runtime holds it" in said, (code, said)
        code, said = script("db-check", "--table", "token_budget", cwd=here.folder)
        equal(code, 0, said)
        for column in ("total_used       INTEGER NOT NULL", "hard_limit       INTEGER NOT NULL", UPDATED_AT):
            assert f"token_budget.{column}" in said, said
        headgate("audit", "--config", here.config)  # it has changed nothing


def test_readers_beside_a_runtime():
    with place(ledger={"path": "deeper.db", "sharedReaders": True}) as here, runtime(here.config):
        code, said = script("db-check", "--table", "token_budget", "--config", here.config)
        equal(code, 0, said)


def broken(sql, expected, table="token_budget"):
    with place() as here:
        with runtime(here.config):
            pass
        with contextlib.closing(sqlite3.connect(here.ledger)) as db:
            db.executescript(sql)
        code, said = script("db-check", "--table", table, "--config", here.config)
    assert code == 1 and expected in said, (code, said)


def test_tables_that_are_wrong():
    broken("ALTER TABLE token_budget RENAME TO other", "the table is missing")
    broken("ALTER TABLE token_budget RENAME COLUMN updated_at TO other", "column updated_at: missing, should be TEXT NOT NULL")
    broken("ALTER TABLE token_budget ADD COLUMN more INTEGER", "column more: INTEGER, should be absent")
    broken("ALTER TABLE token_budget RENAME TO other;"
           "CREATE TABLE token_budget AS SELECT name, parent, CAST(total_used AS TEXT) AS total_used FROM other",
           "column total_used: TEXT, should be INTEGER NOT NULL DEFAULT 0")
    with tempfile.TemporaryDirectory(prefix="hg-") as folder:
        (pathlib.Path(folder) / "headgate.db").write_text("not a database, whatever its name says")
        (pathlib.Path(folder) / "devs.config.json").write_text("{}")
        code, said = script("db-check", "--table", "token_budget", cwd=folder)
        assert code == 1 and "not a database" in said, (code, said)


def made_with(table, old, new):
    """The table as ledger.sql makes it, but for this."""
    made = re.search(rf"CREATE TABLE {table}\(.*?\n\) STRICT.*?;", (SOURCE / "schemas" / "ledger.sql").read_text(), re.S)[0]
    assert old in made, (table, old)
    return f"ALTER TABLE {table} RENAME TO other; {made.replace(old, new)}"


def test_tables_that_are_made_otherwise():
    broken(made_with("token_budget", ") STRICT", ")"), "updated_at TEXT NOT NULL ), should be CREATE TABLE token_budget (")
    broken(made_with("token_budget", "throttled        INTEGER NOT NULL DEFAULT 0", "throttled INTEGER NOT NULL DEFAULT 1"),
           "column throttled: INTEGER NOT NULL DEFAULT 1, should be INTEGER NOT NULL DEFAULT 0")
    broken(made_with("reservation", "CHECK (tokens >= 0)", ""), "tokens INTEGER NOT NULL , state", "reservation")
    with place() as here:
        with runtime(here.config):
            pass
        with contextlib.closing(sqlite3.connect(here.ledger)) as db:  # as a person restores it: layout and remarks are no difference
            db.executescript(made_with("token_budget", "-- in force", "") + "INSERT INTO token_budget SELECT * FROM other;"
                             "DROP TABLE other; ALTER TABLE token_budget RENAME TO t; ALTER TABLE t RENAME TO token_budget")
        equal(script("db-check", "--table", "token_budget", "--config", here.config)[0], 0)
        for table in re.findall(r"^CREATE TABLE (\w+)", (SOURCE / "schemas" / "ledger.sql").read_text(), re.M):
            equal(script("db-check", "--table", table, "--config", here.config)[0], 0, table)


def files_of(folder):
    """What a look must not change: names, contents, times."""
    return {str(path): (path.stat().st_mtime_ns, path.read_bytes()) for path in folder.rglob("*") if path.is_file()}


def test_looking_changes_nothing():
    with place() as here:
        with runtime(here.config):
            pass
        before = files_of(here.folder)
        code, said = script("db-check", "--table", "token_budget", "--config", here.config)
        equal(code, 0, said)
        equal(sorted(files_of(here.folder)), sorted(before))
        equal(files_of(here.folder), before)
        with runtime(here.config) as served:
            served.kill()
        assert pathlib.Path(f"{here.ledger}-wal").exists()
        before = files_of(here.folder)
        code, said = script("db-check", "--table", "token_budget", "--config", here.config)
        equal(code, 0, said)
        equal(sorted(files_of(here.folder)), sorted(before))
        equal(files_of(here.folder), before)


def test_a_configuration_as_editors_write_it():
    with place() as here:
        with runtime(here.config):
            pass
        here.config.write_text(here.config.read_text(), encoding="utf-8-sig")
        headgate("status", "--config", here.config)
        equal(script("db-check", "--table", "token_budget", "--config", here.config)[0], 0)
        for settings, expected in (('{"ledger": {"path": 5}}', "ledger.path must be the name of a file as text, and is 5"),
                                   ('{"ledger": {"path": null}}', "ledger.path must be the name of a file as text, and is null"),
                                   ('{"ledger": {"path": "a\\u0000b"}}', "ledger.path must be the name of a file as text"),
                                   ('{"ledger": {}, "ledger": {}}', '"ledger" is there twice'),
                                   ('{"ledger": {"path": "a", "path": "a"}}', '"path" is there twice'),
                                   ('{"other": {"a": 1, "a": 1}}', '"a" is there twice'),
                                   ('{"ledger": []}', "ledger must be an object"), ("[]", "the configuration must be an object")):
            here.config.write_text(settings)
            code, said = script("db-check", "--table", "token_budget", "--config", here.config)
            assert code == 2 and expected in said and "Traceback" not in said, (settings, code, said)


def test_what_is_asked_wrongly():
    with place() as here:
        for arguments in (["--table", "no_such_table", "--config", here.config],
                          ["--table", "token_budget", "--config", here.folder / "none.json"], []):
            equal(script("db-check", *arguments)[0], 2, arguments)
    equal(script("check-req-coverage")[0], 2, "without a requirement")


if __name__ == "__main__":
    sys.exit(main(globals()))
