"""The figures of docs/agent-memory/phase_14_decisions.md are those that bench/throttle_study.py prints and plots, and
they say what the text takes from them.

  test_throttle_study.py BUILD [TEST ...]
"""
import functools
import importlib.util
import pathlib
import re
import subprocess
import sys
import tempfile

from cli_harness import SOURCE, equal, main

PROGRAM = SOURCE / "bench" / "throttle_study.py"
DOCUMENT = SOURCE / "docs" / "agent-memory" / "phase_14_decisions.md"


@functools.cache
def printed():
    """What it prints and draws."""
    with tempfile.TemporaryDirectory(prefix="hg-") as folder:
        plot = pathlib.Path(folder) / "plot.svg"
        done = subprocess.run([sys.executable, PROGRAM, "--svg", plot], capture_output=True, text=True, timeout=120, check=True)
        return done.stdout, plot.read_text()


@functools.cache
def study():
    spec = importlib.util.spec_from_file_location("throttle_study", PROGRAM)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_the_document_has_its_figures():
    out, plot = printed()
    rows = re.findall(r"^\| \d+ % \|.*$", DOCUMENT.read_text(), re.M)
    equal(len(rows), 2 * len(study().SHARES), "rows")
    for row in rows:
        assert row in out, f"bench/throttle_study.py prints no {row}"
    equal(DOCUMENT.with_name("throttle.svg").read_text() == plot, True,
          "the plot is fresh (bench/throttle_study.py --svg docs/agent-memory/throttle.svg)")


def test_a_lower_threshold_saves_overrun_and_never_more_than_its_room():
    module = study()
    for at_once in module.AT_ONCE:
        for share in (2, 8):
            found = module.study(at_once, share, 1.0, 40, 7)
            overruns = [round(found[threshold][0], 6) for threshold in module.THRESHOLDS]
            equal(overruns, sorted(overruns), f"{at_once} at once, {share} % in flight")
            for threshold in module.THRESHOLDS:
                assert overruns[-1] - found[threshold][0] <= 100 - threshold + 1, (threshold, overruns)


def test_tasks_of_one_size_are_as_arithmetic_says():
    module = study()

    class Alike:
        def __getitem__(self, index):
            return 1.0

    for threshold, longer in ((80, 1.6), (90, 1.3), (95, 1.15), (100, 1)):
        time, used = module.run(Alike(), 4000, 4, threshold)
        equal(used, 4003 if threshold == 100 else 4000, "used: without a throttle three run beside the last")
        assert abs(time - 1000 * longer) <= 2, (threshold, time)


if __name__ == "__main__":
    sys.exit(main(globals()))
