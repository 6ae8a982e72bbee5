// Prints the message table as JSON Schema and as documentation.
#include "schemas/describe.h"
#include "bus/frames.h"

#include <ctype.h>
#include <inttypes.h>

// ------------------------------------------------------------------------------------------------ JSON Schema

static void put_json_string(FILE *to, const char *text) {
  fputc('"', to);
  for (; *text; text++) {
    if (*text == '"' || *text == '\\') fputc('\\', to);
    fputc(*text, to);
  }
  fputc('"', to);
}

// The schema of a value, without its braces.
static const char *value_schema(enum hg_field_type type) {
  static_assert(HG_TOKENS_MAX == INT64_C(9007199254740991), "the bound of tokens in the schema");
  static_assert(HG_TEXT_MAX == 512, "the bound of texts in the schema");
  switch (type) {
  case HG_FIELD_flag: return "\"type\": \"boolean\"";
  case HG_FIELD_u32: return "\"type\": \"integer\", \"minimum\": 0, \"maximum\": 4294967295";
  case HG_FIELD_u64: return "\"type\": \"integer\", \"minimum\": 0";
  case HG_FIELD_num:
  case HG_FIELD_time: return "\"type\": \"integer\"";
  case HG_FIELD_tokens: return "\"type\": \"integer\", \"minimum\": 0, \"maximum\": 9007199254740991";
  case HG_FIELD_opt: return "\"type\": [\"integer\", \"null\"], \"minimum\": 0, \"maximum\": 9007199254740991";
  case HG_FIELD_percent: return "\"type\": \"number\", \"minimum\": 0";
  case HG_FIELD_id: return "\"type\": \"string\", \"pattern\": \"^[0-9a-f]{16}$\"";
  case HG_FIELD_budget: return "\"type\": \"string\", \"minLength\": 1, \"maxLength\": 64";
  case HG_FIELD_source: return "\"enum\": [\"exact\", \"estimated\", \"missing\"]";
  case HG_FIELD_text: return "\"type\": \"string\", \"maxLength\": 512";
  case HG_FIELD_bytes: return "\"type\": \"object\", \"additionalProperties\": {\"type\": \"integer\", \"minimum\": 0}";
  }
  return "";
}

static void put_property(FILE *to, const char *indent, const char *name, const char *schema, const char *doc) {
  fprintf(to, "%s", indent);
  put_json_string(to, name);
  fprintf(to, ": {%s, \"description\": ", schema);
  put_json_string(to, doc);
  fputc('}', to);
}

static void put_fields(FILE *to, const char *indent, const struct hg_field *fields, uint32_t count) {
  for (uint32_t i = 0; i < count; i++) {
    put_property(to, indent, fields[i].outside_name, value_schema(fields[i].type), fields[i].doc);
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

// What is told although, or because, the store is down has no row of the journal.
static const char *row_schema(enum hg_kind kind, const char *journalled) {
  if (kind == HG_HEARTBEAT) return "\"type\": \"null\"";
  if (kind == HG_STORE_DEGRADED || kind == HG_STORE_RECOVERED)
    return "\"type\": [\"integer\", \"null\"], \"minimum\": 0";
  return journalled;
}

static void put_event_schema(FILE *to, const struct hg_kind_info *info) {
  static const char indent[] = "        ";
  uint32_t count = 0;
  const struct hg_field *head = hg_event_head_fields(&count);
  put_property(to, indent, "ledgerId", "\"type\": \"string\"", "which ledger, a UUID");
  fputs(",\n", to);
  for (uint32_t i = 0; i < count; i++) {
    const char *schema = value_schema(head[i].type);
    if (i == 0) schema = row_schema(info->kind, "\"type\": \"integer\", \"minimum\": 1");
    if (i == 1) schema = row_schema(info->kind, schema);
    put_property(to, indent, head[i].outside_name, schema, head[i].doc);
    fputs(",\n", to);
  }
  fprintf(to, "%s\"payload\": {\n          \"type\": \"object\",\n          \"properties\": {\n", indent);
  put_fields(to, "            ", info->fields, info->field_count);
  fputs("          },\n", to);
  put_required(to, "          ", "", info->fields, info->field_count);
  fputs("        }\n      },\n", to);
  put_required(to, "      ", "\"v\", \"type\", \"ledgerId\", \"payload\"", head, count);
}

// Of a control message only the type must be there: a field that is missing has its default.
static void put_control_schema(FILE *to, const struct hg_kind_info *info) {
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
  else put_control_schema(to, info);
  fputs("    }", to);
}

static bool is_outside(const struct hg_kind_info *info) {
  return info->is_event || hg_is_control(info->kind);
}

void hg_describe_json_schema(FILE *to) {
  fputs(
      "{\n  \"$schema\": \"https://json-schema.org/draft/2020-12/schema\",\n"
      "  \"title\": \"Headgate: events and control messages\",\n"
      "  \"description\": \"What the event bus publishes and the control socket takes and answers, protocol version 1. "
      "Fields are only ever added: ignore those that you do not know.\",\n",
      to);
  const struct hg_kind_info *info;
  const char *comma = "";
  fputs("  \"oneOf\": [", to);
  for (unsigned i = 0; (info = hg_kind_at(i)) != NULL; i++) {
    if (!is_outside(info)) continue;
    fprintf(to, "%s\n    {\"$ref\": \"#/$defs/%s\"}", comma, info->name);
    comma = ",";
  }
  comma = "";
  fputs("\n  ],\n  \"$defs\": {", to);
  for (unsigned i = 0; (info = hg_kind_at(i)) != NULL; i++) {
    if (!is_outside(info)) continue;
    fprintf(to, "%s\n", comma);
    put_definition(to, info);
    comma = ",";
  }
  fputs("\n  }\n}\n", to);
}

// ------------------------------------------------------------------------------------------------ documentation

static const char *type_in_words(enum hg_field_type type, bool outside) {
  switch (type) {
  case HG_FIELD_flag: return "boolean";
  case HG_FIELD_u32: return "integer, 32 bits";
  case HG_FIELD_u64: return "integer, 64 bits";
  case HG_FIELD_num: return "signed integer";
  case HG_FIELD_tokens: return "tokens";
  case HG_FIELD_opt: return outside ? "tokens or nil" : "tokens, -1: unknown";
  case HG_FIELD_percent: return outside ? "number" : "hundredths";
  case HG_FIELD_id: return outside ? "16 hex digits" : "id";
  case HG_FIELD_time: return "microseconds";
  case HG_FIELD_budget: return outside ? "name" : "budget index";
  case HG_FIELD_source: return outside ? "exact, estimated or missing" : "hg_source";
  case HG_FIELD_text: return "text";
  case HG_FIELD_bytes: return outside ? "map" : "bytes";
  }
  return "";
}

static void put_table(FILE *to, const struct hg_field *fields, uint32_t count, bool outside) {
  fputs("| field | type | meaning |\n|---|---|---|\n", to);
  for (uint32_t i = 0; i < count; i++)
    fprintf(to, "| `%s` | %s | %s |\n", outside ? fields[i].outside_name : fields[i].name,
            type_in_words(fields[i].type, outside), fields[i].doc);
  fputc('\n', to);
}

static void put_section(FILE *to, const char *heading, bool wanted(const struct hg_kind_info *)) {
  fprintf(to, "## %s\n\n", heading);
  const struct hg_kind_info *info;
  for (unsigned i = 0; (info = hg_kind_at(i)) != NULL; i++) {
    if (!wanted(info)) continue;
    fprintf(to, "### %s\n\n%c%s. Code 0x%02x, since version %" PRIu32 ".\n\n", info->name, toupper(info->doc[0]),
            info->doc + 1, (unsigned)info->kind, info->since);
    put_table(to, info->fields, info->field_count, is_outside(info));
  }
}

static bool is_event(const struct hg_kind_info *info) {
  return info->is_event;
}
static bool is_control(const struct hg_kind_info *info) {
  return hg_is_control(info->kind);
}
static bool is_inside(const struct hg_kind_info *info) {
  return !is_outside(info);
}

void hg_describe_markdown(FILE *to) {
  fputs("# Messages\n\n"
        "Printed from `schemas/messages.def`; do not edit. Fields are only ever added, codes never used again: ignore "
        "fields and types that you do not know.\n\n"
        "An event comes in two frames, its type (the topic) and a msgpack map:\n\n"
        "```\n{\"v\": 1, \"type\": …, \"ledgerId\": …, \"seq\": …, \"prev\": …, \"at\": …, \"budget\": …, "
        "\"payload\": {its fields}}\n```\n\n",
        to);
  uint32_t count = 0;
  const struct hg_field *head = hg_event_head_fields(&count);
  put_table(to, head, count, true);
  put_section(to, "Events", is_event);
  fputs(
      "A message of the control socket is one flat map: `{\"v\": 1, \"type\": …, its fields}`. A field that is missing "
      "or nil has its default: 0, false, the empty text.\n\n",
      to);
  put_section(to, "The control socket", is_control);
  fputs(
      "Between the actors and the clients of one process a message is a positional msgpack array: its code, then its "
      "fields in this order (of an event first `seq`, `prev`, `at` and `budget`), without the defaults at its end.\n\n",
      to);
  put_section(to, "Inside", is_inside);
}
