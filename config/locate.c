// Where a field stands in a JSON text: one token scanner and three walks over it. See locate.h.
#include "config/locate.h"

#include <assert.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#define TRACE_LEVELS 8    // levels of nesting that a trace names; our own fields lie at most 5 deep
#define NAME_BYTES_MAX 64 // of one key in a name

enum token_kind { TOKEN_END, TOKEN_OPEN, TOKEN_CLOSE, TOKEN_COMMA, TOKEN_COLON, TOKEN_STRING, TOKEN_WORD };

struct token {
  enum token_kind kind;
  size_t start, end;
};

// Stands at a token of a text; next() moves on.
struct scanner {
  const char *text;
  size_t len;
  struct token token;
};

static enum token_kind kind_of(char c) {
  switch (c) {
  case '{':
  case '[': return TOKEN_OPEN;
  case '}':
  case ']': return TOKEN_CLOSE;
  case ',': return TOKEN_COMMA;
  case ':': return TOKEN_COLON;
  case '"': return TOKEN_STRING;
  default: return TOKEN_WORD;
  }
}

static bool is_space(char c) {
  return c == ' ' || c == '\t' || c == '\n' || c == '\r';
}

static size_t string_end(const struct scanner *s, size_t at) {
  while (at < s->len && s->text[at] != '"')
    at += s->text[at] == '\\' ? 2 : 1;
  return at < s->len ? at + 1 : s->len;
}

static void next(struct scanner *s) {
  size_t at = s->token.end;
  while (at < s->len && is_space(s->text[at]))
    at++;
  s->token.start = s->token.end = at;
  s->token.kind = at < s->len ? kind_of(s->text[at]) : TOKEN_END;
  if (s->token.kind == TOKEN_END) return;
  s->token.end = at + 1;
  if (s->token.kind == TOKEN_STRING) s->token.end = string_end(s, at + 1);
  if (s->token.kind != TOKEN_WORD) return;
  for (at++; at < s->len && !is_space(s->text[at]) && kind_of(s->text[at]) == TOKEN_WORD; at++)
    s->token.end = at + 1;
}

// From the first token of a value to the last; returns the offset after it.
static size_t skip_value(struct scanner *s) {
  for (size_t depth = 0;; next(s)) {
    if (s->token.kind == TOKEN_OPEN) depth++;
    if (s->token.kind == TOKEN_CLOSE && depth > 0) depth--;
    if (depth == 0 || s->token.kind == TOKEN_END) return s->token.end;
  }
}

static uint32_t hex4(const char *at) {
  uint32_t value = 0;
  for (int i = 0; i < 4; i++) {
    const char c = at[i];
    const uint32_t digit = c >= '0' && c <= '9' ? (uint32_t)(c - '0') : ((uint32_t)(c | 0x20) - 'a' + 10) & 15;
    value = value << 4 | digit;
  }
  return value;
}

static size_t encode_utf8(uint32_t code, char out[4]) {
  if (code < 0x80) {
    out[0] = (char)code;
    return 1;
  }
  const size_t size = code < 0x800 ? 2 : code < 0x10000 ? 3 : 4;
  for (size_t i = size - 1; i > 0; i--, code >>= 6)
    out[i] = (char)(0x80 | (code & 0x3f));
  out[0] = (char)((0xf00U >> size & 0xff) | code);
  return size;
}

// Decodes the escape that starts at `at` (a backslash); returns the bytes it is written in.
static size_t decode_escape(const char *at, size_t left, char out[4], size_t *size) {
  static const char letters[] = "bfnrt", meanings[] = "\b\f\n\r\t";
  *size = 1;
  if (left < 2) {
    out[0] = '\\';
    return left;
  }
  const char *letter = at[1] ? strchr(letters, at[1]) : NULL;
  out[0] = letter ? meanings[letter - letters] : at[1];
  if (at[1] != 'u' || left < 6) return 2;
  uint32_t code = hex4(at + 2);
  size_t taken = 6;
  if (code >= 0xd800 && code < 0xdc00 && left >= 12) {
    code = 0x10000 + ((code & 0x3ff) << 10) + (hex4(at + 8) & 0x3ff);
    taken = 12;
  }
  *size = encode_utf8(code, out);
  return taken;
}

// Whether the string token that the scanner stands at means `key`.
static bool token_is(const struct scanner *s, const char *key) {
  if (s->token.kind != TOKEN_STRING || s->token.end - s->token.start < 2) return false;
  const char *at = s->text + s->token.start + 1, *end = s->text + s->token.end - 1;
  size_t key_left = strlen(key);
  while (at < end) {
    char bytes[4] = {*at};
    size_t size = 1, taken = 1;
    if (*at == '\\') taken = decode_escape(at, (size_t)(end - at), bytes, &size);
    if (size > key_left || memcmp(bytes, key, size) != 0) return false;
    at += taken;
    key += size;
    key_left -= size;
  }
  return key_left == 0;
}

// Stands at the first token of a container; moves to the first token of the wanted value.
static bool enter(struct scanner *s, const struct hg_path *wanted, size_t *key) {
  if (s->token.kind != TOKEN_OPEN || (s->text[s->token.start] == '{') != (wanted->key != NULL)) return false;
  next(s);
  for (size_t index = 0; s->token.kind != TOKEN_CLOSE && s->token.kind != TOKEN_END; index++) {
    *key = s->token.start;
    bool found = index == wanted->index;
    if (wanted->key) {
      found = token_is(s, wanted->key);
      next(s); // the colon
      next(s); // the value
    }
    if (found) return true;
    skip_value(s);
    next(s);
    if (s->token.kind == TOKEN_COMMA) next(s);
  }
  return false;
}

static bool stand_at(struct scanner *s, const struct hg_path *path, size_t *key) {
  if (path) return stand_at(s, path->parent, key) && enter(s, path, key);
  next(s);
  *key = s->token.start;
  return s->token.kind != TOKEN_END;
}

bool hg_locate(const char *text, size_t len, const struct hg_path *path, struct hg_location *out) {
  struct scanner s = {.text = text, .len = len};
  size_t key = 0;
  if (!stand_at(&s, path, &key)) return false;
  const size_t value = s.token.start;
  *out = (struct hg_location){.key = key, .value = value, .end = skip_value(&s)};
  return true;
}

struct hg_position hg_position_of(const char *text, size_t len, size_t offset) {
  struct hg_position position = {1, 1};
  for (size_t i = 0; i < offset && i < len; i++) {
    if (text[i] == '\n') position = (struct hg_position){position.line + 1, 1};
    else if (((unsigned char)text[i] & 0xc0) != 0x80) position.column++;
  }
  return position;
}

// Adds to a name that is ended by a NUL and lies in `size` bytes.
static void append(char *name, size_t size, const char *key, size_t key_len, size_t index) {
  const size_t used = strlen(name), left = size - used;
  if (key)
    snprintf(name + used, left, "%s%.*s", used ? "." : "", (int)(key_len < NAME_BYTES_MAX ? key_len : NAME_BYTES_MAX),
             key);
  else snprintf(name + used, left, "[%zu]", index);
}

void hg_path_print(const struct hg_path *path, char *out, size_t size) {
  assert(size > 0);
  if (!path) {
    out[0] = '\0';
    return;
  }
  hg_path_print(path->parent, out, size);
  append(out, size, path->key, path->key ? strlen(path->key) : 0, path->index);
}

// What a trace knows of one level of nesting.
struct level {
  bool object, has_key;
  size_t key, key_len, index;
};

static void trace_token(const struct scanner *s, struct level *levels, size_t *depth) {
  struct level *level = *depth > 0 && *depth <= TRACE_LEVELS ? &levels[*depth - 1] : NULL;
  if (s->token.kind == TOKEN_OPEN) {
    if (++*depth <= TRACE_LEVELS) levels[*depth - 1] = (struct level){.object = s->text[s->token.start] == '{'};
  } else if (s->token.kind == TOKEN_CLOSE) {
    if (*depth > 0) --*depth;
  } else if (s->token.kind == TOKEN_COMMA && level) {
    level->has_key = false;
    level->index++;
  } else if (s->token.kind == TOKEN_STRING && level && level->object && !level->has_key) {
    level->has_key = true;
    level->key = s->token.start + 1;
    const bool closed = s->token.end - s->token.start >= 2 && s->text[s->token.end - 1] == '"';
    level->key_len = s->token.end - level->key - (closed ? 1 : 0);
  }
}

size_t hg_trace(const char *text, size_t len, size_t offset, char *name, size_t size) {
  assert(size > 0);
  struct scanner s = {.text = text, .len = len};
  struct level levels[TRACE_LEVELS];
  size_t depth = 0, last = 0;
  for (next(&s); s.token.kind != TOKEN_END && s.token.start < offset; next(&s)) {
    last = s.token.start;
    trace_token(&s, levels, &depth);
  }
  name[0] = '\0';
  for (size_t i = 0; i < depth && i < TRACE_LEVELS; i++) {
    if (!levels[i].object) append(name, size, NULL, 0, levels[i].index);
    else if (levels[i].has_key) append(name, size, text + levels[i].key, levels[i].key_len, 0);
  }
  return last;
}
