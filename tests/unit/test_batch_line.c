// links: program
// Lines of batch files and of result files: what is taken, what is refused with which words, what is printed.
#include "batch/json_text.h"
#include "batch/line.h"
#include "base/fail.h"
#include "unit/batch_files.h"

#include <jansson.h>

static const struct hg_hash_key key = {1, 2};

static hg_err parse(const char *text, struct hg_batch_line *line, hg_error *why) {
  return hg_batch_line_parse(text, strlen(text), 17, key, line, why);
}

// custom_id: by which the line can be told; NULL: by none.
static void check_refused_by(const char *text, const char *words, const char *custom_id) {
  struct hg_batch_line line;
  hg_error why = HG_ERROR_INIT;
  CHECK_EQ(parse(text, &line, &why), HG_ERR_INVALID);
  if (!strstr(why.text, words)) fprintf(stderr, "%s\n-> %s\nhas no \"%s\"\n", text, why.text, words);
  CHECK(strstr(why.text, words) != NULL);
  CHECK(strncmp(why.text, "line 17", 7) == 0);
  CHECK(strchr(why.text, ';') != NULL); // what to do
  CHECK_EQ(why.code, HG_ERR_INVALID);
  CHECK((line.custom_id != NULL) == (custom_id != NULL));
  if (custom_id) CHECK_STR(line.custom_id, custom_id);
  else CHECK(line.storage == NULL);
  hg_batch_line_clear(&line);
}

static void check_refused(const char *text, const char *words) {
  check_refused_by(text, words, NULL);
}

TEST(batch_line, siphash_vectors) {
  unsigned char bytes[64];
  for (unsigned i = 0; i < 64; i++)
    bytes[i] = (unsigned char)i;
  const struct hg_hash_key paper = {UINT64_C(0x0706050403020100), UINT64_C(0x0f0e0d0c0b0a0908)};
  CHECK(hg_siphash(paper, bytes, 15) == UINT64_C(0xa129ca6149be45e5));
  CHECK(hg_siphash(paper, bytes, 0) == UINT64_C(0x726fdb47dd0e0e31));
  CHECK(hg_siphash(paper, bytes, 1) == UINT64_C(0x74f839c593dc67fd));
  CHECK(hg_siphash(paper, bytes, 8) == UINT64_C(0x93f5f5799a932462));
  CHECK(hg_siphash(paper, bytes, 63) == UINT64_C(0x958a324ceb064572));
}

TEST(batch_line, a_whole_line) {
  struct hg_batch_line line;
  hg_error why = HG_ERROR_INIT;
  const char *text =
      " {\"custom_id\":\"a \\\"b\\\" \\u00e9\\ud83d\\ude00\",\"method\":\"POST\",\"url\":\"/v1/x?y=../z\", "
      "\"other\":[1,{\"custom_id\":2}], \"body\" : {\"model\": \"m\" } ,\"budget\":\"research\"}\r";
  CHECK_EQ(parse(text, &line, &why), HG_OK);
  CHECK_STR(line.custom_id, "a \"b\" \xC3\xA9\xF0\x9F\x98\x80");
  CHECK_STR(line.url, "/v1/x?y=../z");
  CHECK_STR(line.budget, "research");
  CHECK_EQ(line.body_len, 15);
  CHECK(memcmp(line.body, "{\"model\": \"m\" }", 15) == 0 && line.body > text && line.body < text + strlen(text));
  CHECK_EQ(line.line_number, 17);
  CHECK(line.id_hash == hg_id_hash(key, line.custom_id));
  hg_batch_line_clear(&line);
  CHECK(line.storage == NULL);
}

TEST(batch_line, refusals) {
  check_refused("", "byte 1");
  check_refused("nonsense", "byte 1");
  check_refused("[]", "not a JSON object");
  check_refused("{\"custom_id\":\"a\"} x", "byte 19");
  check_refused("{\"method\":\"POST\",\"url\":\"/v1\",\"body\":{}}", "\"custom_id\" is missing");
  check_refused("{\"custom_id\":\"\",\"method\":\"POST\",\"url\":\"/v1\",\"body\":{}}", "\"custom_id\" is empty");
  check_refused("{\"custom_id\":7,\"method\":\"POST\",\"url\":\"/v1\",\"body\":{}}", "\"custom_id\" is not a string");
  check_refused("{\"custom_id\":\"a\\u0000b\",\"method\":\"POST\",\"url\":\"/v1\",\"body\":{}}", "\\u0000");
  check_refused("{\"custom_id\":\"\\ud800\",\"method\":\"POST\",\"url\":\"/v1\",\"body\":{}}", "surrogate");
  check_refused("{\"custom_id\":\"a\xFF\",\"method\":\"POST\",\"url\":\"/v1\",\"body\":{}}", "UTF-8");
  check_refused("{\"custom_id\":\"a\",\"custom_id\":\"b\",\"method\":\"POST\",\"url\":\"/v1\",\"body\":{}}",
                "appears twice");
  check_refused_by("{\"custom_id\":\"a\",\"url\":\"/v1\",\"body\":{}}", "\"method\" is missing", "a");
  check_refused_by("{\"custom_id\":\"a\",\"method\":\"GET\",\"url\":\"/v1\",\"body\":{}}", "\"method\" is not \"POST\"",
                   "a");
  check_refused_by("{\"custom_id\":\"a\",\"method\":\"POST\",\"url\":\"/v1\"}", "\"body\" is missing", "a");
  check_refused_by("{\"custom_id\":\"a\",\"method\":\"POST\",\"url\":\"/v1\",\"body\":\"{}\"}",
                   "\"body\" is not an object", "a");
  check_refused_by("{\"custom_id\":\"a\",\"method\":\"POST\",\"url\":\"/v1\",\"body\":null}",
                   "\"body\" is not an object", "a");
  check_refused_by("{\"custom_id\":\"a\",\"method\":\"POST\",\"body\":{}}", "\"url\" is missing", "a");
  check_refused_by("{\"custom_id\":\"a\",\"method\":\"POST\",\"url\":\"/v1\",\"body\":{},\"budget\":3}",
                   "\"budget\" is not", "a");
}

TEST(batch_line, refused_urls) {
  static const char *const bad[] = {"v1/x",         "http://host/v1", "//host/v1",   "/v1/../admin", "/..",
                                    "/v1/%2E%2e/x", "/v1/.%2e?x",     "/v1\\u000ax", "/v1 x",        "/v1\\u007f",
                                    "/v1\\u00e9",   "/a\\\\..\\\\b",  "/x://y",      "/v1/..#f"};
  static const char *const good[] = {"/v1/chat/completions", "/v1/a..b", "/v1/...", "/score", "/v1/.well",
                                     "/x?u=http://y"};
  char text[256];
  for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
    snprintf(text, sizeof text, "{\"custom_id\":\"a\",\"method\":\"POST\",\"url\":\"%s\",\"body\":{}}", bad[i]);
    check_refused_by(text, "\"url\"", "a");
  }
  for (size_t i = 0; i < sizeof good / sizeof *good; i++) {
    struct hg_batch_line line;
    snprintf(text, sizeof text, "{\"custom_id\":\"a\",\"method\":\"POST\",\"url\":\"%s\",\"body\":{}}", good[i]);
    CHECK_EQ(parse(text, &line, NULL), HG_OK);
    CHECK_STR(line.url, good[i]);
    hg_batch_line_clear(&line);
  }
}

TEST(batch_line, the_longest_custom_id) {
  for (size_t len = HG_CUSTOM_ID_MAX; len <= HG_CUSTOM_ID_MAX + 1; len++) {
    char id[HG_CUSTOM_ID_MAX + 2] = "", text[HG_CUSTOM_ID_MAX + 128];
    memset(id, 'x', len);
    snprintf(text, sizeof text, "{\"custom_id\":\"%s\",\"method\":\"POST\",\"url\":\"/v1\",\"body\":{}}", id);
    if (len > HG_CUSTOM_ID_MAX) {
      check_refused(text, "\"custom_id\" is too long");
      continue;
    }
    struct hg_batch_line line;
    CHECK_EQ(parse(text, &line, NULL), HG_OK);
    CHECK_STR(line.custom_id, id);
    hg_batch_line_clear(&line);
  }
}

static uint64_t request_hash_of(const char *url, const char *body, const char *more, struct hg_hash_key run_key) {
  char text[256];
  struct hg_batch_line line;
  snprintf(text, sizeof text, "{\"custom_id\":\"a\",\"method\":\"POST\",\"url\":\"%s\",\"body\":%s%s}", url, body,
           more);
  CHECK_EQ(hg_batch_line_parse(text, strlen(text), 1, run_key, &line, NULL), HG_OK);
  const uint64_t hash = line.request_hash;
  hg_batch_line_clear(&line);
  return hash;
}

TEST(batch_line, request_hash_is_stable_and_tells_requests_apart) {
  const uint64_t hash = request_hash_of("/v1", "{\"a\":1}", "", key);
  CHECK(hash == request_hash_of("/v1", "{\"a\":1}", "", (struct hg_hash_key){77, 88})); // not of this run's key
  CHECK(hash == request_hash_of("/v1", "{\"a\":1}", ",\"other\":1", key));
  CHECK(hash != request_hash_of("/v2", "{\"a\":1}", "", key));
  CHECK(hash != request_hash_of("/v1", "{\"a\":2}", "", key));
  CHECK(hash != request_hash_of("/v1", "{\"a\":1}", ",\"budget\":\"b\"", key));
  CHECK(hash != hg_request_hash_with_model(hash, "m"));
  CHECK(hg_request_hash_with_model(hash, "m") != hg_request_hash_with_model(hash, "n"));
  // Results files keep it: a change of this number would make every line of an old run look changed.
  CHECK(hash == UINT64_C(0xc07654030f19977a));
}

static void check_printed(const struct hg_result *result, const char *wanted) {
  struct hg_text_buffer out = {0};
  CHECK_EQ(hg_result_line_print(&out, result), HG_OK);
  CHECK_EQ(hg_text_buffer_add(&out, "", 1), HG_OK); // its NUL
  CHECK_STR(out.data, wanted);
  hg_text_buffer_clear(&out);
}

TEST(batch_line, printed_results) {
  struct hg_result result = {.custom_id = "a",
                             .permit = 0x123,
                             .request_hash = 0xabc,
                             .ledger = 0xf1,
                             .status = 200,
                             .request_id = "r",
                             .body = "\n{ \"x\" : [ 1 , \"a \\\" b\" ]\r\n}\n",
                             .body_len = 32};
  result.body_len = strlen(result.body);
  check_printed(&result, "{\"id\":\"batch_req_00000000000001230000000000000abc00000000000000f1\",\"custom_id\":\"a\","
                         "\"response\":{\"status_"
                         "code\":200,\"request_id\":\"r\",\"body\":{\"x\":[1,\"a \\\" b\"]}},\"error\":null}\n");
  result.body = "<html>\xFF\x01\"\xE2\x82";
  result.body_len = strlen(result.body);
  result.status = 502;
  result.request_id = NULL;
  check_printed(&result,
                "{\"id\":\"batch_req_00000000000001230000000000000abc00000000000000f1\",\"custom_id\":\"a\","
                "\"response\":{\"status_"
                "code\":502,\"request_id\":null,\"body\":\"<html>\xEF\xBF\xBD\\u0001\\\"\xEF\xBF\xBD\xEF\xBF\xBD\"},"
                "\"error\":null}\n");
  const struct hg_result none = {.error_code = "invalid_line", .error_message = "line 3: \"x\"", .line_number = 3};
  check_printed(
      &none,
      "{\"id\":\"batch_req_000000000000000000000000000000000000000000000000\",\"custom_id\":null,\"response\":null,"
      "\"error\":{\"code\":\"invalid_line\",\"message\":\"line 3: \\\"x\\\"\",\"line\":3}}\n");
}

// What was charged, in the unit of the ledger, and whether it was known.
TEST(batch_line, charges_are_read_as_they_were_printed) {
  for (int i = 0; i < 8; i++) {
    const struct hg_result result = {.custom_id = "a",
                                     .status = 200,
                                     .body = "{}",
                                     .body_len = 2,
                                     .has_cost = i & 1,
                                     .estimated = i & 2,
                                     .unit = i & 4 ? HG_UNIT_NANODOLLARS : HG_UNIT_TOKENS,
                                     .cost = 10 + i};
    struct hg_text_buffer out = {0};
    struct hg_result_line line;
    CHECK_EQ(hg_result_line_print(&out, &result), HG_OK);
    CHECK_EQ(hg_result_line_parse(out.data, out.len - 1, &line), HG_OK);
    CHECK_EQ(line.used_tokens, (i & 5) == 1 ? 10 + i : HG_UNKNOWN);
    CHECK_EQ(line.cost, (i & 5) == 5 ? 10 + i : HG_UNKNOWN);
    CHECK_EQ(line.estimated, (i & 3) == 3);
    hg_result_line_clear(&line);
    hg_text_buffer_clear(&out);
  }
}

TEST(batch_line, too_long_an_answer_prints_nothing) {
  struct hg_text_buffer out = {0};
  CHECK_EQ(hg_text_buffer_add_text(&out, "before"), HG_OK);
  const struct hg_result result = {.custom_id = "a", .status = 200, .body = "{}", .body_len = HG_BODY_MAX + 1};
  CHECK_EQ(hg_result_line_print(&out, &result), HG_ERR_INVALID);
  CHECK_EQ(out.len, 6);
  hg_text_buffer_clear(&out);
}

TEST(batch_line, the_mark_of_a_ledger) {
  CHECK_EQ(hg_ledger_mark("6f1c2a3b-0d4e-4f50-8a61-1122334455ff"), 0x6f1c2a3b0d4e4f50);
  CHECK_EQ(hg_ledger_mark("6f1c2a3b-0d4e-4f5"), 0);
  CHECK_EQ(hg_ledger_mark("6f1c2a3b-0d4e-4g50-8a61-1122334455ff"), 0);
  CHECK_EQ(hg_ledger_mark(""), 0);
}

static void check_read_back(const char *text, hg_err err, bool succeeded) {
  struct hg_result_line line;
  CHECK_EQ(hg_result_line_parse(text, strlen(text), &line), err);
  if (err) return;
  CHECK_EQ(line.succeeded, succeeded);
  hg_result_line_clear(&line);
}

TEST(batch_line, results_of_other_programs) {
  struct hg_result_line line;
  const char *text =
      "{\"id\":\"vllm-123\",\"custom_id\":\"a\",\"response\":{\"status_code\":200,\"body\":{\"u\":1}},\"error\":null}";
  CHECK_EQ(hg_result_line_parse(text, strlen(text), &line), HG_OK);
  CHECK(line.succeeded && line.permit == 0 && line.request_hash_stored == 0);
  CHECK(line.body_len == 7 && memcmp(line.body, "{\"u\":1}", 7) == 0);
  hg_result_line_clear(&line);
  check_read_back("{\"custom_id\":\"a\",\"response\":{\"status_code\":299,\"body\":{}}}", HG_OK, true);
  check_read_back("{\"custom_id\":\"a\",\"response\":{\"status_code\":500,\"body\":null},\"error\":\"no\"}", HG_OK,
                  false);
  check_read_back("{\"custom_id\":\"a\",\"response\":{\"status_code\":200,\"body\":null},\"error\":{\"code\":1}}",
                  HG_OK, false);
  check_read_back("{\"custom_id\":\"a\",\"response\":null,\"error\":null}", HG_OK, false);
  check_read_back("{\"custom_id\":\"a\",\"method\":\"POST\",\"url\":\"/v1\",\"body\":{}}", HG_ERR_INVALID, false);
  check_read_back("{\"custom_id\":null,\"response\":null,\"error\":null}", HG_ERR_INVALID, false);
  check_read_back("{\"custom_id\":7,\"response\":null,\"error\":{}}", HG_ERR_INVALID, false);
  check_read_back("{\"custom_id\":null,\"response\":null,\"error\":{}}", HG_OK, false); // a line that was not valid
  check_read_back("{\"id\":\"batch_req_\"", HG_ERR_INVALID, false);
}

// --- randomized round trips, with jansson as the judge

static size_t random_text(uint64_t *random, char *out, size_t most, bool valid) {
  static const char *const pieces[] = {"\"", "\\", "\x01",     "\n",           "\x7F",
                                       "/",  "a",  "\xC3\xA9", "\xE2\x80\xA8", "\xF0\x9F\x98\x80"};
  static const char *const broken[] = {"\xFF", "\xC3", "\xED\xA0\x80", "\xF4\x90\x80\x80", "\xC0\x80"};
  size_t len = 0;
  const size_t wanted = test_random(random, most - 4);
  while (len < wanted) {
    const char *piece =
        !valid && test_random(random, 4) == 0 ? broken[test_random(random, 5)] : pieces[test_random(random, 10)];
    memcpy(out + len, piece, strlen(piece));
    len += strlen(piece);
  }
  out[len] = '\0';
  return len;
}

static json_t *random_json(uint64_t *random, int depth) {
  char text[40];
  switch (test_random(random, depth > 0 ? 7 : 5)) {
  case 0: return json_null();
  case 1: return json_boolean(test_random(random, 2));
  case 2: return json_integer((json_int_t)test_random(random, 1 << 30) - 5000);
  case 3: return json_real((double)test_random(random, 1000) / 7.0);
  case 4: return random_text(random, text, 30, true), json_string(text);
  case 5: {
    json_t *array = json_array();
    for (uint64_t n = test_random(random, 4); n > 0; n--)
      json_array_append_new(array, random_json(random, depth - 1));
    return array;
  }
  default: {
    json_t *object = json_object();
    for (uint64_t n = test_random(random, 4); n > 0; n--) {
      random_text(random, text, 12, true);
      json_object_set_new(object, text, random_json(random, depth - 1));
    }
    return object;
  }
  }
}

static void check_read_back_result(const struct hg_text_buffer *out, const struct hg_result *result) {
  struct hg_result_line line;
  CHECK_EQ(hg_result_line_parse(out->data, out->len - 1, &line), HG_OK);
  CHECK_STR(line.custom_id, result->custom_id);
  CHECK(line.permit == result->permit && line.request_hash_stored == result->request_hash);
  CHECK_EQ(line.succeeded, result->status >= 200 && result->status < 300 && !result->error_code);
  CHECK_EQ(line.status, result->status);
  CHECK_STR(line.error_code, result->error_code ? result->error_code : "");
  CHECK((line.body != NULL) == (result->status != 0 && result->body_len > 0));
  hg_result_line_clear(&line);
}

TEST(batch_line, random_results_round_trip) {
  uint64_t random = test_seed();
  for (int round = 0; round < 4000; round++) {
    char id[64], raw[128];
    if (random_text(&random, id, 60, true) == 0) continue;
    json_t *tree = test_random(&random, 3) ? json_pack("{so}", "it", random_json(&random, 4)) : NULL;
    const size_t flags =
        (size_t)(JSON_INDENT(test_random(&random, 8)) | (test_random(&random, 2) ? JSON_ENSURE_ASCII : 0));
    char *body = tree ? json_dumps(tree, flags) : strdup((random_text(&random, raw, 120, false), raw));
    const struct hg_result result = {.custom_id = id,
                                     .permit = test_random(&random, 1u << 31),
                                     .request_hash = ~test_random(&random, 1u << 31),
                                     .status = (long)(100 * test_random(&random, 6)),
                                     .body = body,
                                     .body_len = strlen(body),
                                     .body_is_json = tree && test_random(&random, 2),
                                     .error_code = test_random(&random, 2) ? "invalid_response" : NULL,
                                     .error_message = id};
    struct hg_text_buffer out = {0};
    CHECK_EQ(hg_result_line_print(&out, &result), HG_OK);
    CHECK(memchr(out.data, '\n', out.len) == out.data + out.len - 1);
    json_t *line = json_loadb(out.data, out.len, JSON_ALLOW_NUL, NULL);
    CHECK(line != NULL);
    CHECK_STR(json_string_value(json_object_get(line, "custom_id")), id);
    const json_t *printed = json_object_get(json_object_get(line, "response"), "body");
    CHECK(result.status != 0 || printed == NULL);
    if (result.status != 0 && tree) CHECK(json_equal(printed, tree));
    if (result.status != 0 && !tree && body[0]) {
      json_t *own = json_loads(body, JSON_DECODE_ANY, NULL);
      CHECK(own ? json_equal(printed, own) : json_is_string(printed));
      json_decref(own);
    }
    check_read_back_result(&out, &result);
    json_decref(line);
    json_decref(tree);
    free(body);
    hg_text_buffer_clear(&out);
  }
}

// What the grammar allows and jansson does not: half a surrogate pair, huge numbers, a repeated or odd name in the
// body.
static bool only_jansson_minds(const char *text, const json_error_t *why) {
  const enum json_error_code code = json_error_code(why);
  return strstr(text, "\\ud") || strstr(text, "\\uD") || code == json_error_numeric_overflow ||
         code == json_error_duplicate_key || code == json_error_null_byte_in_key;
}

// Strings as jansson prints them, decoded by us; and damaged lines, which we must take or refuse as jansson does.
TEST(batch_line, random_lines_against_jansson) {
  uint64_t random = test_seed();
  unsigned taken = 0, refused = 0;
  for (int round = 0; round < 4000; round++) {
    char id[64];
    if (random_text(&random, id, 60, true) == 0) continue;
    json_t *tree = json_pack("{ss, ss, ss, s{so}}", "custom_id", id, "method", "POST", "url", "/v1/x", "body", "b",
                             random_json(&random, 4));
    CHECK(tree != NULL);
    char *text = json_dumps(tree, test_random(&random, 2) ? JSON_ENSURE_ASCII : 0);
    const size_t len = strlen(text);
    const bool damaged = test_random(&random, 2);
    if (damaged) text[test_random(&random, len)] = "\"\\{}[],:0\xFFx\x01 "[test_random(&random, 13)];
    json_error_t why;
    json_t *judged = json_loadb(text, len, JSON_ALLOW_NUL | JSON_REJECT_DUPLICATES, &why);
    struct hg_batch_line line;
    const hg_err err = hg_batch_line_parse(text, len, 1, key, &line, NULL);
    if (!damaged) CHECK_EQ(err, HG_OK);
    if (!err && !judged) CHECK(only_jansson_minds(text, &why));
    if (!err && judged) CHECK_STR(line.custom_id, json_string_value(json_object_get(judged, "custom_id")));
    if (!err) CHECK(line.body[0] == '{' && line.body[line.body_len - 1] == '}');
    if (!damaged) CHECK_STR(line.custom_id, id);
    taken += err == HG_OK, refused += err == HG_ERR_INVALID;
    json_decref(judged);
    json_decref(tree);
    free(text);
    hg_batch_line_clear(&line);
  }
  CHECK(taken > 1000 && refused > 500);
}

TEST(batch_line, every_cut_of_a_line_is_refused_without_harm) {
  const char *text =
      "{\"custom_id\":\"\\ud83d\\ude00\",\"method\":\"POST\",\"url\":\"/v1\",\"body\":{\"x\":[-1.5e+3,true,null]}}";
  for (size_t len = 0; len < strlen(text); len++) {
    char *cut = malloc(len ? len : 1); // exactly this long, so that a sanitizer sees a read beyond it
    CHECK(cut != NULL);
    memcpy(cut, text, len);
    struct hg_batch_line line;
    CHECK_EQ(hg_batch_line_parse(cut, len, 1, key, &line, NULL), HG_ERR_INVALID);
    CHECK(line.storage == NULL);
    free(cut);
  }
}

TEST(batch_line, texts_of_the_user_in_messages) {
  char longer[200];
  memset(longer, 'x', sizeof longer - 1);
  longer[sizeof longer - 1] = '\0';
  memcpy(longer + HG_SHOWN_MAX - 1, "\xC3\xA9", 2); // across the cut
  CHECK_STR(hg_show("a\nb\x7F").text, "a?b?");
  const struct hg_shown shown = hg_show(longer);
  CHECK_EQ(strlen(shown.text), HG_SHOWN_MAX - 1 + 3);
  CHECK(hg_utf8_length("\xE2\x82\xAC", 3) == 3 && hg_utf8_length("\xE2\x82\xAC", 2) == 0);
}
