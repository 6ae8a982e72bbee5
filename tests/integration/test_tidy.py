"""tests/tidy passes on the sources, and sees each breach of a rule that is planted into a copy.

  test_tidy.py BUILD [TEST ...]
"""
import subprocess
import sys

from cli_harness import SOURCE, equal, main, sources

FOLDERS = ("actors", "base", "bus", "client", "config", "docs", "include", "ledger", "schemas", "clients", "cli")
TOP = ("README.md", "CHANGELOG.md")


def tidy(root=SOURCE):
    done = subprocess.run([sys.executable, SOURCE / "tests" / "tidy", "--root", root], capture_output=True, text=True, timeout=60)
    return done.returncode, done.stdout.splitlines()


def copy():
    return sources(FOLDERS, TOP)


def added(text):
    return lambda old: old + text


# What is done to a file, and what is said of it.
PLANTED = [
    ("actors/heap.c", added("int hg_x; \n"), "ends in a blank"),
    ("actors/heap.c", added("\tint hg_x;\n"), "has a tab"),
    ("actors/heap.c", added("// " + "x" * 120 + "\n"), "has 123 characters, 120 are allowed"),
    ("docs/operations.md", added("a " * 80 + "b\n"), "has 161 characters, 132 are allowed"),
    ("actors/heap.c", added("// TO" + "DO: later\n"), "is a note that was left over"),
    ("actors/heap.c", added("\n\n"), "does not end in one line end"),
    ("actors/heap.c", lambda old: "#include <stdlib.h>\n" + old, "does not say first what it is for"),
    ("clients/python/headgate/_place.py", lambda old: "import os\n" + old, "does not say first what it is for"),
    ("actors/heap.c", added("// .\n" * 400), "is longer than 400 lines"),
    ("actors/heap.c", added("int hg_x(void) {\n" + "  ;\n" * 70 + "}\n"), "is a function of 71 lines, 60 fit a screen"),
    ("actors/heap.c", added("#include <zmq.h>\n"), "includes <zmq.h>, which only bus/ does"),
    ("base/clock.c", added("#include \"schemas/limits.h\"\n"), "includes schemas/limits.h, and base/ is not to know of it"),
    ("ledger/audit.c", added("#include \"actors/actor.h\"\n"), "includes actors/actor.h, and ledger/ is not to know of it"),
    ("cli/audit.c", added("#include <sqlite3.h>\n"), "includes <sqlite3.h>, which only ledger/ does"),
    ("config/llm.c", added("#include <curl/curl.h>\n"), "includes <curl/curl.h>, which only runner/ does"),
    ("cli/audit.c", added("#include \"zmq.h\"\n"), "includes <zmq.h>, which only bus/ does"),
    ("cli/audit.c", added("#include <microhttpd.h>\n"), "includes <microhttpd.h>, which only bench/llm_sim/ does"),
    ("actors/tracker.c", added("#include <threads.h>\n"), "brings the system into a core"),
    ("actors/tracker.c", added("#include <netinet/in.h>\n"), "brings the system into a core"),
    ("actors/tracker.c", added("# include \"zmq.h\"\n"), "brings the system into a core"),
    ("actors/tracker.c", added("#include <time.h>\n"), "brings the system into a core"),
    ("actors/tracker.c", added("static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;\n"), "shares memory between threads"),
    ("actors/heap.h", added("extern _Atomic int hg_x;\n"), "shares memory between threads"),
    ("actors/tracker.c", added("static int budgets;\n"), "is a variable of the whole process"),
    ("actors/tracker.c", added("static struct hg_heap heaps[2] = {\n    {0}};\n"), "is a variable of the whole process"),
    ("actors/tracker.c", added("int hg_budgets;\n"), "is a variable of the whole process"),
    ("actors/tracker.c", added("struct hg_heap *hg_heaps[2][3] = {{0}};\n"), "is a variable of the whole process"),
    ("actors/tracker.c", added("uint64_t hg_next =\n    1;\n"), "is a variable of the whole process"),
    ("actors/tracker.h", added("extern int hg_budgets;\n"), "is a variable of the whole process"),
    ("actors/tracker.c", added("int hg_x(void) {\n  static int calls;\n  return ++calls;\n}\n"), "is a variable of the whole process"),
    ("actors/tracker.c", added("int hg_x(void) {\n  static char seen[8] = \"\";\n  return *seen;\n}\n"), "is a variable of the whole process"),
    ("actors/tracker.c", added("int hg_x(int k) {\n  switch (k) {\n  case HG_GRANTED: return 1;\n  default: return 0;\n  }\n}\n"),
     "is a switch over kinds or errors with a default"),
    ("actors/tracker.c", added("int hg_x(int k) {\n  switch (k) {\n  case HG_ERR_BUSY: return 1;\n  default: return 0;\n  }\n}\n"),
     "is a switch over kinds or errors with a default"),
]


def test_the_sources_keep_the_rules():
    code, said = tidy()
    assert code == 0, "\n".join(said)


def test_each_breach_is_seen():
    with copy() as root:
        _, before = tidy(root)  # exceptions that are not in the copy
        for file, change, expected in PLANTED:
            path, old = root / file, (root / file).read_text()
            path.write_text(change(old))
            code, said = tidy(root)
            path.write_text(old)
            news = [line for line in said if line not in before]
            assert code == 1 and any(line.startswith(f"{file}:") and expected in line for line in news), (file, expected, news)


def test_an_exception_that_is_not_needed_any_more_is_told():
    with copy() as root:
        (root / "ledger" / "wal_buffer.c").unlink()
        code, said = tidy(root)
    equal((code, "ledger/wal_buffer.c:0: is an exception in tests/tidy, and is not there" in said), (1, True), said)


if __name__ == "__main__":
    sys.exit(main(globals()))
