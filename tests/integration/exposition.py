"""A strict reader of Prometheus' text format, version 0.0.4: anything that a scrape might stumble over is an error."""
import re

NAME = re.compile(r"[a-zA-Z_:][a-zA-Z0-9_:]*")
LABEL = re.compile(r'([a-zA-Z_][a-zA-Z0-9_]*)="((?:[^"\\\n]|\\[\\"n])*)"(,|\})')
VALUE = re.compile(r"-?[0-9]+(\.[0-9]+)?")
ESCAPES = {"\\\\": "\\", '\\"': '"', "\\n": "\n"}


class Exposition:
    """types: family -> type; samples: (name, ((label, value), …) in order of the labels) -> number."""

    def __init__(self, text):
        self.text, self.types, self.help, self.samples = text, {}, {}, {}
        self.family, self.closed = None, set()
        assert text.endswith("\n") and "\r" not in text, "lines end in a line feed, the last one too"
        for line in text[:-1].split("\n"):
            if line.startswith("# HELP "):
                self.begin(line)
            elif line.startswith("# TYPE "):
                self.type(line)
            else:
                self.sample(line)
        for family in self.types:
            assert any(self.family_of(name) == family for name, _ in self.samples), f"{family} has no sample"
        self.check_histograms()

    def begin(self, line):
        name, text = line[len("# HELP "):].split(" ", 1)
        assert NAME.fullmatch(name) and name not in self.help and text, line
        assert re.fullmatch(r"(?:[^\\]|\\[\\n])*", text), line
        self.closed.add(self.family)
        self.family, self.help[name] = name, text

    def type(self, line):
        name, kind = line[len("# TYPE "):].split(" ")
        assert name == self.family and name not in self.types and kind in ("gauge", "counter", "histogram"), line
        assert (kind == "counter") == name.endswith("_total"), line
        self.types[name] = kind

    def family_of(self, name):
        base = re.sub("_(bucket|sum|count)$", "", name)
        return base if self.types.get(base) == "histogram" else name

    def sample(self, line):
        name = NAME.match(line).group()
        assert self.family_of(name) == self.family and self.family in self.types, f"{line} is in no family of its own"
        at, labels = len(name), []
        if line[at] == "{":
            at += 1
            while True:
                found = LABEL.match(line, at)
                assert found, line
                labels.append((found[1], re.sub(r"\\.", lambda escape: ESCAPES[escape[0]], found[2])))
                at = found.end()
                if found[3] == "}":
                    break
        assert line[at] == " " and VALUE.fullmatch(line[at + 1:]), line
        key = name, tuple(sorted(labels))
        assert len(dict(labels)) == len(labels) and key not in self.samples, f"{line} comes twice"
        self.samples[key] = float(line[at + 1:]) if "." in line[at + 1:] else int(line[at + 1:])

    def check_histograms(self):
        series = {}
        for (name, labels), value in self.samples.items():
            if name.endswith("_bucket") and self.types.get(self.family_of(name)) == "histogram":
                rest = tuple(label for label in labels if label[0] != "le")
                series.setdefault((self.family_of(name), rest), []).append((float(dict(labels)["le"]), value))
        for (family, labels), buckets in series.items():
            ends, counts = zip(*buckets)
            assert list(ends) == sorted(ends) and ends[-1] == float("inf"), (family, labels, ends)
            assert list(counts) == sorted(counts), (family, labels, counts)
            assert counts[-1] == self.samples[family + "_count", labels], (family, labels)
            assert (family + "_sum", labels) in self.samples, (family, labels)

    def get(self, name, **labels):
        return self.samples.get((name, tuple(sorted(labels.items()))))

    def named(self, name):
        return {dict(labels).get("budget"): value for (found, labels), value in self.samples.items() if found == name}
