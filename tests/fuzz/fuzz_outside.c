// The decoder of what comes from outside, under libFuzzer (scripts/fuzz). Whatever the bytes are, it must read none
// beyond them, say the same each time, and what it takes must come out of the encoder and in again as the same message.
#include "fuzz/fuzz.h"

#include "bus/frames.h"
#include "schemas/message.h"

#include <assert.h>
#include <jansson.h>
#include <stdio.h>
#include <string.h>

#define ROOM (4 * HG_COMMAND_FRAME_MAX)

static void decode(const uint8_t *data, size_t size) {
  static uint8_t frame[ROOM];
  struct hg_message message, again;
  const uint64_t request = hg_outside_read_request(data, size);
  if (hg_outside_decode(data, size, &message) != HG_OK) return;
  assert(hg_is_control(message.kind));
  const struct hg_kind_info *info = hg_kind_info(message.kind);
  for (uint32_t i = 0; i < info->field_count; i++)
    if (strcmp(info->fields[i].outside_name, "request") == 0)
      need(*(const uint64_t *)((const char *)&message + info->fields[i].offset) == request);
  const size_t used = hg_outside_encode(&message, frame, sizeof frame);
  if (used == 0 || used > HG_COMMAND_FRAME_MAX) return; // names and defaults make it longer than it came
  need(hg_outside_decode(frame, used, &again) == HG_OK && hg_message_equal(&message, &again));
}

static void read_envelope(const uint8_t *data, size_t size) {
  struct hg_event_envelope envelope;
  if (hg_outside_read_envelope(data, size, &envelope) != HG_OK) return;
  need(is_in(envelope.type.data, envelope.type.size, data, size));
  need(is_in(envelope.budget.data, envelope.budget.size, data, size));
}

// Into a little room and into enough of it: never more than there is, and JSON as another library reads it.
static void print(const uint8_t *data, size_t size) {
  static char text[ROOM];
  char little[64];
  const size_t short_one = hg_outside_to_json(data, size, little, 1 + size % sizeof little);
  const size_t length = hg_outside_to_json(data, size, text, sizeof text);
  need(!short_one || short_one == length);
  if (length == 0) return;
  need(strlen(text) == length && !strchr(text, '\n'));
  json_error_t why;
  json_t *json = json_loadb(text, length, JSON_DECODE_ANY | JSON_ALLOW_NUL | JSON_DECODE_INT_AS_REAL, &why);
  if (!json && json_error_code(&why) != json_error_numeric_overflow) {
    fprintf(stderr, "no JSON: %s: %.200s\n", why.text, text);
    __builtin_trap();
  }
  json_decref(json);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
  decode(data, size);
  read_envelope(data, size);
  print(data, size);
  return 0;
}
