"""The tables of the documents against the program: every field of the configuration, its range, its default and what is said
when it is wrong; every error.

  test_docs_tables.py BUILD [TEST ...]
"""
import decimal
import json
import pathlib
import re
import subprocess
import sys
import tempfile

from cli_harness import BUILD, HEADGATE, SOURCE, equal, headgate, main

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


# ------------------------------------------------------------------------------------------------ ranges and defaults

TOKENS_MOST = 2**53 - 1
LIMIT, PRICE = {"hardLimitTokens": 1000}, {"model": "m", "input": 7, "output": 9}
# Heading of a table -> where its fields are, and what has to be there with them.
PLACES = {**{name: ((name,), {}) for name in SECTIONS},
          "tokenBudget.budgets": (("tokenBudget", "budgets", "a"), {"tokenBudget": {"budgets": {"a": {**LIMIT}}}}),
          "serve.metrics": (("serve", "metrics"), {"serve": {"metrics": {"listen": "127.0.0.1:1"}}}),
          "Prices": (("llm", "prices", 0), {"llm": {"prices": [{**PRICE}]}})}
# A value of so many: bytes, elements, a port.
AS_MANY = {"tokenBudget.budgets": lambda n: {f"b{i}": LIMIT for i in range(n)}, "ledger.path": lambda n: "/" * (n > 0) + "a" * (n - 1),
           "eventBus.bind": lambda n: [f"ipc://{i}" for i in range(n)], "serve.metrics.listen": lambda n: f"[::1]:{n}",
           "llm.baseUrl": lambda n: "http://" + "a" * (n - len("http://")), "llm.apiKeyEnv": lambda n: "A" * n, "llm.outputCapField": lambda n: "a" * n,
           "llm.headers": lambda n: {f"X-{i}": "a" for i in range(n)}, "llm.prices": lambda n: [{**PRICE, "model": f"m{i}"} for i in range(n)],
           "Prices.model": lambda n: "m" * n}
NO_RANGE = {"serve.bind", "eventBus.curve", "serve.curve", "serve.metrics", "tokenBudget.budgets.parent"}  # it is that of another table, or of names
DOLLARS = {"tokenBudget.hardLimitUsd", "tokenBudget.budgets.hardLimitUsd"}
# Defaults that are a provider's, which a run chooses: what of a family in providers/endpoint.c names the variable.
LATER = {"llm.baseUrl": 0, "llm.apiKeyEnv": 1}


def taken(settings, limit=LIMIT):
    """What the parser makes of a configuration, its own defaults filled in; None: it is refused."""
    with tempfile.TemporaryDirectory(prefix="hg-") as folder:
        path = pathlib.Path(folder) / "c.json"
        path.write_text(settings if isinstance(settings, str) else json.dumps({**settings, "tokenBudget": {**limit, **settings.get("tokenBudget", {})}}))
        done = subprocess.run([BUILD / "tests" / "config_for_tests", path], capture_output=True, text=True, timeout=30)
    assert done.returncode == 0 or done.returncode == 2 and "ConfigurationError: " in done.stderr, done
    return json.loads(done.stdout.replace(f"{folder}/", "")) if done.returncode == 0 else None


def at(found, place):
    for step in place:
        found = found[step] if isinstance(step, int) else found.get(step)
    return found


def fields_of_tables():
    """Table, field, its cells; `the same` is what the row above says."""
    for heading in PLACES:
        before = None
        for field, cells in rows(section(CONFIGURATION, heading if heading == "Prices" else f"`{heading}`")).items():
            before = [above if cell.startswith("the same") else cell for cell, above in zip(cells, before or cells)]
            yield heading, field, before


def tried(heading, field, value):
    """The parser's value of a field that is set to this one; None: it is refused."""
    place, needed = PLACES[heading]
    settings = json.loads(json.dumps(needed))
    holder = settings
    for step in place:
        holder = holder[step] if isinstance(step, int) else holder.setdefault(step, {})
    holder[field] = value
    found = taken(settings)
    return None if found is None else at(found, (*place, field))


def number(text):
    return TOKENS_MOST if text == "2^53 − 1" else int(text.replace(",", ""))


def check_integer(heading, field, cell):
    name, found = f"{heading}.{field}", re.fullmatch(r"([\d,]+) to ([\d,]+|2\^53 − 1|`(\w+)`)", cell)
    assert found, f"{name}: {cell!r} is no range"
    low, high = number(found[1]), at(taken({}), (*PLACES[heading][0], found[3])) if found[3] else number(found[2])
    for value in (low, high):
        equal(tried(heading, field, value), value, f"{name}, documented as {cell}, set to {value}:")
    for value in (low - 1, high + 1):
        equal(tried(heading, field, value), None, f"{name}, documented as {cell}, set to {value}:")


def check_choice(heading, field, cell):
    name, choices = f"{heading}.{field}", re.findall(r"`([^`]+)`", cell)
    for value in choices:
        equal(tried(heading, field, value), value, name)
    known = re.findall(r'"([^"]+)"', re.search(r" must be (.*); found", said_of(heading, {field: "zz"}))[1])
    equal(choices, known, f"choices of {name}")


def check_size(heading, field, cells):
    """`up to 16`, `1 to 128 bytes`: the least and the most; of what must be there, none is too few."""
    name = f"{heading}.{field}"
    figures = re.findall(r"(?:up to|to|from) ([\d,]+)", " ".join(cells[:2]))
    assert figures and name in AS_MANY, f"{name}: nothing tries {cells[:2]}"
    most = number(figures[-1])
    assert tried(heading, field, AS_MANY[name](most)) is not None, f"{name} does not take {most}"
    equal(tried(heading, field, AS_MANY[name](most + 1)), None, f"{name} with {most + 1}")
    if cells[0].startswith("text"):
        equal(tried(heading, field, AS_MANY[name](0)), None, f"{name} with none")


def check_dollars(heading, field):
    low, high = map(decimal.Decimal, rows(section(CONFIGURATION, "`tokenBudget`"))["hardLimitUsd"][1].split(" to "))
    least = decimal.Decimal("1e-9")
    for dollars, good in ((low, True), (high, True), (low - least, False), (high + least, False), (low + least / 10, False)):
        written = f"{dollars:f}"
        root = written if heading == "tokenBudget" else "1"
        found = taken({"tokenBudget": {"hardLimitUsd": root, "budgets": {"a": {"hardLimitUsd": written}}}}, limit={})
        equal(found and at(found, (*PLACES[heading][0], field)), int(dollars / least) if good else None, f"{heading}.{field}, {written} dollars:")


def check_range(heading, field, cells):
    name, (kind, extent) = f"{heading}.{field}", cells[:2]
    if name in DOLLARS:
        check_dollars(heading, field)
    elif kind.startswith("integer"):
        check_integer(heading, field, extent)
    elif kind == "boolean":
        equal([tried(heading, field, value) is not None for value in (True, False, 0, "true")], [True, True, False, False], name)
    elif re.fullmatch(r"(`[^`]+`(, )?)+", extent):
        check_choice(heading, field, extent)
    elif name not in NO_RANGE:
        check_size(heading, field, cells)


def test_every_range_is_that_of_the_parser():
    for heading, field, cells in fields_of_tables():
        check_range(heading, field, cells)


def held(bound, settings_of, about, unit=1):
    """A bound that stands in a sentence: as much is taken, and one more is not."""
    found = re.search(bound, " ".join(CONFIGURATION.split()))
    assert found, f"no sentence says {bound}"
    most = number(found[1]) * unit
    equal([taken(settings_of(size)) is not None for size in (most, most + 1)], [True, False], f"{about} of {most}, and of one more:")


def test_bounds_that_stand_in_sentences():
    def chain(length):  # `default` is one of them
        return {"tokenBudget": {"budgets": {f"b{i}": {**LIMIT, "parent": f"b{i - 1}" if i > 1 else "default"} for i in range(1, length)}}}

    def bind(where, endpoint):
        return lambda size: {where: {"bind": [endpoint(size)]}}
    held(r"at most (\d+) budgets, both ends included", chain, "a path")
    held(r"1 to (\d+) of `A-Z a-z 0-9 \. _ -`", lambda size: {"tokenBudget": {"budgets": {"n" * size: LIMIT}}}, "a budget's name")
    for where in ("eventBus", "serve"):
        held(r"at most (\d+) bytes, which is what the kernel takes", bind(where, lambda size: f"ipc:///{'a' * (size - 1)}"), "a socket's path")
        held(r"bound as 127\.0\.0\.1\), with a port from 1 to (\d+)", bind(where, lambda port: f"tcp://127.0.0.1:{port}"), "a port")
        held(r"`bind` \| list of endpoints \| up to (\d+)", lambda size: {where: {"bind": AS_MANY["eventBus.bind"](size)}}, "a list of endpoints")
    held(r"`headers`: names of up to (\d+)", lambda size: {"llm": {"headers": {"H" * size: "v"}}}, "a header's name")
    held(r"`headers`: names of up to \d+ bytes, values of up to (\d+)", lambda size: {"llm": {"headers": {"H": "v" * size}}}, "a header's value")
    held(r"A file may have (\d+) MiB", json.dumps({"tokenBudget": LIMIT}).ljust, "a file", 1024 * 1024)
    low, high = rows(section(CONFIGURATION, "`tokenBudget`"))["hardLimitUsd"][1].split(" to ")
    assert f"from {low} to {high}" in " ".join(CONFIGURATION.split()), "the sentence on hardLimitUsd says another range than the table"


# ---------------------------------------------------------------------------------------------------- defaults

def documented_default(cell, beside):
    """`false`, `[]`, `charge`, 90, and `input`, the name of a field beside it; None: the cell names no value."""
    found = re.match(r"(\d+ × )?`([^`]+)`|(\d+)\b", cell)
    if not found:
        return None
    if found[2] in beside:
        return beside[found[2]] * int((found[1] or "1").split()[0])
    return int(found[3]) if found[3] else json.loads(found[2]) if found[2] in ("true", "false", "[]") else found[2]


def check_default(heading, field, cells):
    name, (place, needed) = f"{heading}.{field}", PLACES[heading]
    beside, default = at(taken(needed), place), cells[2]
    given = at(needed, place) if len(place) > 1 else LIMIT
    if name in LATER:
        families = re.findall(r'^static const struct family \w+ = \{"(\w+)", "(\w+)"', (SOURCE / "providers" / "endpoint.c").read_text(), re.M)
        equal(re.findall(r"`([^`]+)`", default), [family[LATER[name]] for family in families], f"{name} is told by")
    said = None if name in LATER else documented_default(default, beside)
    assert said is not None or name in LATER or default.startswith(("none", "as the provider")), f"{name}: {default!r} is no default"
    if field in given:
        equal(said, None, f"default of {name}, which is required:")
        return
    empty = said is None and beside.get(field) in ([], {})
    equal(None if empty else beside.get(field), said, f"default of {name}, documented as {default!r}:")


def test_every_default_is_that_of_the_parser():
    for heading, field, cells in fields_of_tables():
        check_default(heading, field, cells)


def test_defaults_that_depend_on_others():
    most = int(re.search(r"; at most (\d+) under `committed`", rows(section(CONFIGURATION, "`tokenBudget`"))["restoreBelowPercent"][2])[1])
    for settings, expected in (({"throttlePercent": 50}, 50), ({"throttleBasis": "committed"}, most), ({"throttleBasis": "committed", "throttlePercent": most - 1}, most - 1)):
        equal(taken({"tokenBudget": settings})["tokenBudget"]["restoreBelowPercent"], expected, f"restoreBelowPercent beside {settings}:")


# What a figure in a table may not be changed to: field, column, what stands there.
PLANTED = (("llm", "timeoutSeconds", 2, "30"), ("scheduler", "maxConcurrency", 2, "16"), ("llm", "retryUnknownOutcome", 1, "0 to 50"),
           ("llm", "retryUnknownOutcome", 1, "0 to 1000"), ("llm", "retryUnknownOutcome", 2, "7"), ("tokenBudget", "throttlePercent", 1, "0 to 100"),
           ("tokenBudget", "throttleBasis", 2, "`committed`"), ("tokenBudget", "throttleBasis", 1, "`used`"), ("ledger", "sharedReaders", 2, "`true`"),
           ("llm", "apiKeyEnv", 2, "`OPENAI_KEY`, `ANTHROPIC_API_KEY`"), ("llm", "baseUrl", 2, "`OPENAI_BASE_URL` of the environment"),
           ("llm", "counter", 1, "`auto`, `vllm`, `none`"), ("llm", "headers", 1, "up to 31, printable ASCII"), ("llm", "tokensPerMinute", 2, "60000"),
           ("llm", "baseUrl", 1, "http or https, up to 2048 bytes"), ("ledger", "path", 2, "`ledger.db`"), ("Prices", "cached", 2, "0"),
           ("Prices", "input", 1, "1 to 1,000,000,000"), ("Prices", "model", 1, "1 to 64 bytes"), ("tokenBudget.budgets", "parent", 2, "`root`"))


def test_a_wrong_figure_is_seen():
    for heading, field, column, figure in PLANTED:
        cells = list(next(cells for table, name, cells in fields_of_tables() if (table, name) == (heading, field)))
        assert cells[column] != figure, (heading, field)
        cells[column] = figure
        try:
            (check_default if column == 2 else check_range)(heading, field, cells)
        except AssertionError as problem:
            assert f"{heading}.{field}" in str(problem), problem
            continue
        raise AssertionError(f"{heading}.{field} may be documented as {figure!r}")


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
