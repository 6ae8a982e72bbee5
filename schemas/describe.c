// Prints the message table as JSON Schema and as documentation.
#include "schemas/describe.h"
#include "bus/frames.h"

#include <ctype.h>
#include <inttypes.h>

// What a value is outside: a definition of the schemas, a row of the page.
struct value_type {
  const char *name;   // in both
  const char *schema; // without its braces
  const char *doc;
};

#define INTEGER(least, most) "\"type\": \"integer\", \"minimum\": " least ", \"maximum\": " most
static const struct value_type types[] = {
    [HG_FIELD_flag] = {"flag", "\"type\": \"boolean\"", "true or false"},
    [HG_FIELD_u32] = {"uint32", INTEGER("0", "4294967295"), "an integer of 32 bits without a sign"},
    [HG_FIELD_u64] = {"uint64", INTEGER("0", "18446744073709551615"), "an integer of 64 bits without a sign"},
    [HG_FIELD_num] = {"int64", INTEGER("-9223372036854775808", "9223372036854775807"),
                      "an integer of 64 bits that may be negative; an amount where nothing else is said"},
    [HG_FIELD_tokens] =
        {"tokens", INTEGER("0", "9007199254740991"),
         "0 to 2^53 - 1: an amount of what the ledger counts, or, where the name says input or output, tokens"},
    [HG_FIELD_opt] = {"optional", "\"type\": [\"integer\", \"null\"], \"minimum\": 0, \"maximum\": 9007199254740991",
                      "0 to 2^53 - 1, a count of tokens where nothing else is said; null: not known"},
    [HG_FIELD_amount] = {"amount", "\"type\": [\"integer\", \"null\"], \"minimum\": 0, \"maximum\": 9007199254740991",
                         "tokens, where 0 is not the same as nothing: missing or null, none is told"},
    [HG_FIELD_percent] = {"percent", "\"type\": \"number\", \"minimum\": 0, \"maximum\": 42949672.95",
                          "percent with at most two decimals, such as 90.5"},
    [HG_FIELD_id] = {"id", "\"type\": \"string\", \"pattern\": \"^[0-9a-f]{16}$\"", "16 hex digits; all 0: none"},
    [HG_FIELD_time] = {"time", INTEGER("-9223372036854775808", "9223372036854775807"),
                       "microseconds since 1970-01-01 UTC"},
    [HG_FIELD_budget] = {"budgetName", "\"type\": \"string\", \"minLength\": 1, \"maxLength\": 64",
                         "the name of a budget, at most 64 bytes"},
    [HG_FIELD_source] = {"source", "\"enum\": [\"exact\", \"estimated\", \"missing\"]", "exact, estimated or missing"},
    [HG_FIELD_text] = {"text", "\"type\": \"string\", \"maxLength\": 512",
                       "UTF-8 without a NUL, at most 512 bytes; empty: none"},
    [HG_FIELD_body] = {"body", "\"type\": \"string\"", "UTF-8, as much as fits into a frame of 64 KiB"},
    [HG_FIELD_bytes] = {"topics",
                        "\"type\": \"object\", \"additionalProperties\": {" INTEGER("1", "18446744073709551615") "}",
                        "a map: the type of an event and its newest seq"},
};
#define TYPE_COUNT (sizeof types / sizeof *types)
static_assert(HG_TOKENS_MAX == INT64_C(9007199254740991), "the bound of tokens");
static_assert(HG_TEXT_MAX == 512 && HG_BUDGET_NAME_MAX == 64, "the bounds of texts");

// ------------------------------------------------------------------------------------------------ JSON Schema

static void put_json_string(FILE *to, const char *text) {
  fputc('"', to);
  for (; *text; text++) {
    if (*text == '"' || *text == '\\') fputc('\\', to);
    fputc(*text, to);
  }
  fputc('"', to);
}

// `schema` is without its braces.
static void put_property(FILE *to, const char *indent, const char *name, const char *schema, const char *doc) {
  fprintf(to, "%s", indent);
  put_json_string(to, name);
  fprintf(to, ": {%s, \"description\": ", schema);
  put_json_string(to, doc);
  fputc('}', to);
}

static void put_field(FILE *to, const char *indent, const struct hg_field *field) {
  char reference[64];
  snprintf(reference, sizeof reference, "\"$ref\": \"#/$defs/%s\"", types[field->type].name);
  put_property(to, indent, field->outside_name, reference, field->doc);
}

static void put_fields(FILE *to, const char *indent, const struct hg_field *fields, uint32_t count) {
  for (uint32_t i = 0; i < count; i++) {
    put_field(to, indent, &fields[i]);
    fputs(i + 1 < count ? ",\n" : "\n", to);
  }
}

static void put_required(FILE *to, const char *indent, const char *first, const struct hg_field *fields,
                         uint32_t count) {
  fprintf(to, "%s\"required\": [%s", indent, first);
  for (uint32_t i = 0; i < count; i++) {
    if (i || *first) fputs(", ", to);
    put_json_string(to, fields[i].outside_name);
  }
  fputs("]\n", to);
}

// seq and prev: some events have no row of the journal, a store that is down is first told of without one.
static void put_row(FILE *to, const char *indent, enum hg_kind kind, const struct hg_field *field, const char *least) {
  char schema[64] = "\"type\": \"null\"";
  const char *type = kind == HG_STORE_DEGRADED ? "[\"integer\", \"null\"]" : "\"integer\"";
  if (!HG_IS_NEVER_A_ROW(kind)) snprintf(schema, sizeof schema, "\"type\": %s, \"minimum\": %s", type, least);
  put_property(to, indent, field->outside_name, schema, field->doc);
  fputs(",\n", to);
}

static void put_event_schema(FILE *to, const struct hg_kind_info *info) {
  static const char indent[] = "        ";
  uint32_t count = 0;
  const struct hg_field *head = hg_event_head_fields(&count);
  put_property(to, indent, "ledgerId", "\"type\": \"string\"", "which ledger, a UUID");
  fputs(",\n", to);
  put_row(to, indent, info->kind, &head[0], "1");
  put_row(to, indent, info->kind, &head[1], "0");
  for (uint32_t i = 2; i < count; i++) {
    put_field(to, indent, &head[i]);
    fputs(",\n", to);
  }
  fprintf(to, "%s\"payload\": {\n          \"type\": \"object\",\n          \"properties\": {\n", indent);
  put_fields(to, "            ", info->fields, info->field_count);
  fputs("          },\n", to);
  put_required(to, "          ", "", info->fields, info->field_count);
  fputs("        }\n      },\n", to);
  put_required(to, "      ", "\"v\", \"type\", \"ledgerId\", \"payload\"", head, count);
}

// Of a command only the type must be there: a field that is missing has its default.
static void put_command_schema(FILE *to, const struct hg_kind_info *info) {
  put_fields(to, "        ", info->fields, info->field_count);
  fputs("      },\n", to);
  put_required(to, "      ", "\"type\"", NULL, 0);
}

static void put_definition(FILE *to, const struct hg_kind_info *info) {
  fprintf(to, "    \"%s\": {\n      \"type\": \"object\",\n      \"description\": ", info->name);
  put_json_string(to, info->doc);
  fprintf(to, ",\n      \"properties\": {\n        \"v\": {\"const\": 1},\n        \"type\": {\"const\": \"%s\"},\n",
          info->name);
  if (info->is_event) put_event_schema(to, info);
  else put_command_schema(to, info);
  fputs("    }", to);
}

static bool is_event(const struct hg_kind_info *info) {
  return info->is_event;
}
static bool is_command(const struct hg_kind_info *info) {
  return hg_is_control(info->kind);
}
static bool is_inside(const struct hg_kind_info *info) {
  return !is_event(info) && !is_command(info);
}

static void put_schema(FILE *to, const char *title, const char *doc, bool wanted(const struct hg_kind_info *)) {
  const struct hg_kind_info *info;
  const char *comma = "";
  fprintf(to,
          "{\n  \"$schema\": \"https://json-schema.org/draft/2020-12/schema\",\n  \"title\": \"%s\",\n"
          "  \"description\": \"%s Protocol version 1. Fields are only ever added: ignore those that you do not "
          "know.\",\n  \"oneOf\": [",
          title, doc);
  for (unsigned i = 0; (info = hg_kind_at(i)) != NULL; i++) {
    if (!wanted(info)) continue;
    fprintf(to, "%s\n    {\"$ref\": \"#/$defs/%s\"}", comma, info->name);
    comma = ",";
  }
  fputs("\n  ],\n  \"$defs\": {", to);
  for (size_t i = 0; i < TYPE_COUNT; i++) {
    fputs(i ? ",\n" : "\n", to);
    put_property(to, "    ", types[i].name, types[i].schema, types[i].doc);
  }
  for (unsigned i = 0; (info = hg_kind_at(i)) != NULL; i++) {
    if (!wanted(info)) continue;
    fputs(",\n", to);
    put_definition(to, info);
  }
  fputs("\n  }\n}\n", to);
}

void hg_describe_events_schema(FILE *to) {
  put_schema(to, "Headgate: events", "What the event bus publishes, each event by its type.", is_event);
}

void hg_describe_commands_schema(FILE *to) {
  put_schema(to, "Headgate: commands",
             "What the control socket takes and answers. A field that is missing has its default: 0, false, the empty "
             "text.",
             is_command);
}

// ------------------------------------------------------------------------------------------------ documentation

static const char *type_inside(enum hg_field_type type) {
  switch (type) {
  case HG_FIELD_opt:
  case HG_FIELD_amount: return "tokens; -1: unknown";
  case HG_FIELD_percent: return "hundredths";
  case HG_FIELD_id: return "64 bits";
  case HG_FIELD_budget: return "index of a budget";
  case HG_FIELD_source: return "hg_source";
  case HG_FIELD_bytes: return "bytes";
  case HG_FIELD_flag:
  case HG_FIELD_u32:
  case HG_FIELD_u64:
  case HG_FIELD_num:
  case HG_FIELD_tokens:
  case HG_FIELD_time:
  case HG_FIELD_body:
  case HG_FIELD_text: break;
  }
  return types[type].name;
}

static void put_table(FILE *to, const struct hg_field *fields, uint32_t count, bool outside) {
  fputs("| field | type | meaning |\n|---|---|---|\n", to);
  for (uint32_t i = 0; i < count; i++)
    fprintf(to, "| `%s` | %s | %s |\n", outside ? fields[i].outside_name : fields[i].name,
            outside ? types[fields[i].type].name : type_inside(fields[i].type), fields[i].doc);
}

static void put_messages(FILE *to, bool wanted(const struct hg_kind_info *)) {
  const struct hg_kind_info *info;
  for (unsigned i = 0; (info = hg_kind_at(i)) != NULL; i++) {
    if (!wanted(info)) continue;
    fprintf(to, "\n### %s\n\n%c%s. Code 0x%02x, since version %" PRIu32 ".\n\n", info->name, toupper(info->doc[0]),
            info->doc + 1, (unsigned)info->kind, info->since);
    put_table(to, info->fields, info->field_count, !is_inside(info));
  }
}

void hg_describe_outside(FILE *to) {
  fputs("## Types\n\n| type | what it is |\n|---|---|\n", to);
  for (size_t i = 0; i < TYPE_COUNT; i++)
    fprintf(to, "| %s | %s |\n", types[i].name, types[i].doc);
  fputs("\n## Events\n\nThe topic of an event is its name. Beside `v`, `type`, `ledgerId` and `payload` each has\n\n",
        to);
  uint32_t count = 0;
  const struct hg_field *head = hg_event_head_fields(&count);
  put_table(to, head, count, true);
  fputs("\nand in its `payload` the fields that stand here by its name.\n", to);
  put_messages(to, is_event);
  fputs("\n## Commands and answers\n", to);
  put_messages(to, is_command);
}

void hg_describe_inside(FILE *to) {
  fputs("# Messages inside\n\n"
        "Printed from `schemas/messages.def`; do not edit. What other processes hear and say is in "
        "[protocol.md](protocol.md).\n\n"
        "Between the actors and the clients of one process a message is a positional msgpack array: its code, then its "
        "fields in this order (of an event first `seq`, `prev`, `at` and `budget`), without the defaults at its end.\n",
        to);
  put_messages(to, is_inside);
}
