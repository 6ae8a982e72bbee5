// Typed fields of JSON objects, and the wording of refusals. See reader.h.
#include "config/reader.h"
#include "config/suggest.h"

#include <assert.h>
#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define MESSAGE_BYTES 2048   // a message before it is cut to what hg_error holds
#define SOURCE_BYTES_MAX 200 // of the file's name in a message
#define NAME_BYTES 512       // of a field's name in a message
#define FOUND_BYTES_MAX 40   // of a value in a message
#define WARNINGS_MAX 8

// ------------------------------------------------------------------------------------------- texts for people

// The bytes of the valid, printable UTF-8 character at `at`; 0: there is none.
static size_t printable(const unsigned char *at) {
  static const unsigned char least_second[5] = {0, 0, 0xa0, 0xa0, 0x90}; // C1 controls, overlong forms
  if (at[0] < 0x80) return at[0] >= 0x20 && at[0] != 0x7f;
  const size_t size = at[0] < 0xc2 ? 0 : at[0] < 0xe0 ? 2 : at[0] < 0xf0 ? 3 : at[0] < 0xf5 ? 4 : 0;
  for (size_t i = 1; i < size; i++)
    if ((at[i] & 0xc0) != 0x80) return 0;
  const bool narrow = at[0] == 0xc2 || at[0] == 0xe0 || at[0] == 0xf0;
  if (narrow && at[1] < least_second[size]) return 0;
  if ((at[0] == 0xed && at[1] >= 0xa0) || (at[0] == 0xf4 && at[1] >= 0x90)) return 0; // surrogates, past U+10FFFF
  return size;
}

// Copies what a terminal can show: anything else becomes '?'. What does not fit is cut between characters, with "...".
static void copy_printable(char *out, size_t size, const char *text) {
  assert(size > 4);
  size_t used = 0, fits = 0; // fits: where "..." can still follow
  for (const char *at = text; *at;) {
    const size_t bytes = printable((const unsigned char *)at), step = bytes ? bytes : 1;
    if (used + step >= size) {
      memcpy(out + fits, "...", 4);
      return;
    }
    if (bytes) memcpy(out + used, at, bytes);
    else out[used] = '?';
    used += step;
    at += step;
    if (used + 4 <= size) fits = used;
  }
  out[used] = '\0';
}

// "SOURCE:LINE:COLUMN: ", a long source by its end.
static size_t print_place(const struct hg_config_reader *reader, size_t offset, char *out, size_t size) {
  const struct hg_position at = hg_position_of(reader->text, reader->len, offset);
  const size_t len = strlen(reader->source), cut = len > SOURCE_BYTES_MAX ? len - SOURCE_BYTES_MAX : 0;
  snprintf(out, size, "%s%s:%zu:%zu: ", cut ? "..." : "", reader->source + cut, at.line, at.column);
  return strlen(out);
}

static size_t offset_of(const struct hg_config_reader *reader, const struct hg_path *path, enum hg_spot spot) {
  struct hg_location where = {0};
  if (spot == HG_AT_PARENT && path) path = path->parent;
  // A section that is not there is missing from the root.
  while (!hg_locate(reader->text, reader->len, path, &where) && path)
    path = path->parent;
  return spot == HG_AT_KEY ? where.key : where.value;
}

__attribute__((format(printf, 6, 0))) static void print_message(const struct hg_config_reader *reader,
                                                                const struct hg_path *path, enum hg_spot spot,
                                                                char *out, size_t size, const char *format,
                                                                va_list args) {
  size_t used = print_place(reader, offset_of(reader, path, spot), out, size);
  hg_path_print(path, out + used, NAME_BYTES);
  if (!path) snprintf(out + used, size - used, "the configuration");
  used += strlen(out + used);
  snprintf(out + used, size - used, " ");
  used += strlen(out + used);
  vsnprintf(out + used, size - used, format, args);
}

static void set_error(struct hg_config_reader *reader, hg_err err, const char *text) {
  if (reader->err != HG_OK) return;
  reader->err = reader->why->code = err;
  copy_printable(reader->why->text, sizeof reader->why->text, text);
}

void hg_reader_fail(struct hg_config_reader *reader, const struct hg_path *path, enum hg_spot spot, const char *format,
                    ...) {
  static const char prefix[] = "ConfigurationError: ";
  char message[MESSAGE_BYTES];
  va_list args;
  if (reader->err != HG_OK) return;
  memcpy(message, prefix, sizeof prefix);
  va_start(args, format);
  print_message(reader, path, spot, message + sizeof prefix - 1, sizeof message - sizeof prefix + 1, format, args);
  va_end(args);
  set_error(reader, HG_ERR_CONFIG, message);
}

void hg_reader_no_memory(struct hg_config_reader *reader) {
  set_error(reader, HG_ERR_NO_MEMORY, "there is not enough memory to read the configuration");
}

void hg_reader_warn(struct hg_config_reader *reader, const struct hg_path *path, const char *format, ...) {
  char message[MESSAGE_BYTES], line[HG_ERROR_TEXT_MAX + 1], *longer = NULL;
  va_list args;
  if (reader->err != HG_OK || reader->warning_count == WARNINGS_MAX) return;
  reader->warning_count++;
  va_start(args, format);
  print_message(reader, path, HG_AT_KEY, message, sizeof message, format, args);
  va_end(args);
  copy_printable(line, sizeof line, message);
  const size_t before = reader->warnings ? strlen(reader->warnings) : 0, size = before + strlen(line) + 2;
  longer = realloc(reader->warnings, size);
  if (!longer) {
    hg_reader_no_memory(reader);
    return;
  }
  snprintf(longer + before, size - before, "%s\n", line);
  reader->warnings = longer;
}

char *hg_reader_copy(struct hg_config_reader *reader, const char *text) {
  char *copy = strdup(text);
  if (!copy) hg_reader_no_memory(reader);
  return copy;
}

const char *hg_reader_found(const struct hg_config_reader *reader, const struct hg_path *path, char *out, size_t size) {
  struct hg_location where;
  const bool there = hg_locate(reader->text, reader->len, path, &where);
  assert(there);
  const char *value = reader->text + where.value;
  if (*value == '{' || *value == '[') return *value == '{' ? "an object" : "a list";
  size_t len = where.end - where.value;
  const bool cut = len > FOUND_BYTES_MAX;
  if (cut) len = FOUND_BYTES_MAX;
  while (cut && (value[len] & 0xc0) == 0x80)
    len--;
  snprintf(out, size, "%.*s%s", (int)len, value, cut ? "..." : "");
  return out;
}

// ------------------------------------------------------------------------------------------------- the JSON text

static void refuse_text(struct hg_config_reader *reader, const json_error_t *error) {
  char name[NAME_BYTES], message[MESSAGE_BYTES];
  const enum json_error_code code = json_error_code(error);
  if (code == json_error_out_of_memory || error->text[0] == '\0') {
    hg_reader_no_memory(reader);
    return;
  }
  const size_t read = error->position > 0 ? (size_t)error->position : 0;
  const size_t token = hg_trace(reader->text, reader->len, read, name, sizeof name);
  memcpy(message, "ConfigurationError: ", 21);
  size_t used = strlen(message);
  used += print_place(reader, token, message + used, sizeof message - used);
  const char *field = name[0] ? name : "the configuration";
  if (code == json_error_numeric_overflow)
    snprintf(message + used, sizeof message - used,
             "%s is a number too large to read: the greatest that a configuration may hold is %lld (2^53 - 1)", field,
             (long long)HG_TOKENS_MAX);
  else if (code == json_error_duplicate_key)
    snprintf(message + used, sizeof message - used, "%s is there twice: keep one", field);
  else snprintf(message + used, sizeof message - used, "%s is not valid JSON: %s", field, error->text);
  set_error(reader, HG_ERR_CONFIG, message);
}

json_t *hg_reader_load(struct hg_config_reader *reader) {
  json_error_t error = {0};
  errno = 0;
  json_t *root = json_loadb(reader->text, reader->len, JSON_REJECT_DUPLICATES, &error);
  // jansson may drop a character of a token when it gets no memory, and go on: nothing that it then says counts.
  if (errno == ENOMEM) hg_reader_no_memory(reader);
  if (!root) refuse_text(reader, &error);
  if (reader->err == HG_OK) return root;
  json_decref(root);
  return NULL;
}

// ------------------------------------------------------------------------------------------------------- objects

void hg_object_open(struct hg_object *object, struct hg_config_reader *reader, json_t *json,
                    const struct hg_path *path) {
  char found[FOUND_BYTES_MAX + 8];
  *object = (struct hg_object){.reader = reader, .json = json, .path = path};
  if (!json || json_is_object(json) || reader->err != HG_OK) return;
  hg_reader_fail(reader, path, HG_AT_VALUE, "must be an object { ... }; found %s",
                 hg_reader_found(reader, path, found, sizeof found));
}

json_t *hg_object_get(struct hg_object *object, const char *key) {
  assert(object->asked_count < HG_OBJECT_FIELDS_MAX);
  object->asked[object->asked_count++] = key;
  return object->reader->err == HG_OK ? json_object_get(object->json, key) : NULL;
}

static bool was_asked(const struct hg_object *object, const char *key) {
  for (size_t i = 0; i < object->asked_count; i++)
    if (strcmp(object->asked[i], key) == 0) return true;
  return false;
}

static void refuse_key(struct hg_object *object, const char *key) {
  const struct hg_path path = {.parent = object->path, .key = key};
  const char *nearest = hg_suggest(key, object->asked, object->asked_count);
  if (nearest) {
    hg_reader_fail(object->reader, &path, HG_AT_KEY, "is not a known field: did you mean \"%s\"?", nearest);
    return;
  }
  char known[HG_OBJECT_FIELDS_MAX * 32] = "";
  for (size_t i = 0, used = 0; i < object->asked_count; i++, used += strlen(known + used))
    snprintf(known + used, sizeof known - used, "%s%s", i ? ", " : "", object->asked[i]);
  hg_reader_fail(object->reader, &path, HG_AT_KEY, "is not a known field: known here are %s", known);
}

void hg_object_close(struct hg_object *object) {
  const char *key = NULL;
  json_t *value = NULL;
  if (object->reader->err != HG_OK || !object->json) return;
  json_object_foreach(object->json, key, value) {
    if (was_asked(object, key)) continue;
    refuse_key(object, key);
    return;
  }
}

void hg_object_unsupported(struct hg_object *object, const char *key, const char *advice) {
  const struct hg_path path = {.parent = object->path, .key = key};
  if (hg_object_get(object, key))
    hg_reader_fail(object->reader, &path, HG_AT_KEY, "is not supported in this version: %s", advice);
}

// -------------------------------------------------------------------------------------------------------- fields

void hg_object_integer(struct hg_object *object, const char *key, int64_t min, int64_t max, const char *note,
                       int64_t *out) {
  const struct hg_path path = {.parent = object->path, .key = key};
  const json_t *value = hg_object_get(object, key);
  char found[FOUND_BYTES_MAX + 8];
  if (!value) return;
  const int64_t integer = json_integer_value(value);
  if (json_is_integer(value) && integer >= min && integer <= max) {
    *out = integer;
    return;
  }
  const char *digits = json_is_integer(value) ? "" : ", in digits only (200000, not 200000.0, 2e5 or \"200000\")";
  hg_reader_fail(object->reader, &path, HG_AT_VALUE, "must be a whole number from %lld to %lld%s%s%s; found %s",
                 (long long)min, (long long)max, note[0] ? " " : "", note, digits,
                 hg_reader_found(object->reader, &path, found, sizeof found));
}

void hg_read_u32(struct hg_object *object, const char *key, uint32_t min, uint32_t max, const char *note,
                 uint32_t *out) {
  int64_t value = *out;
  hg_object_integer(object, key, min, max, note, &value);
  *out = (uint32_t)value;
}

void hg_object_bool(struct hg_object *object, const char *key, bool *out) {
  const struct hg_path path = {.parent = object->path, .key = key};
  const json_t *value = hg_object_get(object, key);
  char found[FOUND_BYTES_MAX + 8];
  if (!value) return;
  if (!json_is_boolean(value))
    hg_reader_fail(object->reader, &path, HG_AT_VALUE, "must be true or false, without quotes; found %s",
                   hg_reader_found(object->reader, &path, found, sizeof found));
  else *out = json_is_true(value);
}

void hg_object_choice(struct hg_object *object, const char *key, const char *const *names, unsigned count,
                      unsigned *out) {
  const struct hg_path path = {.parent = object->path, .key = key};
  const json_t *value = hg_object_get(object, key);
  if (!value) return;
  for (unsigned i = 0; i < count; i++) {
    if (!json_is_string(value) || strcmp(json_string_value(value), names[i]) != 0) continue;
    *out = i;
    return;
  }
  char list[256] = "", found[FOUND_BYTES_MAX + 8];
  for (size_t i = 0, used = 0; i < count; i++, used += strlen(list + used))
    snprintf(list + used, sizeof list - used, "%s\"%s\"", i == 0 ? "" : i + 1 < count ? ", " : " or ", names[i]);
  hg_reader_fail(object->reader, &path, HG_AT_VALUE, "must be %s; found %s", list,
                 hg_reader_found(object->reader, &path, found, sizeof found));
}

const char *hg_reader_text(struct hg_config_reader *reader, const struct hg_path *path, const json_t *value,
                           size_t max) {
  char found[FOUND_BYTES_MAX + 8];
  if (reader->err != HG_OK) return NULL;
  if (!json_is_string(value)) {
    hg_reader_fail(reader, path, HG_AT_VALUE, "must be a text in quotes; found %s",
                   hg_reader_found(reader, path, found, sizeof found));
    return NULL;
  }
  const size_t len = json_string_length(value);
  if (len > 0 && len <= max) return json_string_value(value);
  hg_reader_fail(reader, path, HG_AT_VALUE, "must be a text of 1 to %zu bytes; this one has %zu", max, len);
  return NULL;
}

void hg_object_text(struct hg_object *object, const char *key, size_t max, const char **out) {
  const struct hg_path path = {.parent = object->path, .key = key};
  const json_t *value = hg_object_get(object, key);
  const char *text = value ? hg_reader_text(object->reader, &path, value, max) : NULL;
  if (text) *out = text;
}
