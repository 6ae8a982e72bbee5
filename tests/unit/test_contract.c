// What is published about messages: the files printed from schemas/messages.def are fresh, and every message still has
// the bytes that it once had (schemas/golden). HG_REFRESH=1 prints the files anew and appends vectors that are missing;
// no vector is ever rewritten.
#include "config/config.h"
#include "schemas/describe.h"
#include "base/siphash.h"
#include "unit/codec.h"

#include <ctype.h>
#include <inttypes.h>
#include <jansson.h>

#define REFRESH "HG_REFRESH=1 " HG_BUILD_DIR "/tests/test_contract"

static char *contents(const char *path) {
  char *text = NULL;
  size_t size = 0;
  FILE *from = fopen(path, "r"), *to = open_memstream(&text, &size);
  CHECK(to != NULL);
  for (int c; from && (c = fgetc(from)) != EOF;)
    fputc(c, to);
  if (from) fclose(from);
  CHECK_EQ(fclose(to), 0);
  return text;
}

static void write_file(const char *path, const char *mode, const char *text) {
  FILE *to = fopen(path, mode);
  CHECK(to != NULL);
  CHECK(fputs(text, to) >= 0);
  CHECK_EQ(fclose(to), 0);
}

// ------------------------------------------------------------------------------------------------ printed files

static char *printed(void describe(FILE *)) {
  char *text = NULL;
  size_t size = 0;
  FILE *to = open_memstream(&text, &size);
  CHECK(to != NULL);
  describe(to);
  CHECK_EQ(fclose(to), 0);
  return text;
}

static void compare(const char *path, const char *found, const char *wanted) {
  const bool same = strcmp(found, wanted) == 0;
  if (!same) fprintf(stderr, "%s is not what schemas/messages.def says: run " REFRESH "\n", path);
  CHECK(same);
}

static void check_printed(const char *path, void describe(FILE *)) {
  char *wanted = printed(describe);
  if (getenv("HG_REFRESH")) write_file(path, "w", wanted);
  char *found = contents(path);
  compare(path, found, wanted);
  free(found);
  free(wanted);
}

// The page stands between written text: only what is between its two markers is printed.
static void check_printed_inside(const char *path, void describe(FILE *)) {
  static const char begin[] = "<!-- printed from schemas/messages.def: begin -->\n\n";
  static const char end[] = "\n<!-- printed from schemas/messages.def: end -->\n";
  char *page = contents(path), *middle = printed(describe), *wanted = NULL;
  const char *from = strstr(page, begin), *to = from ? strstr(from, end) : NULL;
  CHECK(from && to);
  from += strlen(begin);
  // Where the page is fresh already, this is the page itself.
  CHECK(asprintf(&wanted, "%.*s%s%s", (int)(from - page), page, middle, to) > 0);
  if (getenv("HG_REFRESH")) write_file(path, "w", wanted);
  char *found = contents(path);
  compare(path, found, wanted);
  free(found);
  free(wanted);
  free(middle);
  free(page);
}

TEST(contract, the_schemas_are_fresh) {
  check_printed(HG_SOURCE_DIR "/schemas/events.schema.json", hg_describe_events_schema);
  check_printed(HG_SOURCE_DIR "/schemas/commands.schema.json", hg_describe_commands_schema);
}

TEST(contract, the_documentation_is_fresh) {
  check_printed_inside(HG_SOURCE_DIR "/docs/protocol.md", hg_describe_outside);
  check_printed(HG_SOURCE_DIR "/docs/messages.md", hg_describe_inside);
}

// Each message of the schema stands in it once, under its name, with all its fields; each of their types is defined.
static void check_schema(void describe(FILE *), bool of_events) {
  char *text = printed(describe);
  json_t *schema = json_loads(text, JSON_REJECT_DUPLICATES | JSON_DECODE_INT_AS_REAL, NULL);
  free(text);
  CHECK(schema != NULL);
  const json_t *definitions = json_object_get(schema, "$defs"), *choices = json_object_get(schema, "oneOf");
  const struct hg_kind_info *info;
  size_t count = 0;
  for (unsigned i = 0; (info = hg_kind_at(i)) != NULL; i++) {
    const json_t *definition = json_object_get(definitions, info->name);
    CHECK((definition != NULL) == (of_events ? info->is_event : hg_is_control(info->kind)));
    if (!definition) continue;
    char reference[64];
    snprintf(reference, sizeof reference, "#/$defs/%s", info->name);
    CHECK_STR(json_string_value(json_object_get(json_array_get(choices, count++), "$ref")), reference);
    const json_t *properties = json_object_get(definition, "properties");
    CHECK_STR(json_string_value(json_object_get(json_object_get(properties, "type"), "const")), info->name);
    if (of_events) properties = json_object_get(json_object_get(properties, "payload"), "properties");
    for (uint32_t n = 0; n < info->field_count; n++) {
      const json_t *field = json_object_get(properties, info->fields[n].outside_name);
      const char *type = json_string_value(json_object_get(field, "$ref"));
      CHECK(type && strncmp(type, "#/$defs/", 8) == 0 && json_is_object(json_object_get(definitions, type + 8)));
    }
  }
  CHECK_EQ(json_array_size(choices), count);
  CHECK_EQ(json_object_size(definitions), count + HG_FIELD_bytes + 1);
  json_decref(schema);
}

TEST(contract, the_schemas_define_every_outside_message) {
  check_schema(hg_describe_events_schema, true);
  check_schema(hg_describe_commands_schema, false);
}

// ------------------------------------------------------------------------------------------------ golden vectors

static uint64_t hash_of(const char *text, size_t size) {
  return hg_siphash((struct hg_hash_key){0, 0}, text, size);
}

// A number of any width, not 0, that comes from the field's name: a field that was put in between moves all others.
static uint64_t number_of(const struct hg_field *field) {
  const uint64_t hash = hash_of(field->outside_name, field->outside_size);
  return hash >> (1 + 8 * (hash % 8)) | 1;
}

// The first `count` fields get values, the others keep their defaults. The values are in the vectors: they must never
// change.
static void fill(struct hg_message *message, const struct hg_field *fields, uint32_t count) {
  static const uint8_t topics[] = {0x92, 0xcd, 0x01, 0x02, 0x07}; // [0x102, 7]
  for (uint32_t i = 0; i < count; i++) {
    void *to = (char *)message + fields[i].offset;
    const uint64_t number = number_of(&fields[i]);
    switch (fields[i].type) {
    case HG_FIELD_flag: *(bool *)to = true; break;
    case HG_FIELD_u32: *(uint32_t *)to = (uint32_t)number; break;
    case HG_FIELD_percent: *(uint32_t *)to = (uint32_t)(number % 10000) + 1; break;
    case HG_FIELD_budget: *(uint32_t *)to = 1; break;
    case HG_FIELD_source: *(uint32_t *)to = HG_SOURCE_ESTIMATED; break;
    case HG_FIELD_u64:
    case HG_FIELD_id: *(uint64_t *)to = number; break;
    case HG_FIELD_num: *(int64_t *)to = -(int64_t)number; break;
    case HG_FIELD_tokens:
    case HG_FIELD_opt:
    case HG_FIELD_amount: *(int64_t *)to = (int64_t)(number & HG_TOKENS_MAX); break;
    case HG_FIELD_time: *(int64_t *)to = INT64_C(1763894400123456); break;
    case HG_FIELD_text: *(struct hg_text *)to = hg_text_of(fields[i].outside_name); break;
    case HG_FIELD_body: {
      const char *name = fields[i].outside_name;
      *(struct hg_bytes *)to = (struct hg_bytes){(const uint8_t *)name, (uint32_t)strlen(name)};
      break;
    }
    case HG_FIELD_bytes: *(struct hg_bytes *)to = (struct hg_bytes){topics, sizeof topics}; break;
    }
  }
}

// A form in which messages are published, and its file of lines "NAME FIELDS HEX": the first FIELDS fields are filled.
struct form {
  const char *path;
  size_t sealed_bytes; // of the file, which nobody may change any more …
  uint64_t sealed;     // … and their hash
  bool (*has)(const struct hg_kind_info *info);
  size_t (*encode)(const struct hg_kind_info *info, uint32_t fields, uint8_t *to, size_t room);
  // Is the vector what this version writes and, where it reads such frames, reads?
  bool (*agrees)(const struct hg_kind_info *info, uint32_t fields, const uint8_t *vector, size_t size);
};

static uint8_t frame[HG_FRAME_MAX];

static struct hg_message filled(const struct hg_kind_info *info, uint32_t fields, bool with_head) {
  struct hg_message message;
  hg_message_init(&message, info->kind);
  if (with_head) fill(&message, info->frame_fields, info->frame_field_count - info->field_count);
  fill(&message, info->fields, fields);
  return message;
}

static bool inside_has(const struct hg_kind_info *info) {
  return info != NULL;
}

static size_t inside_encode(const struct hg_kind_info *info, uint32_t fields, uint8_t *to, size_t room) {
  const struct hg_message message = filled(info, fields, fields > 0);
  return hg_frame_encode(&message, to, room);
}

// Fields that came later have their defaults, which end the frame and are not sent: the old bytes stay.
static bool inside_agrees(const struct hg_kind_info *info, uint32_t fields, const uint8_t *vector, size_t size) {
  const struct hg_message message = filled(info, fields, fields > 0);
  struct hg_message read;
  return inside_encode(info, fields, frame, sizeof frame) == size && memcmp(frame, vector, size) == 0 &&
         hg_frame_decode(vector, size, &read) == HG_OK && hg_message_equal(&read, &message);
}

static bool outside_has(const struct hg_kind_info *info) {
  return info->is_event || hg_is_control(info->kind);
}

static size_t outside_encode(const struct hg_kind_info *info, uint32_t fields, uint8_t *to, size_t room) {
  static const struct hg_budget_config budgets[] = {{.name = "default"}, {.name = "research"}};
  const struct hg_names names = {"6f1c9b1e-0000-4000-8000-00000000c0de", budgets, 2};
  const struct hg_message message = filled(info, fields, true);
  return info->is_event ? hg_outside_encode_event(&message, &names, to, room) : hg_outside_encode(&message, to, room);
}

static json_t *json_of(const uint8_t *from, size_t size) {
  static char text[4 * HG_OUTSIDE_FRAME_MAX];
  CHECK(hg_outside_to_json(from, size, text, sizeof text) > 0);
  json_t *root = json_loads(text, JSON_REJECT_DUPLICATES, NULL);
  CHECK(root != NULL);
  return root;
}

static bool is_within(json_t *less, json_t *more) {
  const char *key;
  json_t *value;
  if (!json_is_object(less)) return json_equal(less, more);
  json_object_foreach(less, key, value) {
    if (!is_within(value, json_object_get(more, key))) return false;
  }
  return true;
}

// Fields that came later are in the map too: then the old ones must be there as they were. Without any: the same bytes.
static bool outside_agrees(const struct hg_kind_info *info, uint32_t fields, const uint8_t *vector, size_t size) {
  const size_t now_size = outside_encode(info, fields, frame, sizeof frame);
  const struct hg_message message = filled(info, fields, true);
  struct hg_message read;
  if (!info->is_event && (hg_outside_decode(vector, size, &read) != HG_OK || !hg_message_equal(&read, &message)))
    return false;
  if (now_size == size && memcmp(frame, vector, size) == 0) return true;
  json_t *old = json_of(vector, size), *now = json_of(frame, now_size);
  const bool grown = is_within(old, now) && !json_equal(old, now);
  json_decref(old);
  json_decref(now);
  return grown;
}

static size_t from_hex(const char *text, uint8_t *to, size_t room) {
  size_t size = 0;
  unsigned byte;
  for (; size < room && isxdigit(text[0]) && isxdigit(text[1]) && sscanf(text, "%2x", &byte) == 1; text += 2)
    to[size++] = (uint8_t)byte;
  return *text == '\n' ? size : 0;
}

// One line of a file, which must be true.
static void check_line(const struct form *form, const char *line) {
  static uint8_t vector[HG_FRAME_MAX];
  char name[64];
  uint32_t fields = 0;
  int hex = 0;
  const bool whole = sscanf(line, "%63s %" SCNu32 " %n", name, &fields, &hex) == 2;
  const struct hg_kind_info *info = whole ? hg_kind_by_name(hg_text_of(name)) : NULL;
  const size_t size = info ? from_hex(line + hex, vector, sizeof vector) : 0;
  const bool agrees =
      size && form->has(info) && fields <= info->field_count && form->agrees(info, fields, vector, size);
  if (!agrees)
    fprintf(stderr, "%s: this is no longer so, and other programs rely on it: %.*s\n", form->path,
            (int)strcspn(line, "\n"), line);
  CHECK(agrees);
}

static bool stands(const struct form *form, const char *text, const struct hg_kind_info *wanted, uint32_t fields) {
  bool found = false;
  for (const char *line = text; *line && !found; line = strchr(line, '\n') + 1) {
    char beginning[80];
    snprintf(beginning, sizeof beginning, "%s %" PRIu32 " ", wanted->name, fields);
    found = strncmp(line, beginning, strlen(beginning)) == 0;
  }
  if (!found && !getenv("HG_REFRESH"))
    fprintf(stderr, "%s has no vector of %s with %" PRIu32 " fields: run " REFRESH "\n", form->path, wanted->name,
            fields);
  return found;
}

static void append(const struct form *form, const struct hg_kind_info *info, uint32_t fields) {
  const size_t size = form->encode(info, fields, frame, sizeof frame);
  FILE *to = fopen(form->path, "a");
  CHECK(to != NULL && size > 0);
  fprintf(to, "%s %" PRIu32 " ", info->name, fields);
  for (size_t i = 0; i < size; i++)
    fprintf(to, "%02x", frame[i]);
  fputc('\n', to);
  CHECK_EQ(fclose(to), 0);
}

static void check_sealed(const struct form *form, const char *text) {
  const size_t size = strlen(text);
  CHECK(size == 0 || text[size - 1] == '\n');
  const bool kept = size >= form->sealed_bytes && hash_of(text, form->sealed_bytes) == form->sealed;
  if (!kept) fprintf(stderr, "%s: a line that was published has been changed or taken away\n", form->path);
  if (getenv("HG_REFRESH")) fprintf(stderr, "%s: %zu bytes, 0x%016" PRIx64 "\n", form->path, size, hash_of(text, size));
  CHECK(kept);
}

static void check_vectors(const struct form *form) {
  char *text = contents(form->path);
  check_sealed(form, text);
  for (const char *line = text; *line; line = strchr(line, '\n') + 1)
    check_line(form, line);
  const struct hg_kind_info *info;
  bool complete = true;
  for (unsigned i = 0; (info = hg_kind_at(i)) != NULL; i++)
    for (int all = 0; all <= 1; all++) {
      const uint32_t fields = all ? info->field_count : 0;
      if (!form->has(info) || stands(form, text, info, fields)) continue;
      if (getenv("HG_REFRESH")) append(form, info, fields);
      else complete = false;
    }
  CHECK(complete);
  free(text);
}

// At a release the seals grow to the whole files, whose size and hash HG_REFRESH=1 prints.
TEST(contract, inside_frames_are_what_they_were) {
  check_vectors(&(struct form){HG_SOURCE_DIR "/schemas/golden/inside.hex", 15844, 0xc47a1756242c2df7, inside_has,
                               inside_encode, inside_agrees});
}

TEST(contract, outside_frames_are_what_they_were) {
  check_vectors(&(struct form){HG_SOURCE_DIR "/schemas/golden/outside.hex", 42216, 0xafc1fc9b082688c0, outside_has,
                               outside_encode, outside_agrees});
}
