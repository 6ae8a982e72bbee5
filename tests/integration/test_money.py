#!/usr/bin/env python3
"""Budgets in dollars, from the configuration to the journal: python3 test_money.py BUILD_DIR [NAME ...]

What holds in every case: what the answers cost is at most what is counted, and that at most the limit; the sums of the
journal, taken by SQL, are exact.
"""
import contextlib
import json
import shlex
import sqlite3
import subprocess
import sys

from cli_harness import HEADGATE, WAIT_S, equal, following, headgate, main, status
from cli_harness import place as ledger_place
from cli_harness import serving as serve
from outside_harness import Asker, control
from run_harness import chat_line, place, sim, wait_until

PRICE = {"model": "m*", "input": 2500, "cached": 1250, "cacheWrite": 2500, "output": 10000}
DOLLAR = 10**9


def cost_of(usage, price=PRICE):
    cached = (usage.get("prompt_tokens_details") or {}).get("cached_tokens") or 0
    return ((usage["prompt_tokens"] - cached) * price["input"] + cached * price["cached"] +
            usage["completion_tokens"] * price["output"])


def money_config(here, limit, prices=(PRICE,), **sections):
    path = here.folder / "devs.config.json"
    llm = {"prices": list(prices), **sections.pop("llm", {})}
    budget = {"hardLimitUsd": limit, **sections.pop("tokenBudget", {})}
    path.write_text(json.dumps({"tokenBudget": budget, "llm": llm, **sections}))
    return path


def query(path, sql):
    with contextlib.closing(sqlite3.connect(path)) as db:
        return db.execute(sql).fetchall()


def check_ledger(path, limit):
    """What is used, by the totals, is what the journal adds up to, and inside the limit; every settlement is priced (of a late one the row has
    what it differs from the guess)."""
    (used, reserved), = query(path, "SELECT total_used, reserved FROM token_budget WHERE parent IS NULL")
    (summed, held), = query(path, "SELECT sum(used_delta), sum(reserved_delta) FROM journal")
    equal((used, reserved), (summed, held), "totals and sums")
    assert used <= limit, (used, limit)
    wrong = query(path, f"""SELECT seq, used_delta FROM event WHERE event = 'TOKENS_SETTLED' AND source IS NULL AND late IS NULL AND used_delta <>
        (input_tokens - coalesce(cached_tokens, 0) - coalesce(cache_write_tokens, 0)) * {PRICE['input']}
        + coalesce(cached_tokens, 0) * {PRICE['cached']} + coalesce(cache_write_tokens, 0) * {PRICE['cacheWrite']}
        + output_tokens * {PRICE['output']}""")
    equal(wrong, [], "settlements that are not what their parts cost")
    equal(query(path, "SELECT value FROM meta WHERE key = 'unit'"), [("nanodollars",)])
    return used


# ------------------------------------------------------------------------------------------------ runs


def test_a_run_stays_inside_its_dollars():
    for may_cap in (False, True):
        with sim("--output-fill", 60) as server, place([chat_line(i, max_tokens=900) for i in range(40)]) as here:
            config = money_config(here, "0.12", llm={"mayCapOutput": may_cap}, scheduler={"maxConcurrency": 4})
            summary, _ = here.run("--config", config, "--base-url", server.url, code=3)
            used = check_ledger(here.folder / "headgate.db", DOLLAR * 12 // 100)
            costs = [cost_of(line["response"]["body"]["usage"]) for line in here.results()]
            equal([line["cost_nanodollars"] for line in here.results()], costs)
            equal((summary["budget"]["unit"], summary["budget"]["hardLimit"], summary["budget"]["totalUsed"]),
                  ("nanodollars", 120000000, used))
            equal(sum(costs), used, "handed out and counted")
            equal(summary["run"]["tokens"], used)
            assert used > 90000000 and len(costs) < 40, (used, costs)
            assert (summary["run"]["capped"] > 0) == may_cap, summary
            limit = shlex.split(summary["goOn"])
            equal(limit[:2] + limit[4:5], ["headgate", "limit", "default"], summary["goOn"])
            assert limit[5].startswith("$0.") and limit[6] == "&&", limit
            go_on = summary["goOn"].replace("headgate", str(HEADGATE))
            process = subprocess.run(go_on, shell=True, cwd=here.folder, capture_output=True, text=True, timeout=WAIT_S)
            equal(process.returncode, 0, process.stderr)
            equal(len(here.results()), 40)
            check_ledger(here.folder / "headgate.db", DOLLAR)


def test_a_line_whose_model_has_no_price_is_not_called():
    lines = [chat_line(i) for i in range(3)]
    lines[1]["body"]["model"] = "other"
    with sim() as server, place(lines) as here:
        config = money_config(here, 1)
        process = here.start("--dry-run", "--config", config)
        _, said = process.communicate(timeout=WAIT_S)
        assert process.returncode == 1 and "line 2: unknown_price" in said, said
        summary, _ = here.run("--config", config, "--base-url", server.url, code=1)
        equal(summary["requests"]["failures"], {"unknown_price": 1})
        equal(server.stats()["tokens"] > 0 and len(here.results()), 2)
        failure, = here.failures()
        equal((failure["error"]["code"], failure["error"]["line"]), ("unknown_price", 2))
        assert 'llm.prices has no price of model "other"' in failure["error"]["message"], failure
        money_config(here, 1, prices=(PRICE, {"model": "*", "input": 1, "output": 1}))
        summary, _ = here.run("--config", config, "--base-url", server.url)
        equal(summary["requests"]["doneNow"], 1)


def test_a_run_that_died_is_settled_to_the_nano_dollar():
    """Its results are written and not settled: the next run takes their costs from the lines."""
    lines = [chat_line(i, max_tokens=300) for i in range(60)]
    with sim("--latency-ms", 20) as server, place(lines) as here:
        config = money_config(here, 2, scheduler={"maxConcurrency": 8})
        flags = ("--config", config, "--base-url", server.url)
        process = here.start(*flags)
        wait_until(lambda: here.output.exists() and here.output.read_text().count("\n") >= 12, "results")
        process.kill()
        process.communicate()
        here.run(*flags)
        used = check_ledger(here.folder / "headgate.db", 2 * DOLLAR)
        costs = sum(cost_of(line["response"]["body"]["usage"]) for line in here.results())
        charged = sum(row[0] for row in query(here.folder / "headgate.db",
                                              "SELECT used FROM reservation WHERE state = 'orphaned'"))
        equal((len(here.results()), used), (60, costs + charged), "counted")
        headgate("audit", "--config", str(config))


def test_what_is_learnt_is_a_part_of_the_cost():
    lines = [chat_line(i, max_tokens=200) for i in range(1300)]
    with sim() as server, place(lines) as here:
        config = money_config(here, 20, llm={"reservation": "learned", "tokensPerMinute": 10**9},
                              scheduler={"maxConcurrency": 32})
        summary, _ = here.run("--config", config, "--base-url", server.url)
        assert summary["run"]["savedTokens"] > 0, summary
        check_ledger(here.folder / "headgate.db", 20 * DOLLAR)


# ------------------------------------------------------------------------------------------------ what people see


def test_people_see_dollars():
    with sim("--output-fill", 100) as server, place([chat_line(i, max_tokens=400) for i in range(5)]) as here:
        config = money_config(here, "12.50")
        process = here.start("--dry-run", "--config", config)
        out, said = process.communicate(timeout=WAIT_S)
        assert "available  $12.50 of $12.50 ($0.00 used, $0.00 reserved)" in out, (out, said)
        process = here.start("--config", config, "--base-url", server.url)
        out, said = process.communicate(timeout=WAIT_S)
        used = check_ledger(here.folder / "headgate.db", 125 * DOLLAR // 10)
        shown = f"${used / DOLLAR:.5f}"[:8]
        assert f"of $12.50 used (" in said and "this run   $0.0" in said and " tokens in" in said, said
        table = headgate("status", "--config", str(config))
        assert shown[:7] in table and "$12.50\n" in table and "tokens\n" not in table, table
        figures = status("--config", str(config))
        equal((figures["unit"], figures["totalUsed"]), ("nanodollars", used))
        equal(headgate("orphans", "--config", str(config)), "no orphans\n")
        assert headgate("audit", "--config", str(config)).endswith("all agrees\n")


def test_an_amount_says_its_unit():
    with place(0) as here:
        config = str(money_config(here, 20))
        equal(headgate("limit", "--config", config, "default", "$30"), "default: $20.00 → $30.00\n")
        equal(headgate("limit", "--config", config, "default", "25.5usd"), "default: $30.00 → $25.50\n")
        equal(headgate("correct", "--config", config, "default", "+$1.25", "--why", "w"), "default: +$1.25 (w)\n")
        equal(headgate("correct", "--config", config, "default", "-0.000000001usd", "--why", "w"),
              "default: -$0.000000001 (w)\n")
        equal(status("--config", config)["totalUsed"], 1249999999)
        for words in (("limit", "default", "30"), ("correct", "default", "+5", "--why", "w")):
            _, said = headgate(words[0], "--config", config, *words[1:], code=2)
            assert "this ledger counts dollars" in said and "'$20' or 20usd" in said, said
        for bad in ("$", "$1e3", "usd", "$-1", "$1_0", "20 usd"):
            headgate("limit", "--config", config, "default", bad, code=2)
        with serve(config):
            _, said = headgate("limit", "--config", config, "default", "30", code=2)
            assert "this ledger counts dollars" in said, said
            equal(headgate("limit", "--config", config, "default", "$26"), "default: $25.50 → $26.00\n")
            equal(status("--config", config)["hardLimit"], 26 * DOLLAR)
    with place(0) as here:
        config = str(here.config(1000))
        _, said = headgate("limit", "--config", config, "default", "$30", code=2)
        assert "this ledger counts tokens, not dollars" in said, said


def test_a_limit_in_dollars_needs_prices():
    with sim() as server, place(2) as here:
        process = here.start("--limit", "$20")
        _, said = process.communicate(timeout=WAIT_S)
        assert process.returncode == 2 and "needs llm.prices" in said and "--config FILE" in said, said
        config = here.config(1000)
        process = here.start("--config", config, "--limit", "20usd")
        _, said = process.communicate(timeout=WAIT_S)
        assert process.returncode == 2 and "has no llm.prices" in said, said
        config = here.config(1000, llm={"prices": [PRICE]})  # the flag takes the place of the file's limit
        summary, _ = here.run("--config", config, "--limit", "$2.5", "--base-url", server.url)
        equal((summary["budget"]["hardLimit"], summary["budget"]["unit"]), (5 * DOLLAR // 2, "nanodollars"))
        config = here.config(1000, tokenBudget={"budgets": {"a": {"hardLimitTokens": 5}}}, llm={"prices": [PRICE]})
        process = here.start("--config", config, "--limit", "$20")
        _, said = process.communicate(timeout=WAIT_S)
        assert process.returncode == 2 and "a ledger counts one unit" in said, said


def test_a_ledger_keeps_its_unit():
    with sim() as server, place(1) as here:
        here.run("--config", money_config(here, 1), "--base-url", server.url)
        here.write([chat_line(1), chat_line(2)])
        config = here.config(100000)
        for flags in ((), ("--dry-run",)):
            process = here.start("--config", config, "--base-url", server.url, *flags)
            _, said = process.communicate(timeout=WAIT_S)
            assert process.returncode == 2 and "counts dollars, and that cannot change" in said, said
        equal(headgate("limit", "--ledger", str(here.folder / "headgate.db"), "default", "$3"),
              "default: $1.00 → $3.00\n")
        here.run("--config", money_config(here, 3), "--base-url", server.url)


def test_a_guest_counts_what_its_host_counts():
    with sim() as server, place(3) as here:
        with serve(money_config(here, 1)):
            config = here.config(100000)
            process = here.start("--config", config, "--base-url", server.url)
            _, said = process.communicate(timeout=WAIT_S)
            assert process.returncode == 2 and "the runtime that lives on the ledger counts dollars" in said, said
            summary, said = here.run("--config", money_config(here, 1), "--base-url", server.url)
            equal((summary["requests"]["doneNow"], summary["budget"]["unit"]), (3, "nanodollars"))
        check_ledger(here.folder / "headgate.db", DOLLAR)


def test_a_guest_with_other_prices_is_refused():
    tables = {"dearer": [{**PRICE, "output": PRICE["output"] + 1}], "for nothing": [{**PRICE, "input": 0, "cached": 1}],
              "another model": [{**PRICE, "model": "m"}], "two rows": [{**PRICE, "model": "m-2"}, PRICE]}
    with sim() as server, place(3) as here:
        with serve(money_config(here, 1)):
            for about, prices in tables.items():
                process = here.start("--config", money_config(here, 1, prices), "--base-url", server.url)
                _, said = process.communicate(timeout=WAIT_S)
                equal(process.returncode, 2, about)
                assert "llm.prices differ from those of the runtime that lives on the ledger" in said, (about, said)
            status = json.loads(headgate("status", "--ledger", here.folder / "headgate.db", "--json"))
            equal((status["totalUsed"], status["live"]), (0, True))
            summary, said = here.run("--config", money_config(here, 1), "--base-url", server.url)
            equal(summary["requests"]["doneNow"], 3, said)
        check_ledger(here.folder / "headgate.db", DOLLAR)


def test_watch_shows_dollars():
    with place(0) as here:
        config = str(money_config(here, 20))
        headgate("limit", "--config", config, "default", "$30")
        headgate("correct", "--config", config, "default", "+$1.25", "--why", "w")
        with serve(config), following("following ", "watch", "--config", config, "--plain", "--from", "1") as watch:
            watch.until(lambda: sum("RUNTIME_STARTED" in line for line in watch.lines) >= 3, "the rows so far")
            text = "\n".join(watch.lines)
            assert "limit $30.00" in text and "usedDelta +$1.25" in text and "unit nanodollars" in text, text


# ------------------------------------------------------------------------------------------------ from outside


def answer(model="m-2024", output=7):
    return json.dumps({"id": "x", "object": "chat.completion", "model": model, "choices": [],
                       "usage": {"prompt_tokens": 100, "completion_tokens": output, "total_tokens": 100 + output,
                                 "prompt_tokens_details": {"cached_tokens": 40}}})


def test_the_gateway_prices_answers():
    with ledger_place() as here:
        dear = {"model": "dear", "input": 10, "output": 10}
        here.config.write_text(json.dumps({"tokenBudget": {"hardLimitUsd": 1}, "llm": {"prices": [PRICE, dear]}}))
        with serve(here.config), control(here) as line:
            asker = Asker(line)
            equal(asker.ask("HELLO")["unit"], "nanodollars")
            equal(asker.ask("STATUS")["unit"], "nanodollars")
            own = 60 * 2500 + 40 * 1250 + 7 * 10000
            permit = asker.acquire(5000000)
            done = asker.done("SETTLE_PERMIT", permit=permit, answer=answer())
            equal((done["tokens"], done["source"], done["reason"]), (own, "exact", ""))
            granted = asker.ask("ACQUIRE_PERMIT", model="dear", inputTokens=200, outputTokens=50)
            equal((granted["type"], granted["tokens"]), ("PERMIT_GRANTED", 200 * 20 + 50 * 10))
            done = asker.done("SETTLE_PERMIT", permit=granted["permit"], answer=answer())
            equal(done["tokens"], 107 * 10)
            permit = asker.acquire(3000)
            done = asker.done("SETTLE_PERMIT", permit=permit, answer=answer("nobody"))
            equal((done["source"], done["reason"]), ("missing", "no price is known of the model (llm.prices)"))
            total = json.dumps({"id": "x", "model": "m-2024", "choices": [], "usage": {"total_tokens": 107}})
            permit = asker.acquire(3000)
            done = asker.done("SETTLE_PERMIT", permit=permit, answer=total)
            equal((done["source"], done["reason"]), ("missing", "the answer does not tell input from output"))
            least = 107 * 1250  # at its cheapest, which is more than was reserved
            done = asker.done("RECORD", answer=answer())
            equal(done["tokens"], own)
            refused = asker.ask("RECORD", answer=answer("nobody"))
            equal((refused["error"], refused["reason"]), (2, "no price is known of the model (llm.prices)"))
            equal(asker.ask("STATUS")["totalUsed"], own + 1070 + 3000 + least + own)
            done = asker.done("RECORD", model="dear", inputTokens=30, outputTokens=4)
            equal(done["tokens"], 340)
            done = asker.done("RECORD", model="dear", inputTokens=30, outputTokens=4, cachedTokens=20, cacheWriteTokens=11)
            equal(done["tokens"], 30 * 20 + 4 * 10, "more parts than there is input")
            asker.send("SNAPSHOT")
            equal(asker.receive()["unit"], "nanodollars")


if __name__ == "__main__":
    sys.exit(main(dict(globals())))
