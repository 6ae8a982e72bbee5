"""The installed library, as a program outside the tree finds it: usage: test_install.py BUILD [NAME ...]"""
import json
import os
import re
import shutil
import signal
import sqlite3
import subprocess
import sys

from cli_harness import SOURCE, Skipped, equal, main
from install_harness import BUILD, FOLDER, blocks, dynamic, lines_of, needed, prefix, run

EXAMPLES = ("embed", "event_loop")
DOCUMENTS = ("README.md", "docs/embedding.md")
TOPICS = ("TOKENS_SETTLED", "CONCURRENCY_THROTTLED", "USAGE_RECORDED")
# What the header may be compiled with. CMake's own choice of a C compiler may be another one.
STRICT = ("-Wall", "-Wextra", "-pedantic", "-Wconversion", "-Werror")
STRICT_CPP = (*STRICT, "-Wold-style-cast", "-Wsign-conversion")


def place(name, *files):
    """A folder of its own with copies of files of the source tree."""
    folder = FOLDER / name
    folder.mkdir()
    for file in files:
        shutil.copy(SOURCE / file, folder)
    return folder


def environment():
    return {"PKG_CONFIG_PATH": str(prefix() / "lib" / "pkgconfig"), "LD_LIBRARY_PATH": str(prefix() / "lib"),
            "CMAKE_PREFIX_PATH": str(prefix())}


def libraries_of(program):
    return re.findall(r"^\s*(\S+)", run("ldd", program, **environment()), re.MULTILINE)


def ledger_of(folder, name):
    """The topics and rows of a ledger, which its audit agrees with, and what was used."""
    ledger = folder / f"{name}.db"
    run(prefix() / "bin" / "headgate", "audit", "--ledger", ledger)
    database = sqlite3.connect(ledger)
    try:
        used, = database.execute("SELECT total_used FROM token_budget WHERE name = 'default'").fetchone()
        return database.execute("SELECT event, seq FROM journal ORDER BY seq").fetchall(), used
    finally:
        database.close()


def check_embed(folder):
    """Of 12 calls of 900 tokens 11 fit into 10,000, beside 4 records of 10; at 90 % the throttle closes."""
    done = subprocess.run(["./embed"], cwd=folder, capture_output=True, text=True, timeout=60,
                          env={**os.environ, **environment()})
    equal(done.returncode, 0, done.stderr)
    refused = done.stderr.splitlines()
    assert len(refused) == 1 and "was not started: the request can never fit" in refused[0], refused
    told = [json.loads(line) for line in done.stdout.splitlines()]
    rows, used = ledger_of(folder, "embed")
    equal(used, 11 * 900 + 4 * 10, "used")
    equal([(event["type"], event["seq"]) for event in told], [row for row in rows if row[0] in TOPICS], "events")
    equal([sum(row[0] == topic for row in rows) for topic in TOPICS], [11, 1, 4], TOPICS)


def check_event_loop(folder):
    lines = run("./event_loop", cwd=folder, **environment()).splitlines()
    equal(sorted(lines), [f"call {i} began" for i in range(1, 9)])
    equal(ledger_of(folder, "event_loop")[1], 8 * 80, "used")


CHECKS = {"embed": check_embed, "event_loop": check_event_loop}


def test_what_is_installed():
    files = {str(path.relative_to(prefix())) for path in prefix().rglob("*") if not path.is_dir()}
    wanted = {"bin/headgate", "include/headgate.h", "lib/libheadgate.a", "lib/libheadgate.so", "lib/libheadgate.so.0",
              "lib/pkgconfig/headgate.pc", "lib/cmake/Headgate/HeadgateConfig.cmake",
              "lib/cmake/Headgate/HeadgateConfigVersion.cmake", "lib/systemd/system/headgate.service",
              "lib/sysusers.d/headgate.conf", "share/bash-completion/completions/headgate",
              "share/zsh/site-functions/_headgate"}
    wanted |= {f"share/man/man1/{page.name}" for page in (SOURCE / "docs" / "man").glob("*.1")}
    assert wanted <= files, wanted - files
    inside = {file for file in files if file.startswith(("include/", "bin/"))}
    equal(inside, {"bin/headgate", "include/headgate.h"}, "the public part")
    equal(os.readlink(prefix() / "lib" / "libheadgate.so"), "libheadgate.so.0")
    unit = (prefix() / "lib" / "systemd" / "system" / "headgate.service").read_text()
    assert f"ExecStart={prefix()}/bin/headgate serve" in unit and "@" not in unit, unit
    version = run(prefix() / "bin" / "headgate", "--version").split()[1]
    equal(run("pkg-config", "--modversion", "headgate", **environment()).strip(), version)


def test_the_shared_library():
    library = prefix() / "lib" / "libheadgate.so.0"
    tags = dynamic(library)
    assert ("SONAME", "Library soname: [libheadgate.so.0]") in tags, tags
    flags = dict(tags)["FLAGS_1"].split()
    assert "NODELETE" in flags and "NOW" in flags, flags
    assert "RUNPATH" not in dict(tags) and "RPATH" not in dict(tags), tags
    allowed = {"libzmq.so.5", "libsqlite3.so.0", "libmsgpackc.so.2", "libmsgpack-c.so.2", "libjansson.so.4",
               "libm.so.6", "libc.so.6"}
    assert needed(library) <= allowed, needed(library) - allowed
    symbols = run("nm", "-DP", "--defined-only", "--with-symbol-versions", library).splitlines()
    for symbol in symbols:
        assert re.match(r"(hg_\w+@@HEADGATE_0 T|HEADGATE_0(@@HEADGATE_0)? A) ", symbol), symbol


def test_the_static_library_has_no_names_but_its_own():
    symbols = run("nm", "-P", prefix() / "lib" / "libheadgate.a").splitlines()
    kinds = [symbol.split()[:2] for symbol in symbols if len(symbol.split()) > 1]
    foreign = [name for name, kind in kinds if kind in "TDBRVWC" and not name.startswith("hg_")]
    equal(foreign, [], "names that may meet the program's")
    calls = [name for name, kind in kinds if kind == "U" and name.startswith(("curl_", "MHD_"))]
    equal(calls, [], "calls into libraries that are the program's")


def test_the_symbols_are_the_released_ones():
    check = SOURCE / "scripts" / "check-abi"
    run(check, prefix() / "lib" / "libheadgate.so.0")
    names = re.findall(r"^(hg_\w+)@", (SOURCE / "packaging/abi/libheadgate.so.0.symbols").read_text(), re.MULTILINE)
    folder = place("abi", "packaging/abi/libheadgate.map")

    def built(name, functions):
        source = folder / f"{name}.c"
        source.write_text("".join(f"void {function}(void);\nvoid {function}(void) {{}}\n" for function in functions))
        library = folder / f"lib{name}.so"
        run("gcc", "-shared", "-fPIC", source, "-o", library, f"-Wl,--version-script={folder}/libheadgate.map")
        return library

    run(check, built("same", names))
    assert "miss: hg_open@HEADGATE_0\n" in run(check, built("less", [n for n in names if n != "hg_open"]), code=1)
    assert "symbols: hg_sudden@HEADGATE_0\n" in run(check, built("more", [*names, "hg_sudden"]), code=1)


def test_programs_by_pkg_config():
    # the lines that the document shows, and the same for the other example
    lines = lines_of("docs/embedding.md", "cc ")
    equal(len(lines), 2, lines)
    for line, kind in zip(lines, ("shared", "static")):
        for example in EXAMPLES:
            folder = place(f"pkg-config-{kind}-{example}", f"examples/{example}.c")
            command = line.replace("embed", example)
            run("sh", "-c", command.replace("cc ", f"gcc {' '.join(STRICT)} ", 1), cwd=folder, **environment())
            linked = libraries_of(folder / example)
            equal("libheadgate.so.0" in linked, kind == "shared", linked)
            equal([name for name in needed(folder / example) if "curl" in name or "microhttpd" in name], [])
            CHECKS[example](folder)


def test_programs_by_cmake():
    projects = blocks("docs/embedding.md", "cmake")
    equal(len(projects), 2, projects)
    for project, kind in zip(projects, ("shared", "static")):
        folder = place(f"cmake-{kind}", "examples/embed.c")
        (folder / "CMakeLists.txt").write_text(project)
        run("cmake", "-S", folder, "-B", folder / "build", "-G", "Ninja", **environment())
        run("cmake", "--build", folder / "build")
        equal("libheadgate.so.0" in libraries_of(folder / "build" / "embed"), kind == "shared")
        check_embed(folder / "build")


def test_a_version_that_is_not_there():
    folder = place("cmake-version")
    (folder / "CMakeLists.txt").write_text("cmake_minimum_required(VERSION 3.22)\nproject(mine LANGUAGES NONE)\n"
                                           "find_package(Headgate 99 REQUIRED)\n")
    said = run("cmake", "-S", folder, "-B", folder / "build", code=1, **environment())
    assert 'compatible with requested version "99"' in " ".join(said.split()), said


def test_as_a_part_of_another_project():
    folder = place("subproject")
    (folder / "CMakeLists.txt").write_text(f"""cmake_minimum_required(VERSION 3.22)
project(mine LANGUAGES C)
add_subdirectory({SOURCE} headgate)
add_library(own STATIC own.c)
target_link_libraries(own PRIVATE Headgate::headgate Headgate::headgate_static)
""")
    (folder / "own.c").write_text("#include <headgate.h>\nint own(void);\nint own(void) { return hg_version()[0]; }\n")
    run("cmake", "-S", folder, "-B", folder / "build", "-G", "Ninja")
    targets = run("ninja", "-C", folder / "build", "-t", "targets", "all")
    for name in ("headgate_cli", "llm-sim", "headgate-bench", "headgate-sim", "test_"):
        assert f"{name}:" not in targets and f"/{name}" not in targets, name
    assert "libheadgate.so" in targets and "libheadgate.a" in targets, targets[:500]
    commands = run("ninja", "-C", folder / "build", "-t", "commands", "own").splitlines()
    compiled = next(line for line in commands if "own.c" in line)
    assert "-Werror" not in compiled and f"-I{SOURCE}/include" in compiled, compiled
    assert f"-I{SOURCE} " not in compiled, f"what is inside is not for others: {compiled}"


def test_c_plus_plus():
    folder = place("c++", "tests/integration/install/from_cpp.cpp")
    flags = run("pkg-config", "--cflags", "--libs", "headgate", **environment()).split()
    compilers = [compiler for compiler in ("g++", "clang++") if shutil.which(compiler)]
    if not compilers:
        raise Skipped("no C++ compiler")
    for compiler in compilers:
        for standard in ("c++11", "c++20"):
            run(compiler, f"-std={standard}", *STRICT_CPP, "from_cpp.cpp", *flags, "-o", "from_cpp", cwd=folder)
            said = run("./from_cpp", cwd=folder, **environment())
            assert "14 sized, ticket 8000000000000007, HG_ERR_CONFIG" in said, said


def test_the_example_of_the_header():
    lines = [line[len(" *"):] for line in (SOURCE / "include" / "headgate.h").read_text().splitlines()
             if line.startswith(" *")]
    example = [line for line in lines[:lines.index(" Conventions, true of every call unless it says otherwise:")]
               if line.startswith("     ")]
    assert "hg_open" in example[1] and "hg_close" in example[-1], example
    folder = place("header")
    (folder / "devs.config.json").write_text('{"tokenBudget": {"hardLimitTokens": 2000}}')
    (folder / "shown.c").write_text("\n".join((
        "#include <headgate.h>", "#include <stdio.h>", "static int call_the_model(void) { return 1200; }",
        "int main(void) {", *example, "  return 0;", "}", "")))
    flags = run("pkg-config", "--cflags", "--libs", "headgate", **environment()).split()
    run("gcc", *STRICT, "shown.c", *flags, "-o", "shown", cwd=folder)
    run("./shown", cwd=folder, **environment())
    equal(ledger_of(folder, "headgate")[1], 1200, "used")


def test_it_stays_loaded():
    folder = place("reload", "tests/integration/install/reload.c")
    flags = run("pkg-config", "--cflags", "headgate", **environment()).split()
    run("gcc", "-D_GNU_SOURCE", "reload.c", *flags, "-lsqlite3", "-ldl", "-o", "reload", cwd=folder)
    equal(run("./reload", prefix() / "lib" / "libheadgate.so.0", cwd=folder), "reloaded\n")


def test_an_interrupted_loop_takes_back_what_waits():
    folder = place("interrupt", "examples/event_loop.c")
    flags = run("pkg-config", "--cflags", "--libs", "headgate", **environment()).split()
    run("gcc", "event_loop.c", *flags, "-o", "event_loop", cwd=folder)
    with subprocess.Popen(["./event_loop"], cwd=folder, stdout=subprocess.PIPE, text=True,
                          env={**os.environ, **environment()}) as process:
        lines = [process.stdout.readline()]
        process.send_signal(signal.SIGINT)
        lines += process.stdout.readlines()
    equal(process.returncode, 0)
    began = sum(line.endswith(" began\n") for line in lines)
    equal(began + sum("was not made: the request was cancelled" in line for line in lines), 8, lines)
    equal(ledger_of(folder, "event_loop")[1], 80 * began, "used")


def test_documents_show_what_is_built():
    sources = {name: (SOURCE / "examples" / f"{name}.c").read_text() for name in EXAMPLES}
    assert sources["embed"] in blocks("README.md", "c"), "README.md shows another examples/embed.c"
    assert len(sources["embed"].splitlines()) < 100
    for document in DOCUMENTS:
        shown = blocks(document, "c")
        assert shown, document
        for block in shown:
            assert any(block in source for source in sources.values()), f"{document}: in no example:\n{block}"


def test_what_the_document_names_is_in_the_header():
    header = (SOURCE / "include" / "headgate.h").read_text()
    for document in DOCUMENTS:
        for name in set(re.findall(r"\b(?:hg|HG)_\w+", (SOURCE / document).read_text())):
            assert re.search(rf"\b{name}", header), f"{document} names {name}"


if __name__ == "__main__":
    sys.exit(main(dict(globals())))
