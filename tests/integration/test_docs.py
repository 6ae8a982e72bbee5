"""Commands and snippets of the README and the documents are run, or say why not (docs_blocks.py); every link leads somewhere.

  test_docs.py BUILD [TEST ...]
"""
import os
import pathlib
import re
import sys
import tempfile

from cli_harness import SOURCE, Skipped, main
from docs_blocks import blocks_of, run_block, world

DOCUMENTS = sorted(SOURCE / name for name in ("README.md", "CONTRIBUTING.md")) + sorted((SOURCE / "docs").rglob("*.md")) + \
    sorted((SOURCE / "clients").glob("*/README.md"))


def run_document(path, name=None):
    """Every block of it; the first that fails is raised, one that must be skipped is said."""
    blocks, skipped, failed = blocks_of(path, name or path.relative_to(SOURCE)), [], []
    with world() as here:
        for block in blocks:
            try:
                run_block(block, here)
            except Skipped as reason:
                skipped.append(f"{block}: {reason}")
            except Exception as problem:
                failed.append(str(problem))
    assert not failed, "\n".join(failed)
    if skipped:
        raise Skipped("; ".join(skipped))


def document_test(path):
    return lambda: run_document(path)


for document in DOCUMENTS:
    globals()["test_" + re.sub(r"\W", "_", str(document.relative_to(SOURCE).with_suffix("")))] = document_test(document)


# ------------------------------------------------------------------------------------------------------------ links

def slugs(text):
    for line in re.sub(r"^```.*?^```", "", text, flags=re.M | re.S).splitlines():
        if line.startswith("#"):
            yield re.sub(r"[^\w\- ]", "", line.lstrip("#").strip().lower()).replace(" ", "-")


def dead_links(path):
    text = re.sub(r"^```.*?^```", "", path.read_text(), flags=re.M | re.S)
    for target in re.findall(r"\]\(([^)\s]+)\)", text):
        file, _, section = target.partition("#")
        if re.match(r"\w+:", file):
            continue
        to = (path.parent / file).resolve() if file else path
        if not to.exists():
            yield f"{path.relative_to(SOURCE)}: there is no {target}"
        elif section and to.suffix == ".md" and section not in slugs(to.read_text()):
            yield f"{path.relative_to(SOURCE)}: {to.name} has no section #{section}"


def test_every_link_leads_somewhere():
    dead = [link for path in DOCUMENTS for link in dead_links(path)]
    assert not dead, "\n".join(dead)


# ------------------------------------------------------------------------------------------------------------ bounds

# Where a document says a number of schemas/limits.h.
BOUNDS = {
    "protocol.md": {"of at most (N) bytes each: in its life (N) that nobody else": ("HG_TOPIC_MAX", "HG_SUBSCRIBER_FRAMES_MAX"),
                    r"slow \(more than (N) wait for it\)": ("HG_SUBSCRIBER_HWM",),
                    "a publisher drops none until (N) wait for its reader": ("HG_SUBSCRIBER_HWM",),
                    r"`ACQUIRE_PERMIT`, while they wait \| [\d,]+ \| (N) ": ("HG_OUTSIDE_ACQUIRES_MAX",),
                    r"`RENEW_PERMIT` \| [\d,]+ \| (N) ": ("HG_OUTSIDE_ENDS_MAX",),
                    r"all others \| [\d,]+ \| (N) ": ("HG_OUTSIDE_SHORT_MAX",)},
    "operations.md": {"of (N) bytes at most; in its life (N) that nobody else": ("HG_TOPIC_MAX", "HG_SUBSCRIBER_FRAMES_MAX"),
                      r"for one who does not read \| (N) ": ("HG_SUBSCRIBER_HWM",),
                      "stuck: the (N) events that wait": ("HG_SUBSCRIBER_HWM",),
                      "that floods: its (N) topics": ("HG_SUBSCRIBER_FRAMES_MAX",)},
}


def test_bounds_are_those_of_the_program():
    limits = dict(re.findall(r"^#define (HG_\w+) (\d+)", (SOURCE / "schemas" / "limits.h").read_text(), re.M))
    for document, sentences in BOUNDS.items():
        text = " ".join((SOURCE / "docs" / document).read_text().split())
        for sentence, names in sentences.items():
            found = re.search(sentence.replace("(N)", r"([\d,]+)"), text)
            assert found, f"{document} no longer says: {sentence}"
            said = [number.replace(",", "") for number in found.groups()]
            assert said == [limits[name] for name in names], f"{document}: {found[0]}"


# ----------------------------------------------------------------------------------------- that it sees what is wrong

ALERT = "```yaml\n- alert: A\n  expr: {}\n  annotations: {{ summary: '{{{{ $labels.{} }}}}' }}\n```\n"
WRONG = {
    "an unknown language": ("```pascal\nbegin end.\n```\n", "nothing runs pascal"),
    "no language": ("```\nheadgate status\n```\n", "a block without a language"),
    "no reason": ("<!-- not run: -->\n```sh\nfalse\n```\n", "does not say why"),
    "a flag that is gone": ("<!-- not run: long -->\n```sh\nheadgate run --no-such-flag\n```\n", "headgate has no --no-such-flag"),
    "a script that is gone": ("<!-- not run: long -->\n```sh\nscripts/nothing\n```\n", "there is no scripts/nothing"),
    "a command that fails": ("```sh\nheadgate status --no-such-flag\n```\n", "exit 2"),
    "a configuration that is wrong": ("```json\n{\"tokenBudget\": {\"hardLimit\": 5}}\n```\n", "ConfigurationError"),
    "no JSON": ("```json\n{\"custom_id\": }\n```\n", "JSONDecodeError"),
    "SQL of a column that is gone": ("<!-- before: headgate correct default 1 --why x -->\n```sql\nSELECT total FROM token_budget;\n```\n", "no such column: total"),
    "SQL that finds nothing": ("<!-- before: a ledger of dollars -->\n```sql\nSELECT name FROM token_budget WHERE total_used = 0;\n```\n", "finds []"),
    "a metric that is gone": (ALERT.format("min_over_time(headgate_queue[15m]) > 0", "budget"), "headgate_queue: no metric"),
    "a metric that is misspelled": (ALERT.format("headgte_up == 0", "budget"), "headgte_up: no metric"),
    "a label that is gone": (ALERT.format("headgate_tasks_waiting > 0", "budget"), "budget is no label"),
    "a target where nobody listens": ("```yaml\nstatic_configs:\n  - targets: [\"127.0.0.1:9\"]\n```\n", "listens at 127.0.0.1:9"),
    "C that does not compile": ("```c\n#include <headgate.h>\nhg_request want = HG_REQUEST;\n```\n", "HG_REQUEST"),
    "Python that fails": ("<!-- before: headgate serve -->\n```python\nhg = headgate.connect()\nhg.no_such_call()\n```\n", "no_such_call"),
}


def test_what_is_wrong_is_seen():
    with tempfile.TemporaryDirectory(prefix="hg-") as folder:
        for about, (text, expected) in WRONG.items():
            path = pathlib.Path(folder) / "wrong.md"
            path.write_text(text)
            try:
                run_document(path, "wrong.md")
            except Skipped as reason:
                print(f"SKIPPED {about}: {reason}")
                continue
            except AssertionError as problem:
                assert expected in str(problem), f"{about}: {problem}"
                continue
            raise AssertionError(f"{about} is not seen")


if __name__ == "__main__":
    os.environ.setdefault("LC_ALL", "C.UTF-8")
    sys.exit(main(globals()))
