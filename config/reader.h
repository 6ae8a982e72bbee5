// Reads typed fields out of JSON objects and words every refusal: file, line, column, field, what would be right.
// The first error sticks: after it every call does nothing, so that readers are straight lines, and err is looked at
// once at the end.
#ifndef HG_READER_H
#define HG_READER_H

#include "config/locate.h"
#include "headgate.h"

#include <jansson.h>

#define HG_OBJECT_FIELDS_MAX 24 // fields that one kind of object has

struct hg_config_reader {
  const char *text; // what is read; borrowed
  size_t len;
  const char *source; // the file's name for messages; borrowed
  hg_error *why;      // written on failure
  hg_err err;         // the first error, which is also in `why`
  char *warnings;     // NULL or lines; the owner of the reader frees it
  unsigned warning_count;
};

// A JSON object that is being read. What was asked for is what is known: hg_object_close refuses any other key.
struct hg_object {
  struct hg_config_reader *reader;
  json_t *json; // NULL: there is none, every field is absent; borrowed
  const struct hg_path *path;
  const char *asked[HG_OBJECT_FIELDS_MAX];
  size_t asked_count;
};

// What of a field a message points at.
enum hg_spot { HG_AT_VALUE, HG_AT_KEY, HG_AT_PARENT };

// Parses the text. NULL: refused, the error is set. Otherwise the caller's: json_decref.
json_t *hg_reader_load(struct hg_config_reader *reader);

// "ConfigurationError: SOURCE:LINE:COLUMN: FIELD …"; a text that is too long is cut. The first error wins.
__attribute__((format(printf, 4, 5))) void hg_reader_fail(struct hg_config_reader *reader, const struct hg_path *path,
                                                          enum hg_spot spot, const char *format, ...);
// The same as a line of reader->warnings, of which there are at most 8.
__attribute__((format(printf, 3, 4))) void hg_reader_warn(struct hg_config_reader *reader, const struct hg_path *path,
                                                          const char *format, ...);
void hg_reader_no_memory(struct hg_config_reader *reader);
// A copy for the caller to free; NULL: no memory, the error is set.
char *hg_reader_copy(struct hg_config_reader *reader, const char *text);
// The value as it is written in the text, shortened, for "found …".
const char *hg_reader_found(const struct hg_config_reader *reader, const struct hg_path *path, char *out, size_t size);

// Opens an object for reading. `json` NULL: an absent one. Anything but an object is an error.
void hg_object_open(struct hg_object *object, struct hg_config_reader *reader, json_t *json,
                    const struct hg_path *path);
// Refuses every key that was not asked for.
void hg_object_close(struct hg_object *object);
// The value of a key; NULL: absent, or an error is set already. Borrowed.
json_t *hg_object_get(struct hg_object *object, const char *key);
// A field that later versions will have: clearly refused.
void hg_object_unsupported(struct hg_object *object, const char *key, const char *advice);

// Each leaves *out as it is when the key is absent. `note` is said after the range ("tokens"); it may be "".
void hg_object_integer(struct hg_object *object, const char *key, int64_t min, int64_t max, const char *note,
                       int64_t *out);
void hg_read_u32(struct hg_object *object, const char *key, uint32_t min, uint32_t max, const char *note,
                 uint32_t *out);
void hg_object_bool(struct hg_object *object, const char *key, bool *out);
// One of `names`; *out is its index.
void hg_object_choice(struct hg_object *object, const char *key, const char *const *names, unsigned count,
                      unsigned *out);
// A text of 1 to `max` bytes, borrowed from the JSON value. hg_reader_text does it for a value at hand; NULL: an error
// is set.
const char *hg_reader_text(struct hg_config_reader *reader, const struct hg_path *path, const json_t *value,
                           size_t max);
void hg_object_text(struct hg_object *object, const char *key, size_t max, const char **out);

#endif
