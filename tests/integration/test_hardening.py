"""What was built is hardened, as cmake/Hardening.cmake says: usage: test_hardening.py BUILD [NAME ...]"""
import re
import sys

from cli_harness import Skipped, equal, main
from install_harness import BUILD, cached, dynamic, run

OPTIMISED = ("Release", "RelWithDebInfo", "MinSizeRel")
FILES = [BUILD / "headgate", BUILD / "libheadgate.so"]


def segments(file):
    return dict(re.findall(r"^ +(GNU_\w+) .* ([RWE ]{3}) 0x\w+$", run("readelf", "-lW", file), re.MULTILINE))


def imports(file):
    return set(re.findall(r" UND (\w+)@?", run("readelf", "--dyn-syms", "-W", file)))


def test_the_program_has_no_fixed_address():
    header = run("readelf", "-hW", BUILD / "headgate")
    assert re.search(r"Type: +DYN \(Position-Independent Executable file\)", header), header


def test_relocations_are_read_only_and_bound_at_the_start():
    for file in FILES:
        assert "GNU_RELRO" in segments(file), file
        assert "BIND_NOW" in dict(dynamic(file)).get("FLAGS", ""), file


def test_no_stack_is_executable():
    for file in FILES:
        equal(segments(file)["GNU_STACK"], "RW ", file)


def test_stacks_are_protected():
    for file in FILES:
        assert "__stack_chk_fail" in imports(file), file


def test_calls_are_checked_against_the_size_of_what_they_fill():
    if cached("CMAKE_BUILD_TYPE") not in OPTIMISED:
        raise Skipped(f"_FORTIFY_SOURCE needs an optimised build, this is {cached('CMAKE_BUILD_TYPE')}")
    for file in FILES:
        assert "__snprintf_chk" in imports(file), file
    # 3, and not 2, knows the size of what was allocated by a call
    flags = (BUILD / "build.ninja").read_text()
    assert "-D_FORTIFY_SOURCE=3" in flags and "-D_FORTIFY_SOURCE=2" not in flags


if __name__ == "__main__":
    sys.exit(main(dict(globals())))
