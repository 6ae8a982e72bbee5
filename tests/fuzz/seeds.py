#!/usr/bin/env python3
"""Writes into FOLDER what the fuzz targets begin with: seeds/TARGET, a file for each input, and words/TARGET, what
libFuzzer puts in (scripts/fuzz). All of it is taken from golden vectors, tables, examples and the texts of unit tests.

  tests/fuzz/seeds.py FOLDER
"""
import ast
import itertools
import pathlib
import re
import struct
import sys

ROOT = pathlib.Path(__file__).resolve().parents[2]
LITERAL = r'"(?:[^"\\\n]|\\.)*"'


def read(name):
    return (ROOT / name).read_text()


def golden(name):
    return [bytes.fromhex(line.split()[2]) for line in read(f"schemas/golden/{name}.hex").split("\n") if line]


def inside_words():
    codes = re.findall(r"^(?:MESSAGE|EVENT)\(\w+, \w+, (0x[0-9a-f]+)", read("schemas/messages.def"), re.M)
    return [b"\xcc" + bytes([int(code, 16)]) for code in codes if int(code, 16) < 256]


def outside_words():
    table = read("schemas/messages.def")
    names = set(re.findall(r'FIELD\(\w+, \w+, "(\w+)"', table)) | {"v", "type"}
    names |= set(re.findall(r"^(?:MESSAGE|EVENT)\((\w+),", table, re.M))
    return [(bytes([0xA0 + len(name)]) if len(name) < 32 else bytes([0xD9, len(name)])) + name.encode() for name in sorted(names)]


def c_texts(source):
    """The string literals of a C source, those side by side joined."""
    for group in re.findall(rf"{LITERAL}(?:\s*{LITERAL})*", source):
        yield "".join(ast.literal_eval("b" + part).decode("latin-1") for part in re.findall(LITERAL, group) if part.isascii())


def unit_tests(pattern):
    return "\n".join(path.read_text() for path in sorted((ROOT / "tests/unit").glob(pattern)))


def config_texts():
    """Of the tests, what their macros LIMIT and WITH make; and what users are shown."""
    limit = r'"\"hardLimitTokens\": 1000"'
    source = unit_tests("test_config*.c").replace(" LIMIT ", f" {limit} ")
    opening, closing = r'"{\"tokenBudget\": {" ' + limit + r' "}, "', '"}"'
    source = re.sub(rf"WITH\(((?:\s*{LITERAL})+)\)", lambda found: f"{opening} {found[1]} {closing}", source)
    texts = [text for text in c_texts(source) if text.lstrip().startswith("{")]
    shown = re.findall(r"^```json\n(.*?)^```", read("docs/configuration.md"), re.M | re.S)
    return [re.sub(r"%s|%\.\*s", "1", text).encode("latin-1") for text in texts] + [text.encode() for text in shown + [read("examples/devs.config.json")]]


def words_of(*names):
    texts = "\n".join(read(str(path.relative_to(ROOT))) for name in names for path in sorted(ROOT.glob(name)))
    return [word.encode() for word in sorted(set(re.findall(r'"([A-Za-z][\w.:/-]*)"', texts)))]


URLS = ("chat/completions", "responses", "completions", "embeddings", "messages", "rerank")


def batch_lines():
    """Behind two bytes that say how calls are made: the lines of the example and of the tests, and each body of the
    tests of requests for each endpoint, among them one whose caps and choices contradict each other."""
    lines = read("examples/batch.jsonl").strip().split("\n")
    lines += [text for text in c_texts(unit_tests("test_batch_line.c")) if text.startswith("{")]
    bodies = [text for text in c_texts(unit_tests("test_request.c")) if text.lstrip().startswith("{")]
    bodies.append('{"max_tokens":9,"max_completion_tokens":7,"n":3,"best_of":2,"prompt":["a","b"]}')
    for body, url in itertools.product(bodies, URLS):
        lines.append('{"custom_id":"c","method":"POST","url":"/v1/%s","body":%s}' % (url, body))
    return [bytes([number * 37 % 256, 255]) + line.encode("latin-1", "replace") for number, line in enumerate(lines)]


def usage_bodies():
    lines = [line for line in read("tests/data/usage_bodies.txt").split("\n") if line and not line.startswith("#")]
    return [line.encode() for line in lines[1::2]]


def aws_frame(line):
    """Without checksums, which are not looked at in this build."""
    name, _, payload = line.partition(" ")
    kind = ":exception-type" if name.endswith("Exception") else ":event-type"
    header = bytes([len(kind)]) + kind.encode() + b"\7" + struct.pack(">H", len(name)) + name.encode()
    return struct.pack(">III", len(header) + len(payload) + 16, len(header), 0) + header + payload.encode() + bytes(4)


def streams():
    """Each behind two bytes that say how it is sent, and where it is cut off."""
    for number, stream in enumerate(re.split(r"^=== .*\n", read("tests/data/usage_streams.txt"), flags=re.M)[1:]):
        text = "\n".join(line for line in stream.split("\n") if not re.match(r"(exact|missing|[?~!] |< )", line))
        sent = re.search(r"^! .*\b(hex|frames)\b", stream, re.M)
        how, body = 8 + number % 5, text.encode()
        if sent:
            how, body = 13, bytes.fromhex(text) if sent[1] == "hex" else b"".join(map(aws_frame, filter(None, text.split("\n"))))
        yield bytes([how, 255]) + body


def stream_words():
    return words_of("tests/data/usage_*.txt") + [b"data: ", b"event: ", b"[DONE]", b"\\ud83d", b"\r\n"]


TARGETS = {
    "inside": (lambda: golden("inside"), inside_words),
    "outside": (lambda: golden("outside"), outside_words),
    "config": (config_texts, lambda: words_of("config/*.c", "docs/configuration.md")),
    "batch": (batch_lines, lambda: words_of("providers/request.c", "providers/bound.c", "batch/line.c") + [b"/v1/" + url.encode() for url in URLS]),
    "usage": (usage_bodies, stream_words),
    "stream": (lambda: list(streams()), stream_words),
}


def main(folder):
    for target, (seeds, words) in TARGETS.items():
        to = folder / "seeds" / target
        to.mkdir(parents=True, exist_ok=True)
        found = seeds()
        if not found:
            sys.exit(f"tests/fuzz/seeds.py: no seed for {target}")
        for old in to.iterdir():
            old.unlink()
        for number, seed in enumerate(found):
            (to / str(number)).write_bytes(seed)
        (folder / "words").mkdir(exist_ok=True)
        lines = ("".join(f"\\x{byte:02x}" for byte in word) for word in words())
        (folder / "words" / target).write_text("".join(f'"{line}"\n' for line in lines))


if __name__ == "__main__":
    if len(sys.argv) != 2:
        sys.exit(__doc__)
    main(pathlib.Path(sys.argv[1]))
