// The JSON scanner: the grammar by hand-picked cases, then held against jansson on thousands of mutated texts.
#include "support/test.h"

#include "headgate.h"
#include "base/json_scan.h"

#include <jansson.h>

// Checks a copy without a NUL behind it, so that AddressSanitizer sees a read past the end.
static const char *check_copy(const char *text, size_t len) {
  char *copy = malloc(len ? len : 1);
  CHECK(copy);
  memcpy(copy, text, len);
  struct hg_json root;
  size_t where;
  const char *fault = hg_json_check(copy, len, &root, &where);
  CHECK(where <= len);
  free(copy);
  return fault;
}

TEST(json_scan, grammar) {
  static const char *const good[] = {
      "{}",   " [ ] ",          "null", "-0.5e+10",    "0",           "\"\\u00e9\\ud83d\\ude00\"",
      "[[]]", "[1,{\"a\":[]}]", "true", "\"\\ud83d\"", "{\"\":\"\"}", "{\"a\":{},\"b\":[1,2]}"};
  static const char *const bad[] = {"",
                                    "{",
                                    "[1,]",
                                    "{\"a\"}",
                                    "{\"a\":1,}",
                                    "01",
                                    "1.",
                                    "+1",
                                    "nul",
                                    "\"\\x\"",
                                    "\"\\u12g4\"",
                                    "\"\n\"",
                                    "\"\xc0\xaf\"",
                                    "\"\xed\xa0\x80\"",
                                    "\"\xf5\x80\x80\x80\"",
                                    "\"\xe2\x82\"",
                                    "[1 2]",
                                    "{}{}",
                                    "[}",
                                    "{\"a\":1]",
                                    "'a'",
                                    "NaN",
                                    "Infinity",
                                    "{1:2}",
                                    "\"abc",
                                    "-",
                                    "1e",
                                    "\xef\xbb\xbf{}",
                                    "[1]x",
                                    ",",
                                    "{,}"};
  for (size_t i = 0; i < sizeof good / sizeof *good; i++)
    CHECK(check_copy(good[i], strlen(good[i])) == NULL);
  for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
    if (!check_copy(bad[i], strlen(bad[i]))) fprintf(stderr, "accepted: %s\n", bad[i]);
    CHECK(check_copy(bad[i], strlen(bad[i])) != NULL);
  }
  CHECK(check_copy("{\"a\":\0}", 7) != NULL);
}

TEST(json_scan, depth_is_bounded) {
  char text[2 * (HG_JSON_DEPTH_MAX + 1)];
  for (int depth = HG_JSON_DEPTH_MAX; depth <= HG_JSON_DEPTH_MAX + 1; depth++) {
    memset(text, '[', (size_t)depth);
    memset(text + depth, ']', (size_t)depth);
    const char *fault = check_copy(text, 2 * (size_t)depth);
    CHECK_EQ(fault == NULL, depth == HG_JSON_DEPTH_MAX);
    if (fault) CHECK_STR(fault, "values are nested deeper than 256 levels");
  }
}

TEST(json_scan, members) {
  const char *text = " { \"a\" : 1 , \"b\\u0063\" : \"x\\\\\" , \"a\" : [ 1 , \"]\" ] , \"d\":{\"a\":2} } ";
  struct hg_json root;
  CHECK(hg_json_check(text, strlen(text), &root, NULL) == NULL);
  struct hg_json_field fields[] = {{.name = "a"}, {.name = "bc"}, {.name = "d"}, {.name = "e"}, {.name = NULL}};
  hg_json_pick(&root, fields, 5);
  CHECK(fields[0].repeated && fields[0].value.type == HG_JSON_ARRAY && fields[0].value.len == 11);
  CHECK(!fields[1].repeated && hg_json_is(&fields[1].value, "x\\") && !hg_json_is(&fields[1].value, "x"));
  CHECK(fields[2].value.type == HG_JSON_OBJECT && fields[3].value.type == HG_JSON_NONE);
  CHECK(fields[4].value.type == HG_JSON_NONE);
  const char *cursor = NULL;
  struct hg_json element;
  CHECK(hg_json_next(&fields[0].value, &cursor, NULL, &element) && element.type == HG_JSON_NUMBER);
  CHECK(hg_json_next(&fields[0].value, &cursor, NULL, &element) && hg_json_is(&element, "]"));
  CHECK(!hg_json_next(&fields[0].value, &cursor, NULL, &element));
}

static bool copies(const char *text, size_t capacity, const char *expected) {
  struct hg_json root;
  char out[64];
  CHECK(hg_json_check(text, strlen(text), &root, NULL) == NULL);
  const bool copied = hg_json_copy(&root, out, capacity);
  CHECK_STR(out, expected);
  return copied;
}

TEST(json_scan, copies_strings) {
  CHECK(copies("\"\"", 1, ""));
  CHECK(copies("\"a\\u00e9\\ud83d\\ude00\\/\"", 64, "a\xc3\xa9\xf0\x9f\x98\x80/"));
  CHECK(copies("\"abc\"", 4, "abc"));
  CHECK(!copies("\"abc\"", 3, ""));
  CHECK(!copies("\"a\\ud83d\"", 64, ""));
  CHECK(!copies("\"a\\u0000b\"", 64, ""));
  CHECK(!copies("\"a\\nb\"", 64, ""));
  CHECK(!copies("12", 64, ""));
}

static void shows(const char *text, size_t capacity, const char *expected) {
  struct hg_json root;
  char out[64];
  CHECK(hg_json_check(text, strlen(text), &root, NULL) == NULL);
  hg_json_show(&root, out, capacity);
  CHECK_STR(out, expected);
}

TEST(json_scan, shows_strings_whatever_they_hold) {
  shows("\"\"", 1, "");
  shows("\"plain\"", 64, "plain");
  shows("\"two\\nlines\\u0000\\u001b[31m\x7f\"", 64, "two lines  [31m ");
  shows("\"\\u009b\xc2\x9b\\ud83dx\"", 64, "???x");
  shows("\"abcdef\"", 4, "abc");
  shows("\"a\xc3\xa9\xe2\x82\xac\"", 6, "a\xc3\xa9"); // never half a character
  shows("\"a\xc3\xa9\xe2\x82\xac\"", 7, "a\xc3\xa9\xe2\x82\xac");
  shows("\"\\ud83d\\ude00\"", 4, "");
  shows("12", 64, "");
  shows("null", 64, "");
}

TEST(json_scan, token_counts) {
  static const struct {
    const char *text;
    int64_t count; // -1: refused
  } cases[] = {{"0", 0},
               {"12", 12},
               {"9007199254740991", HG_TOKENS_MAX},
               {"9007199254740992", -1},
               {"-1", -1},
               {"1.0", -1},
               {"1e3", -1},
               {"18446744073709551617", -1},
               {"\"12\"", -1},
               {"null", -1},
               {"true", -1},
               {"[1]", -1},
               {"99999999999999999999999999999999999999999999", -1}};
  for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
    struct hg_json root;
    int64_t count = -1;
    CHECK(hg_json_check(cases[i].text, strlen(cases[i].text), &root, NULL) == NULL);
    CHECK_EQ(hg_json_tokens(&root, &count) == NULL, cases[i].count >= 0);
    CHECK_EQ(count, cases[i].count);
  }
}

// ---------------------------------------------------------------------------------------------- against jansson

static uint64_t state;

static size_t below(size_t n) {
  state ^= state << 13;
  state ^= state >> 7;
  state ^= state << 17;
  return (size_t)(state % n);
}

static bool same_value(const struct hg_json *ours, json_t *theirs) {
  const char *cursor = NULL;
  struct hg_json name, value;
  size_t count = 0;
  switch (json_typeof(theirs)) {
  case JSON_NULL: return ours->type == HG_JSON_NULL;
  case JSON_TRUE: return ours->type == HG_JSON_TRUE;
  case JSON_FALSE: return ours->type == HG_JSON_FALSE;
  case JSON_REAL: return ours->type == HG_JSON_NUMBER;
  case JSON_INTEGER: {
    const json_int_t integer = json_integer_value(theirs);
    int64_t tokens;
    if (ours->type != HG_JSON_NUMBER) return false;
    if (hg_json_tokens(ours, &tokens)) return integer < 0 || integer > HG_TOKENS_MAX || ours->at[0] == '-';
    return tokens == integer;
  }
  case JSON_STRING: {
    char text[512];
    if (ours->type != HG_JSON_STRING) return false;
    return !hg_json_copy(ours, text, sizeof text) || strcmp(text, json_string_value(theirs)) == 0;
  }
  case JSON_ARRAY:
    for (; hg_json_next(ours, &cursor, &name, &value); count++)
      if (!json_array_get(theirs, count) || !same_value(&value, json_array_get(theirs, count))) return false;
    return ours->type == HG_JSON_ARRAY && count == json_array_size(theirs);
  case JSON_OBJECT:
    for (; hg_json_next(ours, &cursor, &name, &value);) {
      char key[512];
      if (!hg_json_copy(&name, key, sizeof key)) continue; // control characters, which the copy refuses
      struct hg_json_field last = {.name = key};
      if (strlen(key) == 0 || (unsigned char)key[0] >= 0x80) continue; // picked by ASCII names only
      bool ascii = true;
      for (const char *p = key; *p; p++)
        ascii = ascii && (unsigned char)*p < 0x80;
      if (!ascii) continue;
      hg_json_pick(ours, &last, 1);
      if (!json_object_get(theirs, key) || !same_value(&last.value, json_object_get(theirs, key))) return false;
    }
    return ours->type == HG_JSON_OBJECT;
  }
  return false;
}

TEST(json_scan, agrees_with_jansson_on_mutated_texts) {
  static const char *const seeds[] = {
      "{\"id\":\"chatcmpl-1\",\"choices\":[{\"message\":{\"content\":\"h\\u00e9 \\\"x\\\" "
      "\xc3\xa9\xe2\x82\xac\"}}],\"usage\":"
      "{\"prompt_tokens\":9,\"completion_tokens\":12,\"total_tokens\":21,\"details\":null}}",
      "[1,-2.5e3,true,false,null,{\"a\":{\"b\":[[],{}]}},\"\\ud83d\\ude00\",\"\xf0\x9f\x98\x80\"]",
      "{\"a\":1,\"a\":\"two\",\"b\\u0063\":[\"\\\\\",\"\\\"\"], \"n\" : 9007199254740993 }"};
  static const char alphabet[] = "{}[]\",:\\0123456789eE+-.truefalsn u\t\n\x01\x80\xc3\xe2\xf0\xff";
  const char *given = getenv("HG_TEST_SEED");
  const uint64_t seed = given ? strtoull(given, NULL, 10) : UINT64_C(20240611);
  fprintf(stderr, "seed %llu (run again with HG_TEST_SEED=%llu)\n", (unsigned long long)seed, (unsigned long long)seed);
  state = seed | 1;
  unsigned accepted = 0, refused = 0;
  for (int round = 0; round < 60000; round++) {
    char text[512];
    const char *base = seeds[below(3)];
    size_t len = strlen(base);
    memcpy(text, base, len);
    for (size_t changes = below(4); changes > 0 && len > 0; changes--) {
      const size_t at = below(len);
      if (below(3) == 0) memmove(text + at, text + at + 1, --len - at);
      else if (below(2) == 0) text[at] = alphabet[below(sizeof alphabet - 1)];
      else if (len < sizeof text - 1) {
        memmove(text + at + 1, text + at, len++ - at);
        text[at] = alphabet[below(sizeof alphabet - 1)];
      }
    }
    if (below(8) == 0) len = below(len + 1);
    const char *fault = check_copy(text, len);
    json_error_t error;
    json_t *oracle = json_loadb(text, len, JSON_DECODE_ANY | JSON_ALLOW_NUL, &error);
    if (oracle) {
      struct hg_json root;
      if (fault) fprintf(stderr, "refused (%s): %.*s\n", fault, (int)len, text);
      CHECK(!fault);
      CHECK(hg_json_check(text, len, &root, NULL) == NULL && same_value(&root, oracle));
      json_decref(oracle);
      accepted++;
    } else if (!fault) {
      // What jansson refuses beside the grammar: numbers too big for it, lone surrogates, NUL in a key.
      const bool by_design = json_error_code(&error) == json_error_numeric_overflow ||
                             json_error_code(&error) == json_error_null_byte_in_key ||
                             strstr(error.text, "invalid Unicode");
      if (!by_design) fprintf(stderr, "accepted (%s): %.*s\n", error.text, (int)len, text);
      CHECK(by_design);
    } else {
      refused++;
    }
  }
  CHECK(accepted > 5000 && refused > 5000);
}
