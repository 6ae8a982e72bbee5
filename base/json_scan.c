// The strict check and the walk over checked text. The check is iterative and never reads past `end`; the walk relies
// on the check and looks for no errors.
#include "base/json_scan.h"

#include "headgate.h"

#include <assert.h>
#include <string.h>

#define TEXT(number) TEXT_OF(number)
#define TEXT_OF(number) #number

struct scanner {
  const char *at, *end;
  const char *fault; // what is wrong at `at`
};

static bool fail(struct scanner *s, const char *fault) {
  s->fault = fault;
  return false;
}

static bool is_space(char c) {
  return c == ' ' || c == '\n' || c == '\r' || c == '\t';
}

static bool is_digit(char c) {
  return c >= '0' && c <= '9';
}

static void skip_space(struct scanner *s) {
  while (s->at < s->end && is_space(*s->at))
    s->at++;
}

// The next byte, or NUL at the end: NUL is no part of any token, so it needs no case of its own.
static char peek(const struct scanner *s) {
  return s->at < s->end ? *s->at : '\0';
}

// ---------------------------------------------------------------------------------------------- the check

static int hex_digit(char c) {
  if (is_digit(c)) return c - '0';
  if (c >= 'a' && c <= 'f') return c - 'a' + 10;
  if (c >= 'A' && c <= 'F') return c - 'A' + 10;
  return -1;
}

static bool check_escape(struct scanner *s) {
  s->at++;
  const char c = peek(s);
  if (c == '\0' || !strchr("\"\\/bfnrtu", c)) return fail(s, "an escape in a string is wrong");
  s->at++;
  if (c != 'u') return true;
  for (int i = 0; i < 4; i++, s->at++)
    if (hex_digit(peek(s)) < 0) return fail(s, "an escape in a string is wrong");
  return true;
}

// One character of two to four bytes: no overlong form, no surrogate, nothing over U+10FFFF.
static bool check_multibyte(struct scanner *s) {
  const unsigned char lead = (unsigned char)*s->at;
  const size_t more = lead >= 0xf0 ? 3 : lead >= 0xe0 ? 2 : 1;
  if (lead < 0xc2 || lead > 0xf4 || (size_t)(s->end - s->at) <= more) return fail(s, "a string is not UTF-8");
  const unsigned char second = (unsigned char)s->at[1];
  if ((lead == 0xe0 && second < 0xa0) || (lead == 0xed && second > 0x9f) || (lead == 0xf0 && second < 0x90) ||
      (lead == 0xf4 && second > 0x8f))
    return fail(s, "a string is not UTF-8");
  for (size_t i = 1; i <= more; i++)
    if (((unsigned char)s->at[i] & 0xc0) != 0x80) return fail(s, "a string is not UTF-8");
  s->at += more + 1;
  return true;
}

#define EACH(byte) (UINT64_C(0x0101010101010101) * (byte))

// Not 0 when one of the eight bytes of a word is less than `bound`, which is at most 0x80 (Anderson, Bit Twiddling
// Hacks, "Determine if a word has a byte less than n").
static uint64_t any_below(uint64_t word, unsigned bound) {
  return (word - EACH(bound)) & ~word & EACH(0x80);
}

// Passes over eight bytes at once, while they are plain ASCII.
static void skip_plain(struct scanner *s) {
  for (uint64_t word; s->end - s->at >= (ptrdiff_t)sizeof word; s->at += sizeof word) {
    memcpy(&word, s->at, sizeof word);
    const uint64_t quote = any_below(word ^ EACH('"'), 1), escape = any_below(word ^ EACH('\\'), 1);
    if ((word & EACH(0x80)) | any_below(word, 0x20) | quote | escape) return;
  }
}

static bool check_string(struct scanner *s) {
  s->at++;
  skip_plain(s);
  while (s->at < s->end) {
    const unsigned char c = (unsigned char)*s->at;
    if (c == '"') {
      s->at++;
      return true;
    }
    if (c == '\\') {
      if (!check_escape(s)) return false;
    } else if (c >= 0x80) {
      if (!check_multibyte(s)) return false;
    } else if (c < 0x20) {
      return fail(s, "a string has a raw control character");
    } else {
      s->at++;
    }
  }
  return fail(s, "a string has no end");
}

static bool check_digits(struct scanner *s) {
  if (!is_digit(peek(s))) return fail(s, "a number is wrong");
  while (is_digit(peek(s)))
    s->at++;
  return true;
}

static bool check_number(struct scanner *s) {
  if (peek(s) == '-') s->at++;
  if (peek(s) == '0') s->at++;
  else if (!check_digits(s)) return false;
  if (peek(s) == '.') {
    s->at++;
    if (!check_digits(s)) return false;
  }
  if (peek(s) == 'e' || peek(s) == 'E') {
    s->at++;
    if (peek(s) == '+' || peek(s) == '-') s->at++;
    return check_digits(s);
  }
  return true;
}

static bool check_word(struct scanner *s, const char *word) {
  const size_t len = strlen(word);
  if ((size_t)(s->end - s->at) < len || memcmp(s->at, word, len) != 0) return fail(s, "a value is wrong");
  s->at += len;
  return true;
}

static bool check_scalar(struct scanner *s) {
  switch (peek(s)) {
  case '"': return check_string(s);
  case 't': return check_word(s, "true");
  case 'f': return check_word(s, "false");
  case 'n': return check_word(s, "null");
  default: break;
  }
  if (peek(s) == '-' || is_digit(peek(s))) return check_number(s);
  return fail(s, s->at < s->end ? "a value is wrong" : "the text ends too early");
}

static bool check_name(struct scanner *s) {
  skip_space(s);
  if (peek(s) != '"') return fail(s, "a member has no name in quotes");
  if (!check_string(s)) return false;
  skip_space(s);
  if (peek(s) != ':') return fail(s, "a member's name is not followed by a colon");
  s->at++;
  return true;
}

// After a value: closes containers until a comma says that another value is due, or all are closed.
static bool check_after_value(struct scanner *s, const char *closing, size_t *depth) {
  while (*depth > 0) {
    skip_space(s);
    const char c = peek(s);
    if (c == ',') {
      s->at++;
      return closing[*depth - 1] == '}' ? check_name(s) : true;
    }
    if (c != closing[*depth - 1]) return fail(s, "a comma or a closing bracket is missing");
    s->at++;
    --*depth;
  }
  return true;
}

static bool check_value(struct scanner *s) {
  char closing[HG_JSON_DEPTH_MAX]; // what ends each open container
  size_t depth = 0;
  do {
    skip_space(s);
    const char c = peek(s);
    if (c == '{' || c == '[') {
      if (depth == HG_JSON_DEPTH_MAX)
        return fail(s, "values are nested deeper than " TEXT(HG_JSON_DEPTH_MAX) " levels");
      closing[depth++] = c == '{' ? '}' : ']';
      s->at++;
      skip_space(s);
      if (peek(s) != closing[depth - 1]) {
        if (c == '{' && !check_name(s)) return false;
        continue;
      }
    } else if (!check_scalar(s)) {
      return false;
    }
    if (!check_after_value(s, closing, &depth)) return false;
  } while (depth > 0);
  return true;
}

// ---------------------------------------------------------------------------------------------- the walk

static enum hg_json_type type_at(const char *at) {
  switch (*at) {
  case '{': return HG_JSON_OBJECT;
  case '[': return HG_JSON_ARRAY;
  case '"': return HG_JSON_STRING;
  case 't': return HG_JSON_TRUE;
  case 'f': return HG_JSON_FALSE;
  case 'n': return HG_JSON_NULL;
  default: return HG_JSON_NUMBER;
  }
}

// Past the closing quote. memchr makes a megabyte of base64 cheap; a quote behind an odd run of backslashes is text.
static const char *skip_string(const char *at, const char *end) {
  const char *from = at + 1;
  for (;;) {
    const char *quote = memchr(from, '"', (size_t)(end - from));
    assert(quote); // the text was checked
    const char *run = quote;
    while (run > from && run[-1] == '\\')
      run--;
    if ((quote - run) % 2 == 0) return quote + 1;
    from = quote + 1;
  }
}

// What matters on the way through a container; all else is stepped over.
static const bool structural[256] = {['"'] = true, ['{'] = true, ['['] = true, ['}'] = true, [']'] = true};

static const char *skip_value(const char *at, const char *end) {
  if (*at == '"') return skip_string(at, end);
  if (*at != '{' && *at != '[') {
    while (at < end && !is_space(*at) && *at != ',' && *at != '}' && *at != ']')
      at++;
    return at;
  }
  size_t depth = 0;
  do {
    while (!structural[(unsigned char)*at])
      at++;
    if (*at == '"') {
      at = skip_string(at, end);
      continue;
    }
    if (*at == '{' || *at == '[') depth++;
    else depth--;
    at++;
  } while (depth > 0);
  return at;
}

static const char *span(const char *at, const char *end, struct hg_json *out) {
  const char *after = skip_value(at, end);
  *out = (struct hg_json){type_at(at), at, (size_t)(after - at)};
  return after;
}

const char *hg_json_check(const char *text, size_t len, struct hg_json *root, size_t *where) {
  struct scanner s = {text, text + len, NULL};
  skip_space(&s);
  const char *start = s.at;
  if (check_value(&s)) {
    *root = (struct hg_json){type_at(start), start, (size_t)(s.at - start)};
    skip_space(&s);
    if (s.at < s.end) s.fault = "something follows the value";
  }
  if (where) *where = (size_t)(s.at - text);
  return s.fault;
}

size_t hg_json_mark(const char *text, size_t len) {
  return len >= 3 && memcmp(text, "\xef\xbb\xbf", 3) == 0 ? 3 : 0;
}

bool hg_json_next(const struct hg_json *container, const char **cursor, struct hg_json *name, struct hg_json *value) {
  if (container->type != HG_JSON_OBJECT && container->type != HG_JSON_ARRAY) return false;
  struct scanner s = {*cursor ? *cursor : container->at + 1, container->at + container->len, NULL};
  skip_space(&s);
  if (*s.at == ',') {
    s.at++;
    skip_space(&s);
  }
  if (*s.at == '}' || *s.at == ']') return false;
  struct hg_json key = {HG_JSON_NONE, NULL, 0};
  if (container->type == HG_JSON_OBJECT) {
    s.at = span(s.at, s.end, &key);
    skip_space(&s);
    s.at++; // the colon
    skip_space(&s);
  }
  if (name) *name = key;
  *cursor = span(s.at, s.end, value);
  return true;
}

void hg_json_pick(const struct hg_json *object, struct hg_json_field *fields, size_t count) {
  for (size_t i = 0; i < count; i++) {
    fields[i].value = (struct hg_json){HG_JSON_NONE, NULL, 0};
    fields[i].repeated = false;
  }
  if (object->type != HG_JSON_OBJECT) return;
  const char *cursor = NULL;
  struct hg_json name, value;
  while (hg_json_next(object, &cursor, &name, &value)) {
    for (size_t i = 0; i < count; i++) {
      if (!fields[i].name || (name.at[1] != fields[i].name[0] && name.at[1] != '\\')) continue; // as nearly always
      if (!hg_json_is(&name, fields[i].name)) continue;
      fields[i].repeated = fields[i].value.type != HG_JSON_NONE;
      fields[i].value = value;
      break;
    }
  }
}
