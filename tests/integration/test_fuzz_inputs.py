"""The fuzz targets with what they begin with: seeds of tests/fuzz/seeds.py, and what tests/fuzz/corpus keeps. No libFuzzer is
needed for it, and none of these inputs may be found again.

  test_fuzz_inputs.py BUILD [TEST ...]
"""
import pathlib
import subprocess
import sys
import tempfile

from cli_harness import BUILD, SOURCE, equal, main

FUZZ = SOURCE / "tests" / "fuzz"
TARGETS = sorted(file.stem.removeprefix("fuzz_") for file in FUZZ.glob("fuzz_*.c"))


def replay(target, files):
    done = subprocess.run([BUILD / "tests" / "fuzz" / f"fuzz_{target}", *files], capture_output=True, text=True, errors="replace",
                          timeout=300)
    assert done.returncode == 0, f"{target}: exit {done.returncode}: {done.stderr[-500:]}"
    equal(done.stdout, f"{len(files)} inputs\n", target)


def test_what_was_found_stays_mended():
    kept = {folder.name: sorted(folder.iterdir()) for folder in (FUZZ / "corpus").iterdir()}
    assert kept and kept.keys() <= set(TARGETS), f"tests/fuzz/corpus has {sorted(kept)}; targets are {TARGETS}"
    for target, files in kept.items():
        assert files, f"tests/fuzz/corpus/{target} keeps nothing"
        replay(target, files)


def test_every_target_takes_its_seeds():
    with tempfile.TemporaryDirectory(prefix="hg-") as folder:
        subprocess.run([sys.executable, FUZZ / "seeds.py", folder], check=True, timeout=60)
        for target in TARGETS:
            replay(target, sorted((pathlib.Path(folder) / "seeds" / target).iterdir()))


if __name__ == "__main__":
    sys.exit(main(globals()))
