#!/usr/bin/env python3
"""The Node client (clients/node) with a real runtime.

usage: test_client_node.py BUILD_DIR [NAME ...]    (BUILD_DIR has headgate and tests/serve_for_tests)
"""
import json
import re
import signal
import sys
import time

from cli_harness import WAIT_S, Runtime, Skipped, checked, equal, headgate, keygen, main, place, runtime, status
from client_harness import CLIENTS, REPORTS, connected, ended, journal, keyed, lives, node_program, reported
from test_client_python import ANTHROPIC, OPENAI, heard, until
from test_doors import counter, free_port

HEAD = """
import * as headgate from "headgate";
const [config, ...rest] = process.argv.slice(2);
const say = value => console.log(JSON.stringify(value));
const refused = async act => { try { say(await act()) } catch (e) { say([e.constructor.name, e.name, e.code]) } };
"""
LIB = "./node_modules/headgate/lib/"
CONNECT = HEAD + "const hg = await headgate.connect({ config });\n"


def told(code, *arguments):
    with node_program(code, *arguments) as program:
        ended(program)
        return [json.loads(line) for line in program.lines]


def test_errors_are_those_of_headgate():
    [errors] = told(HEAD + "say(headgate.ERRORS.map(([code, name]) => `${code} ${name}`));")
    equal(errors, [" ".join(line.split()[:2]) for line in headgate("describe", "--errors").splitlines()[1:]])


def test_reports_are_those_of_the_schema():
    """As index.d.ts declares them."""
    words = {bool: "boolean", str: "string", int: "number", float: "number"}
    text = (CLIENTS / "node" / "index.d.ts").read_text()
    found = {name: (bases, dict(re.findall(r"^  (\w+): (.*);$", body, re.M))) for name, bases, body in
             re.findall(r"^export interface (\w+)(?: extends ([\w, ]+))? \{\n(.*?)^\}", text, re.M | re.S)}

    def fields(name):
        bases, own = found[name]
        return {**{key: kind for base in re.findall(r"\w+", bases) for key, kind in fields(base).items()}, **own}
    for name, report in REPORTS.items():
        maps = {key: f"Record<string, {kind}>" for key, kind in (("budgets", "Budget"), ("topics", "number"))}
        said = reported(report, "number | null", **maps if name == "Snapshot" else {})
        equal(fields(name), {field: words.get(kind, kind) for field, kind in said.items()}, name)


def test_settle_takes_numbers_and_answers_of_providers():
    with place(limit=2_000_000) as here, runtime(here.config), connected(here) as client:
        with client.events(from_seq=1, topics=("TOKENS_SETTLED",)) as stream:
            answers = [17, 0, OPENAI, ANTHROPIC, {"no": "usage"}]
            counted = told(CONNECT + f"""
                for (const answer of {json.dumps(answers)}) {{
                  say(await hg.permit({{ maxOutput: 1000, prompt: "häuser", taskId: "t" }}, p => p.settle(answer)));
                }}
                const q = await hg.acquire({{ maxTokens: 1 }});
                say(await hg.settle(q.id, {{ no: "usage" }}));
                const p = await hg.acquire({{ maxTokens: 50 }});
                say(await p.settle(null, {{ inputTokens: 4, outputTokens: 5, cachedTokens: 0, model: "m" }}));
                say(await hg.record(1000n, {{ usageId: "once" }}));
                say(await hg.record(1000, {{ usageId: "once" }}));
                await hg.correct(-1, {{ why: "a test" }});
                const {{ totalUsed, seq }} = await hg.usage();
                const found = await hg.snapshot();
                const newest = Math.max(...Object.values(found.topics));
                say([totalUsed, found.budgets.default.used, seq === found.seq, newest === seq]);
                """, here.config)
            exact = [{"tokens": tokens, "source": "exact"} for tokens in (17, 0, 42, 36)]
            equal(counted, [*exact, {"tokens": 1007, "source": "missing"},
                            {"tokens": None, "source": "missing"}, {"tokens": 9, "source": "exact"},
                            *[{"tokens": 1000, "source": "exact"}] * 2, [2111, 2111, True, True]])
            events = heard(stream, "TOKENS_SETTLED", 7)
            equal([event.payload["usedDelta"] for event in events], [17, 0, 42, 36, 1007, 1, 9])
            equal([events[2].payload[key] for key in ("model", "responseId", "inputTokens", "cachedTokens")],
                  ["gpt-4o-mini", "chatcmpl-1", 11, 3])
            equal((events[6].payload["cachedTokens"], events[6].payload["reasoningTokens"]), (0, None))


def test_permits_of_money():
    prices = [{"model": "gpt-4o*", "input": 10, "output": 40}]
    with place() as here:
        here.config.write_text(json.dumps({"tokenBudget": {"hardLimitUsd": 1}, "llm": {"prices": prices}}))
        with runtime(here.config):
            said = told(CONNECT + f"""
                const p = await hg.acquire({{ maxOutput: 10, prompt: "x".repeat(20), model: "gpt-4o" }});
                say([p.tokens, await p.settle({json.dumps(OPENAI)})]);
                const q = await hg.acquire({{ maxOutput: 10, model: "gpt-4o" }});
                say([q.tokens, await q.settle(null, {{ inputTokens: 5, outputTokens: 2 }})]);
                const total = {{ model: "gpt-4o", usage: {{ total_tokens: 90 }} }}; // costs at least 900
                say([(await (await hg.acquire({{ maxTokens: 7 }})).settle(total)).tokens,
                     (await (await hg.acquire({{ maxTokens: 1000 }})).settle(total)).tokens]);
                await refused(() => hg.acquire({{ maxOutput: 10, model: "llama" }}));
                say([hg.unit, (await hg.usage()).unit, (await hg.snapshot()).budgets.default.unit]);
                """, here.config)
            equal(said[:2], [[800, {"tokens": 1350, "source": "exact"}], [400, {"tokens": 130, "source": "exact"}]])
            equal(said[2], [900, 1000])
            equal(said[3][2], 2)
            equal(said[4], ["nanodollars"] * 3)


def test_a_block_left_unsettled():
    with place() as here, runtime(here.config), connected(here) as client:
        with client.events(from_seq=1, topics=("TOKENS_", "TASK_F")) as stream:
            told(CONNECT + """
                class OpenAIError extends Error {}
                class RateLimitError extends OpenAIError {}
                class StreamError extends OpenAIError {}
                const fail = (kind, fields) => () => { throw Object.assign(new kind("secret"), fields) };
                const works = [429, 500, 408, 409, 499].map(status => fail(RateLimitError, { status }));
                works.push(fail(StreamError, { status: 400 }), fail(TypeError, { status: 404 }), fail(RangeError, {}),
                           () => { throw { status: 404 } }, () => {});
                for (const work of works) {
                  await hg.permit({ maxTokens: 100, refused: [RangeError] }, work).catch(() => {});
                }
                """, here.config)
            found = []
            for _ in range(10):
                _, end, outcome = (stream.next(WAIT_S) for _ in range(3))
                found.append((end.type, end.payload["usedDelta"], outcome.type, outcome.payload.get("reason")))
            equal(found, [("TOKENS_RELEASED", 0, "TASK_FAILED", "RateLimitError, status 429"),
                          *[("TOKENS_SETTLED", 100, "TASK_FAILED", "RateLimitError")] * 4,
                          ("TOKENS_SETTLED", 100, "TASK_FAILED", "StreamError"),
                          ("TOKENS_SETTLED", 100, "TASK_FAILED", "TypeError"),
                          ("TOKENS_RELEASED", 0, "TASK_FAILED", "RangeError, refused"),
                          ("TOKENS_SETTLED", 100, "TASK_FAILED", "Object"),
                          ("TOKENS_SETTLED", 100, "TASK_FINISHED", None)])


def test_a_refusal_of_every_sdk_releases():
    refusals = told(f"""
        import {{ refusalOf }} from "{LIB}answers.js";
        const say = problem => console.log(JSON.stringify(refusalOf(problem)));

        // the AI SDK: no name of a class lasts through its build, but each error has a mark
        const marked = (kind, fields) => Object.assign(new Error("m"), {{ name: `AI_${{kind}}`,
          [Symbol.for("vercel.ai.error")]: true, [Symbol.for(`vercel.ai.error.AI_${{kind}}`)]: true, ...fields }});
        const call = statusCode => marked("APICallError", {{ statusCode, isRetryable: statusCode === 429, url: "u" }});
        const retried = (...errors) => marked("RetryError", {{ reason: "maxRetriesExceeded", errors,
          lastError: errors.at(-1) }});
        for (const each of [call(400), call(429), call(409), call(500), call(undefined), call(200),
                            retried(call(429), call(429)), retried(call(500), call(429)), retried(call(429), call(503)),
                            retried(call(429), new Error("aborted")), retried(),
                            marked("NoObjectGeneratedError", {{ statusCode: 400 }}),
                            Object.assign(new Error("m"), {{ name: "AI_APICallError", statusCode: 429 }})]) say(each);

        // @google/genai: one class, whose message is the answer's body; amid a stream it says so before that
        class ApiError extends Error {{
          constructor(message, status) {{ super(message); this.name = "ApiError"; this.status = status; }}
        }}
        const body = code => JSON.stringify({{ error: {{ code, message: "m", status: "RESOURCE_EXHAUSTED" }} }});
        class GeminiNextGenAPIClientError extends Error {{}}
        class RateLimitError extends GeminiNextGenAPIClientError {{ status = 429 }}
        for (const each of [new ApiError(body(429), 429), new ApiError(body(503), 503),
                            new ApiError(`got status: RESOURCE_EXHAUSTED. ${{body(429)}}`, 429),
                            new ApiError("no such user", 404), new ApiError("null", 404), new ApiError("[1]", 404),
                            Object.assign(new ApiError(`{{"error":{{}}}}`), {{ code: 404 }}),
                            new RateLimitError("m")]) say(each);
        """)
    released = [f"status {status}" for status in (400, 429)]
    equal(refusals, [*released, "", "", "", "", "status 429", *[""] * 6, "status 429", *[""] * 6, "status 429"])


def test_a_wrong_argument_is_refused_before_it_is_sent():
    with place() as here, runtime(here.config):
        said = told(CONNECT + """
            const invalid = async act => {
              try { return JSON.stringify(await act()) } catch (e) { return e.name }
            };
            const names = new Set();
            const texts = [7, {}, [], true, Symbol("s"), () => "x", "a\\0b", "\\ud800", "x".repeat(513),
                           "ä".repeat(257)];
            for (const text of texts) {
              for (const act of [() => hg.acquire({ maxTokens: 1, taskId: text }),
                                 () => hg.acquire({ maxTokens: 1, parent: text }), () => hg.record(1, { budget: text }),
                                 () => hg.record(1, { usageId: text }), () => hg.record(1, { model: text }),
                                 () => hg.correct(1, { why: text }), () => hg.usage(text), () => hg.settle(text, 1),
                                 () => hg.release(text),
                                 () => hg.events({ topics: ["x".repeat(256), "y".repeat(256)] })])
                names.add(await invalid(act));
            }
            for (const act of [() => hg.record(1, { usageId: "" }), () => hg.correct(1, { why: "w", usageId: "" })])
              names.add(await invalid(act));
            for (const number of ["5", 1.5, {}, NaN, Infinity, 2n ** 64n]) {
              for (const act of [() => hg.record(1, { attempt: number }), () => hg.setLimit(number),
                                 () => hg.acquire({ maxTokens: 1, attempt: number })])
                names.add(await invalid(act));
            }
            names.add(await invalid(() => hg.acquire({ maxTokens: 1, firstInLine: 1 })));
            say([...names]);
            say(await hg.record(3n, { inputTokens: 2n, attempt: 2n }));
            await hg.correct(1, { why: "😀".repeat(128) });
            const held = await hg.acquire({ maxTokens: 1, taskId: "", budget: null, timeoutMs: Infinity });
            await held.settle(1);
            say((await hg.usage()).totalUsed);
            """, here.config)
        equal(said, [["HG_ERR_INVALID"], {"tokens": 3, "source": "exact"}, 5])


def test_refusals():
    with place(limit=1000) as here, runtime(here.config):
        equal(told(CONNECT + """
            await refused(() => hg.acquire({ maxTokens: 1001 }));
            await refused(() => hg.usage("nobody"));
            await refused(() => hg.settle("00000000000000aa", 5));
            await refused(() => hg.record({ no: "usage" }));
            await refused(() => hg.record(-1));
            await refused(() => hg.record(1.5));
            await refused(() => hg.acquire({ maxTokens: 1, refused: [429] }));
            const holder = await hg.acquire({ maxTokens: 990 });
            await refused(() => hg.acquire({ maxTokens: 100, timeoutMs: 100 }));
            await refused(() => hg.acquire({ maxTokens: 100, signal: AbortSignal.timeout(100) }));
            await holder.release();
            const { openPermits, waiting } = await hg.usage();
            say([openPermits, waiting]);
            await hg.close();
            await refused(() => hg.usage());
            """, here.config), [["BudgetExhausted", "HG_ERR_BUDGET_EXHAUSTED", 14],
                                ["UnknownBudget", "HG_ERR_UNKNOWN_BUDGET", 13],
                                ["UnknownPermit", "HG_ERR_UNKNOWN_PERMIT", 16], ["NoUsage", "HG_ERR_NO_USAGE", 21],
                                ["InvalidArgument", "HG_ERR_INVALID", 1], ["InvalidArgument", "HG_ERR_INVALID", 1],
                                ["TypeError", "TypeError", None],
                                ["DeadlinePassed", "HG_ERR_TIMEOUT", 9], ["DOMException", "TimeoutError", 23], [0, 0],
                                ["Closed", "HG_ERR_CLOSED", 11]])
    with place() as here:
        equal(told(HEAD + "await refused(() => headgate.connect({ config, waitMs: 300 }));", here.config),
              [["NoRuntime", "HG_ERR_NO_RUNTIME", 22]])


def test_a_blocked_event_loop_loses_no_lease():
    with place() as here, runtime(here.config):
        equal(told(HEAD + """
            const hg = await headgate.connect({ config, leaseMs: 1500 });
            await hg.permit({ maxTokens: 100 }, async p => {
              for (const begin = Date.now(); Date.now() - begin < 4000;);
              say([p.lost, (await hg.usage()).openPermits]);
              await p.settle(60);
            });""", here.config), [[False, 1]])
        equal(status("--config", here.config)["totalUsed"], 60)
        equal(headgate("orphans", "--config", here.config).count("charged"), 0)


def test_an_acquire_that_waits_longer_than_its_lease_is_not_given_up():
    with place(scheduler={"maxConcurrency": 1}) as here, runtime(here.config), connected(here) as client:
        first = client.acquire(max_tokens=10)
        with node_program(CONNECT + """
                await hg.permit({ maxTokens: 10, leaseMs: 1000 }, p => p.settle(1));
                say((await hg.usage()).totalUsed);""", here.config) as program:
            until(lambda: client.usage().waiting == 1, "it waits")
            time.sleep(2.5)
            equal(client.usage().waiting, 1)
            first.settle(1)
            ended(program)
            equal(program.lines, ["2"])


def test_the_public_key_of_a_secret_one():
    try:
        import zmq
    except ImportError:
        raise Skipped("python3 has no zmq") from None
    if not zmq.has("curve"):
        raise Skipped("python3 has no zmq with CURVE")
    public, secret = zmq.curve_keypair()
    with place() as here:
        certificate = f'curve\n    public-key = "{public.decode()}"\n    secret-key = "{secret.decode()}"\n'
        for text in (secret.decode() + "\n", certificate):
            (here.folder / "key").write_text(text)
            with node_program("""
                    import { find } from "./node_modules/headgate/lib/place.js";
                    const place = find({ url: "tcp://h:1", serverKey: "k".repeat(40), keyFile: process.argv[2] });
                    console.log(place.curve.curvePublicKey);
                    """, here.folder / "key") as program:
                ended(program)
                equal(program.lines, [public.decode()])
            from headgate._place import secret_key_in
            equal(secret_key_in(text), secret)


def test_keys_that_are_none_are_refused():
    with place() as here:
        keygen(here.folder / "key")
        (here.folder / "two").write_text((here.folder / "key").read_text() * 2)
        keys = [[None, "key"], ["k" * 40, None], ["k" * 39, "key"], ["~" * 40, "key"], ["#" * 40, "key"],
                ["k" * 40, "none"], ["k" * 40, "two"]]
        found = told(HEAD + f"""
            process.chdir(config);
            for (const [serverKey, keyFile] of {json.dumps(keys)}) {{
              try {{ await headgate.connect({{ url: "tcp://127.0.0.1:1", serverKey, keyFile, waitMs: 100 }}) }}
              catch (e) {{ say([e.name, e.reason]) }}
            }}""".replace("null", "undefined"), here.folder)
        public, key = "serverKey (HEADGATE_SERVER_KEY)", "keyFile (HEADGATE_KEY_FILE)"
        equal(len(found), len(keys))
        for (name, reason), named in zip(found, (public, key, public, public, public, key, key)):
            equal(name, "HG_ERR_CONFIG", reason)
            assert named in reason and "kkk" not in reason, reason


def test_clients_with_keys():
    with keyed() as (here, served, events, control, public):
        files = [here.folder / "client.key", here.folder / "stranger.key"]
        code = HEAD + f"""
            import {{ Order }} from "{LIB}order.js";
            let beats = 0;
            const hear = Order.prototype.hear;
            Order.prototype.hear = function (event) {{
              if (event.type === "HEARTBEAT") beats++;
              return hear.call(this, event);
            }};
            const [events, control, server, stranger, keyFile, other] = rest;
            const known = {{ url: control, eventsUrl: events, serverKey: server, keyFile }};
            const hg = await headgate.connect(known);
            const stream = hg.events();
            await hg.permit({{ maxTokens: 100 }}, p => p.settle(42));
            for await (const event of stream) if (event.type === "TOKENS_SETTLED") {{
              say(event.payload.usedDelta);
              break;
            }}
            const more = hg.events({{ topics: ["LIMIT_CHANGED"] }});
            const next = more.next();
            while (!beats) await new Promise(resolve => setTimeout(resolve, 10)); // what is not replayed
            await hg.setLimit(500);
            say((await next).value.payload.limit);
            more.close();
            say((await (await headgate.connect({{ ...known, url: undefined, config }})).usage()).totalUsed);"""
        known = (here.config, events, control, public["server"], public["stranger"], *files)
        equal(told(code + "process.exit(0);", *known), [42, 500, 42])
        equal(counter(served, "keys_refused"), 0)
        equal(told(HEAD + """
            const [events, url, server, stranger, keyFile, other] = rest;
            for (const keys of [{}, { serverKey: server, keyFile: other }, { serverKey: stranger, keyFile }]) {
              await refused(() => headgate.connect({ url, waitMs: 1000, ...keys }));
            }""", *known), [["NoRuntime", "HG_ERR_NO_RUNTIME", 22]] * 3)
        assert counter(served, "keys_refused") >= 1, "the stranger's was not counted"


def test_a_killed_process_leaves_no_slot_behind_its_lease():
    with place(scheduler={"maxConcurrency": 2}) as here, runtime(here.config), connected(here) as client:
        with node_program(CONNECT + """
                for (let i = 0; i < 2; i++) await hg.acquire({ maxTokens: 100, leaseMs: 500 });
                say("holds");
                setInterval(() => {}, 1000);""", here.config) as holder:
            holder.until(lambda: holder.lines, "the permits")
            with client.events(topics="RESERVATION_ORPHANED") as stream:
                holder.end(signal.SIGKILL)
                with client.permit(max_tokens=100, timeout=WAIT_S) as permit:
                    permit.settle(1)
                heard(stream, "RESERVATION_ORPHANED", 2)
        found = client.usage()
        equal((found.total_used, found.reserved, found.running, found.open_permits), (201, 0, 0, 0))


def test_cancelling_an_acquire_that_waits():
    with place(scheduler={"maxConcurrency": 1}) as here, runtime(here.config):
        equal(told(CONNECT + """
            const pause = ms => new Promise(resolve => setTimeout(resolve, ms));
            const first = await hg.acquire({ maxTokens: 10 });
            const control = new AbortController();
            const waits = [hg.acquire({ maxTokens: 10 }), hg.acquire({ maxTokens: 10, signal: control.signal })];
            while ((await hg.usage()).waiting !== 2) await pause(5);
            control.abort();
            await waits[1].catch(e => say(e.name));
            while ((await hg.usage()).waiting !== 1) await pause(5);
            await first.settle(1);
            await (await waits[0]).settle(1);
            for (let i = 0; i < 50; i++) { // whoever is faster, no permit stays
              const control = new AbortController();
              setTimeout(() => control.abort(), Math.random() * 3);
              await hg.acquire({ maxTokens: 10, signal: control.signal }).then(p => p.release(), () => {});
            }
            let found;
            while ((found = await hg.usage()).openPermits || found.waiting) await pause(5);
            say([found.totalUsed, found.reserved]);
            """, here.config), ["AbortError", [2, 0]])


def test_what_waits_survives_a_lost_runtime():
    with place(scheduler={"maxConcurrency": 1}) as here, lives(here.config) as now, connected(here) as client:
        with node_program(CONNECT + """
                const held = await hg.acquire({ maxTokens: 100 });
                const waits = hg.acquire({ maxTokens: 50 });
                while ((await hg.usage()).waiting !== 1);
                say("waits");
                await (await waits).settle(20);
                await hg.record(7);
                say(await held.settle(30)); // an orphan now: what it used takes the place of the guess
                """, here.config) as program:
            program.until(lambda: program.lines, "the second waits")
            now[0].kill()
            now[0] = Runtime(here.config)
            ended(program)
        found = client.usage()
        equal((found.total_used, found.reserved), (57, 0))


def test_events_over_a_restart_once_and_in_order():
    with place(limit=10**9) as here, lives(here.config) as now, connected(here) as client:
        for _ in range(700):
            client.record(1)
        code = CONNECT + """
            for await (const event of hg.events({ fromSeq: 1, topics: rest })) {
              say(event);
              if (event.type === "LIMIT_CHANGED" && event.payload.limit === 5) break;
            }"""
        topics = ("USAGE_RECORDED", "RUNTIME_", "LIMIT_")
        with node_program(code, here.config) as everything, node_program(code, here.config, *topics) as some:
            until(lambda: len(everything.lines) > 100 and len(some.lines) > 100, "events")
            for _ in range(500):
                client.record(1)
            now[0].kill()
            now[0] = Runtime(here.config)
            for _ in range(500):
                client.record(1)
            client.set_limit(5)
            for program in (everything, some):
                ended(program)
        now[0].end()
        rows = journal(here)
        for program, wanted in ((everything, ("",)), (some, topics)):
            events = [checked(json.loads(line)) for line in program.lines]
            expected = [row for row in rows if row[1].startswith(wanted)]
            equal([(event["seq"], event["type"]) for event in events], expected[:len(events)])
            equal(events[-1]["type"], "LIMIT_CHANGED")


def test_what_is_held_when_a_replay_comes_is_told_once():
    equal(told(f"""
        import {{ Order }} from "{LIB}order.js";
        const order = new Order(["A", "B"], 0, "L");
        const row = (type, seq, prev) => ({{ type, seq, prev, ledgerId: "L" }});
        const rows = [row("A", 2, 0), row("B", 3, 0)];
        const beat = {{ type: "HEARTBEAT", ledgerId: "L", payload: {{ newest: 4, topics: {{ A: 2, B: 3 }} }} }};
        console.log(JSON.stringify([order.hear(rows[0]), order.toldAgain(rows, 3), order.hear(beat), order.reached]));
        """), [[[], [{"type": kind, "seq": seq, "prev": 0, "ledgerId": "L"} for kind, seq in (("A", 2), ("B", 3))],
                 [], 4]])


def test_events_of_a_remote_runtime_need_their_endpoint():
    port = free_port()
    with place(serve={"bind": [f"tcp://127.0.0.1:{port}"]}) as here, lives(here.config) as now:
        with node_program(HEAD + """
                const [url, ipc, nobody] = rest;
                const remote = await headgate.connect(url);
                try { remote.events() } catch (e) { say([e.name, e.reason]) }
                const here = await headgate.connect({ url, eventsUrl: ipc });
                const told = async (stream, type) => {
                  for (;;) {
                    const { value } = await stream.next();
                    if (value.type === type) return value.payload.usedDelta ?? type;
                  }
                };
                const stream = here.events();
                await here.record(1);
                say(await told(stream, "USAGE_RECORDED"));
                const hg = await headgate.connect({ url, eventsUrl: nobody });
                const [one, some] = [hg.events(), hg.events({ topics: ["USAGE_", "RUNTIME_"] })];
                for (const tokens of [10, 11, 12]) {
                  await hg.record(tokens);
                  for (const each of [one, some]) say(await told(each, "USAGE_RECORDED"));
                }
                const next = [one, some].map(each => told(each, "RUNTIME_STARTED"));
                say("restart");
                say(await Promise.all(next));
                process.exit(0);
                """, here.config, f"tcp://127.0.0.1:{port}", f"ipc://{here.folder}/headgate.db.d/events.ipc",
                f"tcp://127.0.0.1:{free_port()}") as program:
            program.until(lambda: '"restart"' in program.lines, "events without a subscription")
            now[0].kill()
            time.sleep(3)  # nobody is there who could be asked
            now[0] = Runtime(here.config)
            ended(program)
        [name, reason], *found = [json.loads(line) for line in program.lines]
        equal(name, "HG_ERR_CONFIG")
        assert "HEADGATE_EVENTS_URL" in reason and f"ipc://{here.folder}" in reason, reason
        equal(found, [1, 10, 10, 11, 11, 12, 12, "restart", ["RUNTIME_STARTED"] * 2])


def test_no_question_waits_for_a_runtime_that_is_not_there():
    with place() as here:
        equal(told(f"""
            import {{ Dealer }} from "zeromq";
            import {{ EventStream }} from "headgate";
            import {{ find }} from "{LIB}place.js";
            const send = Dealer.prototype.send;
            Object.defineProperty(Dealer.prototype, "send", {{ async value(frame) {{
              const how = await send.call(this, frame).then(() => "sent", problem => problem.code);
              console.log(JSON.stringify(how));
              process.exit(0);
            }} }});
            const none = `ipc://${{process.argv[2]}}/none`;
            const welcome = {{ ledger: "L", events: none }};
            await new EventStream(find({{ url: none }}), welcome, {{ ask: async () => 0, topics: [] }}).next();
            """, here.folder), ["EAGAIN"])


def test_a_stream_asks_again_where_it_begins():
    with place() as here, runtime(here.config):
        equal(told(CONNECT + f"""
            import {{ find }} from "{LIB}place.js";
            const late = () => Promise.reject(new headgate.DeadlinePassed(9));
            const answers = [late, () => Promise.reject(new headgate.StoreFailed(5)), late, async () => 0];
            const stream = new headgate.EventStream(find({{ config }}), {{ ledger: hg.ledgerId, events: "ipc://none" }},
              {{ ask: () => answers.shift()(), topics: [] }});
            await refused(() => stream.next());
            say(answers.length);
            say((await stream.next()).value.seq);
            stream.close();
            await refused(() => hg.events({{ topics: ["A,B"] }}));
            """, here.config), [["StoreFailed", "HG_ERR_STORE", 5], 2, 1, ["InvalidArgument", "HG_ERR_INVALID", 1]])


def test_a_process_ends_as_it_is_told():
    with place() as here, runtime(here.config):
        for how, code in (("", 0), ("await hg.close()", 0), ("process.exit(3)", 3), ("throw 1", 1),
                          ("for await (const event of hg.events({ fromSeq: 1 })) break", 0),
                          ("for await (const event of hg.events({ fromSeq: 1 })) process.exit(4)", 4)):
            with node_program(CONNECT + "await hg.record(1);\n" + how, here.config) as program:
                ended(program, code)


if __name__ == "__main__":
    sys.exit(main(dict(globals())))
