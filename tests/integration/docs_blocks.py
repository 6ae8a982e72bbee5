"""The fenced blocks of the documents, and what it takes to run one: a scratch folder with a configuration and a batch,
llm-sim in the place of http://127.0.0.1:8000, the program in PATH.

In front of a block a comment may stand, which shows in the source only:
    <!-- not run: WHY -->       it cannot be run here; programs and flags are looked up all the same, and Python is parsed
    <!-- before: COMMAND -->    run first; `headgate serve ...` lives as long as the block; `an orphan` makes one, `a ledger of
                                dollars` is what SQL then reads
"""
import ast
import contextlib
import json
import os
import pathlib
import re
import shlex
import signal
import sqlite3
import subprocess
import sys
import tempfile

from cli_harness import BUILD, HEADGATE, SOURCE, Follower, Runtime, Skipped, equal, headgate
from client_harness import ended, node_program, python_client
from run_harness import chat_line, sim

try:
    import yaml
except ImportError:
    yaml = None

PROVIDER = "http://127.0.0.1:8000"
ORPHAN = "00000001000002a4"  # the permit of the examples
CACHE = dict(re.findall(r"^(\w+):\w+=(.*)$", (BUILD / "CMakeCache.txt").read_text(), re.M))
COMPILER = [CACHE["CMAKE_C_COMPILER"], *(["-fsanitize=" + CACHE["HEADGATE_SANITIZE"]] if CACHE.get("HEADGATE_SANITIZE") else []),
            *(["--coverage"] if CACHE.get("HEADGATE_COVERAGE") == "ON" else [])]  # as the library that it is linked with
LINKED = ("scripts", "examples", "clients", "schemas", "bench")
CONFIG = {"tokenBudget": {"hardLimitTokens": 200000, "budgets": {"evals": {"hardLimitTokens": 50000}}}}
ANSWER = {"choices": [{"message": {"content": "42"}}], "usage": {"prompt_tokens": 10, "completion_tokens": 20, "total_tokens": 30}}


class Block:
    def __init__(self, file, line, language, text, notes):
        self.file, self.line, self.language, self.text = file, line, language, text
        self.before = [note[len("before:"):].strip() for note in notes if note.startswith("before:")]
        self.why_not = next((note[len("not run:"):].strip() for note in notes if note.startswith("not run:")), None)

    def __str__(self):
        return f"{self.file}:{self.line}"


def blocks_of(path, name):
    """In order. A fence that stands in a list is indented."""
    blocks, notes, lines, i = [], [], path.read_text().splitlines(), 0
    while i < len(lines):
        fence = re.match(r"^( *)(`{3,})(\w*)$", lines[i])
        note = re.match(r"^ *<!-- ((?:not run|before):.*?) *-->$", lines[i])
        if fence:
            end = next(j for j in range(i + 1, len(lines)) if lines[j].strip() == fence[2])
            text = "\n".join(line[len(fence[1]):] for line in lines[i + 1:end]) + "\n"
            blocks.append(Block(name, i + 1, fence[3], text, notes))
            i = end
        if note:
            notes.append(note[1])
        elif lines[i].strip():
            notes = []
        i += 1
    return blocks


def commands_of(text):
    """The lines of a shell block; one that ends in a backslash goes on."""
    return [line for line in text.replace("\\\n", " ").splitlines() if line.strip() and not line.startswith("#")]


# ------------------------------------------------------------------------------------------- what is only looked up

def help_of(words):
    """What the program of a command says of itself, and that it exists."""
    program = words[0]
    if program in ("headgate", "headgate-bench", "headgate-sim"):
        where = {"headgate": HEADGATE, "headgate-bench": BUILD / "bench" / program, "headgate-sim": BUILD / "tests" / program}
        sub = words[1:2] if program != "headgate-sim" and len(words) > 1 and not words[1].startswith("-") else []
        done = subprocess.run([where[program], *sub, "--help"], capture_output=True, text=True, timeout=30)
        return done.stdout + done.stderr
    if program.startswith("scripts/"):
        assert os.access(SOURCE / program, os.X_OK), f"there is no {program}"
        return (SOURCE / program).read_text()
    return None


def look_up(block):
    for line in commands_of(block.text):
        for part in re.split(r"&&|\||;", line):
            words = shlex.split(part, comments=True)
            if words:
                words[0] = re.sub(r"^build/.*/(headgate[\w-]*)$", r"\1", words[0])
            text = help_of(words) if words else None
            for flag in (word.split("=")[0] for word in words[1:] if word.startswith("--") and text is not None):
                assert flag in text, f"{block}: {words[0]} has no {flag}"


# ------------------------------------------------------------------------------------------------------- the world

class World:
    """The scratch folder of one document; its blocks run in order in it."""

    def __init__(self, folder, stack):
        self.folder, self.stack, self.server = pathlib.Path(folder), stack, None
        self.orphan, self.ledger = None, self.folder / "headgate.db"
        self.listens = set()  # where the document had its figures told
        for name in LINKED:
            (self.folder / name).symlink_to(SOURCE / name)
        self.config = self.folder / "devs.config.json"
        self.config.write_text(json.dumps(CONFIG))
        (self.folder / "batch.jsonl").write_text("".join(json.dumps(chat_line(i)) + "\n" for i in range(5)))
        paths = [str(BUILD), str(BUILD / "bench"), str(BUILD / "tests"), os.environ["PATH"]]
        self.env = {**os.environ, "PATH": ":".join(paths), "PYTHONPATH": str(SOURCE / "clients" / "python"), "OPENAI_API_KEY": "none"}

    def text(self, text):
        if PROVIDER in text:
            self.server = self.server or self.stack.enter_context(sim())
            text = text.replace(PROVIDER, self.server.url)
        return text.replace(ORPHAN, self.orphan) if self.orphan else text

    def follower(self, line):
        return Follower("bash", "-c", "exec " + line, cwd=self.folder, env=self.env)

    def make_an_orphan(self):
        runtime = Runtime(self.config)
        self.orphan = runtime.acquire("acquire 900")
        runtime.kill()

    def make_a_ledger_of_dollars(self):
        self.ledger = self.folder / "dollars.db"
        prices = [{"model": "*", "input": 150, "output": 600}]
        (self.folder / "dollars.config.json").write_text(json.dumps(
            {"tokenBudget": {"hardLimitUsd": 5}, "ledger": {"path": self.ledger.name}, "llm": {"prices": prices}}))
        self.run(f"headgate run batch.jsonl -o dollars.jsonl --config dollars.config.json --base-url {PROVIDER}")

    @contextlib.contextmanager
    def serving(self, line):
        follower = self.follower(self.text(line))
        try:
            follower.note("events at ")
            yield
            follower.process.send_signal(signal.SIGTERM)
            equal(follower.process.wait(30), 0, f"exit of {line}: {follower.notes}")
        finally:
            if follower.process.poll() is None:
                follower.process.kill()
            follower.end()

    def run(self, line):
        if re.match(r"headgate watch\b", line):
            follower = self.follower(self.text(line))
            try:
                follower.note("following ")
            finally:
                code = follower.end(signal.SIGINT)
            equal(code, 0, f"exit of {line}")
            return
        done = subprocess.run(["bash", "-c", self.text(line)], cwd=self.folder, env=self.env, capture_output=True, text=True,
                              timeout=60, stdin=subprocess.DEVNULL)
        assert done.returncode == 0, f"{line}: exit {done.returncode}: {done.stdout[-500:]}{done.stderr[-500:]}"


@contextlib.contextmanager
def world():
    with tempfile.TemporaryDirectory(prefix="hg-docs-") as folder, contextlib.ExitStack() as stack:
        yield World(folder, stack)


# -------------------------------------------------------------------------------------------------- each language

def run_sh(block, here):
    with contextlib.ExitStack() as serving:
        for line in commands_of(block.text):
            if re.match(r"headgate serve\b", line):
                serving.enter_context(here.serving(line))
            else:
                here.run(line)


def run_json(block, here):
    """Valid JSON; what is a configuration, or a section of one, is taken by the program."""
    text = block.text if block.text.lstrip().startswith("{") else "{" + block.text + "}"
    found = json.loads(text)
    here.listens.add(found.get("serve", {}).get("metrics", {}).get("listen"))
    if not {"tokenBudget", "ledger", "scheduler", "eventBus", "serve", "llm"} & found.keys():
        return
    found.setdefault("tokenBudget", {"hardLimitTokens": 1000})
    path = here.folder / "block.json"
    path.write_text(json.dumps(found))
    done = subprocess.run([HEADGATE, "status", "--config", path], capture_output=True, text=True, timeout=30)
    assert "ConfigurationError" not in done.stderr, done.stderr


def run_sql(block, here):
    """Each statement, on the ledger; one that finds nothing shows nothing."""
    with contextlib.closing(sqlite3.connect(f"{here.ledger.as_uri()}?mode=ro", uri=True)) as db:
        for statement in block.text.split(";")[:-1]:
            rows = db.execute(statement).fetchall()
            assert rows and None not in rows[0], f"{' '.join(statement.split())} finds {rows}"


# What stands in an expression beside metrics and their labels. `up` and its `job` are Prometheus' own.
PROMQL = {"up", "job", "and", "or", "unless", "on", "by", "sum", "rate", "increase", "min_over_time", "max_over_time", "histogram_quantile", "le"}


def metrics_told():
    """name -> its labels, of every series."""
    told = {}
    for _, name, kind, labels, *_ in (line.split("|") for line in headgate("describe", "--metrics").splitlines()[2:]):
        for suffix in ("_bucket", "_sum", "_count") if kind.strip() == "histogram" else ("",):
            told[name.strip(" `") + suffix] = set(labels.replace(" ", "").split(",")) - {""}
    return told


def check_rule(expression, rule, told):
    words = set(re.findall(r"(?<![\w.$])[A-Za-z_]\w*", re.sub(r'"[^"]*"|\[[^]]*\]', "", expression)))
    labels = set().union(*(told[name] for name in words & told.keys()))
    unknown = words - told.keys() - labels - PROMQL
    assert not unknown, f"{' '.join(sorted(unknown))}: no metric, and no label, in {expression}"
    for label in re.findall(r"\$labels\.(\w+)", rule):
        assert label in labels, f"{label} is no label of {expression}"


def run_yaml(block, here):
    """Prometheus is not here to read it: every metric and label that it names is told, and where it looks somebody listens."""
    if yaml:
        yaml.safe_load(block.text)
    told = metrics_told()
    rules = re.split(r"^ *- alert: ", block.text, flags=re.M)[1:]
    for rule in rules:
        check_rule(re.search(r"^ *expr: (.*)$", rule, re.M)[1], rule, told)
    targets = re.findall(r'^ *- targets: \["([^"]*)"\]$', block.text, re.M)
    for target in targets:
        assert target in here.listens, f"no configuration of this document listens at {target}"
    assert rules or targets, "neither a rule nor a target is in it"


C_PROGRAM = """
{includes}
#include <stdio.h>
static int64_t call_the_model(void) {{ return 812; }}
int main(void) {{
  hg_runtime *rt; hg_error why = HG_ERROR_INIT; hg_client *client;
  if (hg_open("devs.config.json", &rt, &why) != HG_OK) {{ fprintf(stderr, "%s\\n", why.text); return 1; }}
  if (hg_client_new(rt, &client) != HG_OK || call_the_model() != 812) return 1;
  {{
{body}
  }}
  hg_client_destroy(&client);
  return hg_close(&rt, 5000) == HG_OK ? 0 : 1;
}}
"""


def squeezed(text):
    return re.sub(r"\s+", " ", text).strip()


def run_c(block, here):
    """A whole program as it is; statements inside one that has opened a runtime and a client. What is an excerpt of a
    program in examples/ is built and run there."""
    text = block.text
    if any(squeezed(text) in squeezed(path.read_text()) for path in (SOURCE / "examples").glob("*.c")):
        return
    if not re.search(r"\bint main\(", text):
        lines = text.splitlines()
        includes = [line for line in lines if line.startswith("#include")]
        # A result that the example leaves out of its few lines is the only thing that is let pass.
        text = C_PROGRAM.format(includes="\n".join(includes), body="\n".join(line for line in lines if line not in includes))
    source, program = here.folder / "block.c", here.folder / "block"
    source.write_text(text)
    done = subprocess.run([*COMPILER, "-std=c17", "-Wall", "-Wextra", "-Werror", "-Wno-unused-result", f"-I{SOURCE}/include", "-o", program, source,
                           f"-L{BUILD}", "-lheadgate", f"-Wl,-rpath,{BUILD}", "-pthread"], capture_output=True, text=True, timeout=60)
    assert done.returncode == 0, done.stderr
    here.run("./block")


PYTHON_PREAMBLE = """
import headgate, headgate.aio, types, asyncio, pathlib
messages = prompt = [{{"role": "user", "content": "how much is it?"}}]
def answer(*_, **__): return {answer}
{call}
def to_object(value):
    if isinstance(value, dict): return types.SimpleNamespace(**{{k: to_object(v) for k, v in value.items()}})
    return [to_object(v) for v in value] if isinstance(value, list) else value
client = to_object({{"chat": {{"completions": {{}}}}}})
client.chat.completions.create = answer
"""
PYTHON_CALLS = {False: "call_the_model = answer", True: "async def call_the_model(*_, **__): return answer()"}
PYTHON_SOCKET = """
import zmq
socket = zmq.Context.instance().socket(zmq.SUB)
"""


def run_python(block, here):
    """With what a reader has already: a client, messages, a model to call; `await` stands where it can."""
    python_client()
    text, preamble = block.text, PYTHON_PREAMBLE.format(answer=ANSWER, call=PYTHON_CALLS["await call_the_model" in block.text])
    if "socket." in text:
        preamble += PYTHON_SOCKET
    elif "connect(" not in text and re.search(r"\bhg\.", text):
        preamble += "hg = headgate.connect()\n"
    endless = "in hg.events(" in text
    compile(text, str(block), "exec", flags=ast.PyCF_ALLOW_TOP_LEVEL_AWAIT)
    if re.search(r"^\s*(async with|await|.*= await)\b", text, re.M):
        text = "async def main():\n" + "".join(f"    {line}\n" for line in text.splitlines()) + "asyncio.run(main())\n"
    follow(Follower(sys.executable, "-u", "-c", preamble + text, cwd=here.folder, env=here.env), endless)


JS_PREAMBLE = """
process.chdir(process.argv[2]);
const messages = [{{ role: "user", content: "how much is it?" }}];
const openai = {{ chat: {{ completions: {{ create: async () => ({answer}) }} }} }};
"""


def run_js(block, here):
    text = block.text
    imports = "import { connect } from \"headgate\";\n"
    preamble = JS_PREAMBLE.format(answer=json.dumps(ANSWER))
    if imports not in text:
        text = "const hg = await connect();\n" + text
    endless = "hg.events(" in text
    with node_program(imports + preamble + text.replace(imports, "") + ("" if endless else "\nawait hg.close();\n"), here.folder) as follower:
        follow(follower, endless)


def follow(follower, endless):
    """To its end; one that follows events has done its part with the first."""
    try:
        if endless:
            follower.until(lambda: follower.lines, "an event")
            follower.process.kill()
            follower.process.wait(30)
        else:
            ended(follower)
    finally:
        if follower.process.poll() is None:
            follower.process.kill()
        follower.end()


FOR_MACHINES = re.compile(r"\b(sudo|systemctl|apt|apt-get|dpkg|ldconfig)\b")  # never run, whoever forgot to say so
RUNNERS = {"sh": run_sh, "json": run_json, "sql": run_sql, "yaml": run_yaml, "c": run_c, "python": run_python, "js": run_js}


def run_block(block, here):
    """Raises when it does not do what the document says, and when nothing says why it cannot be run."""
    if block.language == "text":
        return
    if block.why_not is not None:
        assert block.why_not, f"{block} is not run, and does not say why"
        if block.language == "sh":
            look_up(block)
        elif block.language == "python":
            compile(block.text, str(block), "exec", flags=ast.PyCF_ALLOW_TOP_LEVEL_AWAIT)
        return
    assert block.language in RUNNERS, f"{block}: nothing runs {block.language or 'a block without a language'}: " \
                                      "name one (text where it is no code), or say why in a comment: <!-- not run: WHY -->"
    assert block.language != "sh" or not FOR_MACHINES.search(block.text), f"{block}: it changes the machine: say so, <!-- not run: WHY -->"
    with contextlib.ExitStack() as stack:
        for command in block.before:
            if command == "an orphan":
                here.make_an_orphan()
            elif command == "a ledger of dollars":
                here.make_a_ledger_of_dollars()
            elif command.startswith("headgate serve"):
                stack.enter_context(here.serving(command))
            else:
                here.run(command)
        try:
            RUNNERS[block.language](block, here)
        except Skipped:
            raise
        except Exception as problem:
            raise AssertionError(f"{block}: {type(problem).__name__}: {problem}") from problem
