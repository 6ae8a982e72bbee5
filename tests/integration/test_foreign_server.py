#!/usr/bin/env python3
"""headgate run, end to end, against a server that is not llm-sim: python3 test_foreign_server.py BUILD_DIR [NAME ...]

Standard library only. What holds in every case: the tokens that the server handed out are at most the limit, and the
ledger's total; no request is answered twice; where nothing broke, server and ledger agree to the token.
"""
import json
import sys

from cli_harness import equal, main
from foreign_server import foreign
from run_harness import CHAT, audit, chat_line, place

MESSAGES = "/v1/messages"


def line(name, url, **body):
    return {"custom_id": name, "method": "POST", "url": url, "body": {"model": "m", **body}}


def lines_of_all_endpoints(count):
    """Requests to all five endpoints, all different from each other."""
    lines = []
    for i in range(count):
        user = [{"role": "user", "content": f"what is {i} in words?"}]
        lines += [line(f"chat-{i}", CHAT, messages=user, max_tokens=30),
                  line(f"choices-{i}", CHAT, messages=user, max_completion_tokens=12, n=3),
                  line(f"responses-{i}", "/v1/responses", input=f"say {i}", instructions="be brief",
                       max_output_tokens=25),
                  line(f"completions-{i}", "/v1/completions", prompt=[f"it was {i}", "and then"], max_tokens=15),
                  line(f"embeddings-{i}", "/v1/embeddings", input=[f"number {i}", "zwölf Boxkämpfer"]),
                  line(f"messages-{i}", MESSAGES, system="be kind", messages=user, max_tokens=20)]
    return lines


def check(server, here, summary, exact=True):
    """What holds after every run; `exact`: nothing broke on the way."""
    budget, results = summary["budget"], here.results()
    equal(len({result["custom_id"] for result in results}), len(results), "results with a custom_id of their own")
    equal(set(server.seen.values()) - {1}, set(), "requests that were answered more than once")
    assert server.tokens <= budget["totalUsed"] <= budget["hardLimit"], (server.tokens, budget)
    equal(audit(here.folder / "results.db"), budget["totalUsed"], "total of the ledger")
    if exact:
        equal(budget["totalUsed"], server.tokens, "total of the ledger, tokens of the server")
        equal(len(results), len(server.seen), "results, requests that were answered")
        equal((summary["run"]["estimated"], summary["run"]["retries"]), (0, 0), "estimated, retries")


def small_then_enough(server, base, lines, exact=True):
    """A limit that is too small, then one that is not: the rest is done, and nothing twice."""
    with place(lines) as here:
        flags = ["--max-concurrency", 8, "--base-url", server.url + base]
        if not exact: # a call may break more than once
            flags += ["--config", here.config(1, llm={"retryUnknownOutcome": 50, "maxAttempts": 50},
                                              ledger={"path": "results.db"})]
        summary, _ = here.run("--limit", 2000, *flags, code=3)
        check(server, here, summary, exact)
        assert 0 < len(here.results()) < len(lines) and server.tokens <= 2000, summary
        summary, said = here.run("--limit", "1M", *flags)
        check(server, here, summary, exact)
        equal(({result["custom_id"] for result in here.results()}, here.failures()),
              ({each["custom_id"] for each in lines}, []), said)
        equal(len(server.seen), len(lines), "requests")
        summary, _ = here.run("--limit", "1M", *flags)
        equal((summary["requests"]["doneNow"], summary["requests"]["doneBefore"]), (0, len(lines)))
        check(server, here, summary, exact)
        return here.results()


def in_way(*ways, exact=True):
    with foreign(*ways) as server:
        results = small_then_enough(server, "", lines_of_all_endpoints(12), exact)
    [chat] = [result for result in results if result["custom_id"] == "chat-3"]
    equal(chat["response"]["body"]["choices"][0]["message"]["content"], "Grüße, \"Welt\" \\ 你好 \u2028 \N{ROCKET}")
    equal(chat["response"]["request_id"], "req_1")
    return server


# ------------------------------------------------------------------------------------------------ ways of answering


def test_plain():
    in_way()


def test_chunked():
    in_way("chunked")


def test_connection_close():
    in_way("close")


def test_until_close():
    in_way("until-close")


def test_a_server_that_hangs_up_without_a_word():
    in_way("hangs-up", exact=False)  # a request that met the end of its connection is charged and made again


def test_lower_case_headers():
    in_way("lower-case", "plain-text")


def test_interim_answers():
    in_way("early-hints")


def test_a_few_bytes_at_a_time():
    in_way("one-by-one", "chunked")


def test_usage_with_details_and_strange_members():
    in_way("details")


def test_nulls():
    in_way("nulls", "ascii")


def test_pretty_printed():
    in_way("pretty")


def test_byte_order_mark():
    in_way("bom")
    in_way("bom", "pretty", "chunked")


def test_gzip_where_accepted():
    assert in_way("gzip").compressed > 0
    in_way("gzip", "chunked", "bom")


def test_gzip_whatever_is_accepted():
    assert in_way("gzip-always").compressed > 0


def test_the_length_of_an_answer_is_that_of_its_text():
    with foreign("huge", "gzip") as server, place(1) as here:
        summary, _ = here.run("--limit", "1M", "--base-url", server.url, code=1)
        check(server, here, summary, exact=False)
        equal((server.compressed, summary["requests"]["failures"]), (1, {"invalid_response": 1}))
        equal((summary["run"]["calls"], summary["run"]["estimated"]), (1, 1), "calls, estimated")


def test_an_answer_that_cannot_be_decoded_is_charged_and_not_called_again():
    """Five lines are too few to tell that the server answers nobody so; thirty are enough, and are left."""
    for lines, code, stopped, failures in ((5, 1, "none", {"invalid_response": 5}), (30, 2, "access", {})):
        with foreign("zebra") as server, place(lines) as here:
            summary, _ = here.run("--limit", "1M", "--max-concurrency", 1, "--base-url", server.url, code=code)
            check(server, here, summary, exact=False)
            equal((summary["stopped"], summary["requests"]["failures"]), (stopped, failures))
            calls = sum(server.seen.values())
            equal((summary["run"]["calls"], summary["run"]["estimated"], summary["run"]["retries"]), (calls, calls, 0))
            assert calls == 5 if lines == 5 else 20 <= calls < 30, calls
            for failure in here.failures():
                assert "can't be decoded" in failure["error"]["message"], failure


def test_a_bad_status_that_cannot_be_decoded_keeps_its_meaning():
    with foreign("zebra", prefix="/elsewhere") as server, place(40) as here:
        summary, _ = here.run("--limit", "1M", "--base-url", server.url, code=2)
        equal((summary["stopped"], summary["requests"]["failed"], summary["budget"]["totalUsed"]), ("access", 0, 0))
        assert "HTTP 404" in summary["reason"], summary


# ------------------------------------------------------------------------------------------------ where it is served


def test_base_urls():
    lines = lines_of_all_endpoints(12)
    chats = [each for each in lines if each["url"] != MESSAGES]
    with foreign() as server:
        small_then_enough(server, "/v1/", lines)
    with foreign(prefix="/gateway/openai/v1") as server:
        small_then_enough(server, "/gateway/openai/v1", lines)
    with foreign(prefix="/gateway/openai/v1", query="api-version=2024-10-21&team=a%20b") as server:
        small_then_enough(server, "/gateway/openai/v1?api-version=2024-10-21&team=a%20b", lines)
    with foreign(prefix="/v1beta/openai") as server:
        small_then_enough(server, "/v1beta/openai/", chats)


def test_wrong_path_stops_and_marks_nothing_failed():
    with foreign(prefix="/other/v1") as server, place(40) as here:
        summary, _ = here.run("--limit", "1M", "--base-url", server.url, code=2)
        equal((summary["stopped"], summary["requests"]["failed"], here.failures()), ("access", 0, []))
        assert "no route /v1/chat/completions" in summary["reason"], summary
        equal((server.tokens, summary["budget"]["totalUsed"]), (0, 0))
        summary, _ = here.run("--limit", "1M", "--base-url", server.url + "/other/v1")
        check(server, here, summary)
        equal(len(here.results()), 40)


def test_a_path_that_one_line_names_wrongly_fails_alone():
    lines = [chat_line(i) for i in range(10)] + [line("wrong", "/v1/chat/completion", messages=[], max_tokens=5)]
    with foreign() as server, place(lines) as here:
        summary, _ = here.run("--limit", "1M", "--base-url", server.url, code=1)
        check(server, here, summary)
        [failure] = here.failures()
        equal((failure["custom_id"], failure["response"]["status_code"]), ("wrong", 404))
        assert "no route" in json.dumps(failure), failure


def test_the_configuration_names_the_server():
    with foreign("chunked") as server, place(lines_of_all_endpoints(5)) as here:
        config = here.config(100_000, llm={"baseUrl": server.url}, ledger={"path": "results.db"})
        summary, _ = here.run("--config", config)
        check(server, here, summary)
        equal(len(here.results()), 30)


if __name__ == "__main__":
    sys.exit(main(dict(globals())))
