// Events as lines for people.
#include "cli/event_line.h"

#include "runner/figures.h"
#include "schemas/message.h"
#include "base/money.h"

#include <jansson.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

#define TEXT_SHOWN 200 // bytes

// In local time, as the clock on the wall has it.
static void add_time(struct hg_text_line *line, int64_t at_us) {
  const time_t seconds = (time_t)(at_us / 1000000);
  struct tm parts;
  char text[16] = "--:--:--";
  if (at_us > 0 && localtime_r(&seconds, &parts)) strftime(text, sizeof text, "%H:%M:%S", &parts);
  hg_text_line_add(line, "%s.%03d", text, (int)(at_us > 0 ? at_us / 1000 % 1000 : 0));
}

// Fields for programs, which only lengthen a line.
static bool is_detail(const char *field) {
  static const char *const details[] = {"permit",           "parent",          "cachedTokens",
                                        "cacheWriteTokens", "reasoningTokens", "responseId"};
  for (size_t i = 0; i < sizeof details / sizeof *details; i++)
    if (strcmp(field, details[i]) == 0) return true;
  return false;
}

// What says the usual is left out: nil, empty, false, no change, a first attempt, an exact figure.
static bool is_usual(const char *field, const json_t *value) {
  const bool delta = strlen(field) > 5 && strcmp(field + strlen(field) - 5, "Delta") == 0;
  if (json_is_null(value) || json_is_false(value)) return true;
  if (strcmp(field, "unit") == 0) return json_is_string(value) && strcmp(json_string_value(value), "tokens") == 0;
  if (json_is_string(value)) return !json_string_length(value) || strcmp(json_string_value(value), "exact") == 0;
  if (strcmp(field, "attempt") == 0) return json_integer_value(value) <= 1;
  return delta && json_integer_value(value) == 0;
}

// The other numbers of an event are counts: of tokens, calls, rows.
static bool is_amount(const char *field) {
  static const char *const amounts[] = {"used",   "reserved",  "limit",         "usedDelta",  "reservedDelta", "overBy",
                                        "needed", "available", "previousLimit", "fromParent", "toParent"};
  for (size_t i = 0; i < sizeof amounts / sizeof *amounts; i++)
    if (strcmp(field, amounts[i]) == 0) return true;
  return false;
}

static void add_field(struct hg_text_line *line, hg_unit unit, const char *field, const json_t *value) {
  char text[TEXT_SHOWN];
  const size_t length = strlen(field);
  if (is_detail(field) || is_usual(field, value)) return;
  if (json_is_string(value))
    hg_text_line_add(line, "  %s %s", field, hg_text_show(text, sizeof text, hg_text_of(json_string_value(value))));
  else if (json_is_true(value)) hg_text_line_add(line, "  %s", field);
  else if (json_is_real(value)) hg_text_line_add(line, "  %s %.2f", field, json_real_value(value));
  else if (json_is_integer(value)) {
    const int64_t number = json_integer_value(value);
    const bool delta = length > 5 && strcmp(field + length - 5, "Delta") == 0;
    hg_text_line_add(line, "  %s %s%s", field, delta && number > 0 ? "+" : "",
                     hg_figure_amount(is_amount(field) ? unit : HG_UNIT_TOKENS, number).text);
  }
}

static void learn_unit(const json_t *event, hg_unit *unit) {
  const char *name = json_string_value(json_object_get(json_object_get(event, "payload"), "unit"));
  if (name) (void)hg_unit_of_name(name, strlen(name), unit);
}

bool hg_event_line(const char *json, hg_unit *unit, char *out, size_t room) {
  json_t *event = json_loads(json, 0, NULL);
  const char *type = json_string_value(json_object_get(event, "type"));
  const char *budget = json_string_value(json_object_get(event, "budget"));
  struct hg_text_line line = {out, 0, room};
  learn_unit(event, unit);
  if (type) {
    char shown[TEXT_SHOWN];
    const char *field;
    json_t *value;
    add_time(&line, json_integer_value(json_object_get(event, "at")));
    hg_text_line_add(&line, " %-23s", hg_text_show(shown, sizeof shown, hg_text_of(type)));
    if (budget && budget[0]) hg_text_line_add(&line, " %s", hg_text_show(shown, sizeof shown, hg_text_of(budget)));
    json_object_foreach(json_object_get(event, "payload"), field, value) {
      char safe[TEXT_SHOWN];
      add_field(&line, *unit, hg_text_show(safe, sizeof safe, hg_text_of(field)), value);
    }
  }
  json_decref(event);
  return type != NULL;
}
