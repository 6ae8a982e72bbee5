// A streamed answer under libFuzzer (scripts/fuzz). The first byte says how it is sent. Whatever the pieces, it
// says the same; cut off anywhere it never says another figure than the whole one; what is made of it is JSON.
#include "fuzz/fuzz.h"

#include "usage/assemble.h"

#include <stdlib.h>
#include <string.h>

#define COUNT(array) (sizeof(array) / sizeof((array)[0]))

struct outcome {
  hg_err err, made;
  struct hg_streamed streamed;
  struct hg_text_buffer answer;
};

static void play(uint8_t how, const uint8_t *data, size_t size, size_t step, bool whole, struct outcome *out) {
  static const char *const types[] = {NULL,         "text/event-stream", "application/x-ndjson",
                                      "text/plain", "application/json",  "application/vnd.amazon.eventstream"};
  struct hg_stream stream;
  struct hg_assembly assembly;
  *out = (struct outcome){.err = HG_OK};
  hg_assembly_init(&assembly);
  hg_stream_init(&stream, types[how % 8 % COUNT(types)], 1 + (how >> 6), hg_assembly_take, &assembly);
  for (size_t at = 0; at < size; at += step) {
    const size_t len = step < size - at ? step : size - at;
    char *piece = malloc(len); // of its own: nothing may be read beyond it
    memcpy(piece, data + at, len);
    hg_stream_feed(&stream, piece, len);
    free(piece);
  }
  out->err = hg_stream_end(&stream, whole, &out->streamed);
  out->made = hg_assembly_print(&assembly, &out->answer);
  hg_assembly_clear(&assembly);
  hg_stream_clear(&stream);
}

static bool same_figures(const hg_usage_report *a, const hg_usage_report *b) {
  return a->source == b->source && a->tokens == b->tokens && a->input_tokens == b->input_tokens &&
         a->output_tokens == b->output_tokens && a->cached_tokens == b->cached_tokens &&
         a->cache_write_tokens == b->cache_write_tokens && a->reasoning_tokens == b->reasoning_tokens;
}

static void check_same(const struct outcome *a, const struct outcome *b) {
  need(a->err == b->err && a->made == b->made && same_figures(&a->streamed.found.report, &b->streamed.found.report));
  need(a->streamed.ended == b->streamed.ended && a->streamed.failed == b->streamed.failed);
  need(a->streamed.kind == b->streamed.kind && strcmp(a->streamed.text, b->streamed.text) == 0);
  need(strcmp(a->streamed.found.model, b->streamed.found.model) == 0);
  need(a->answer.len == b->answer.len);
  need(a->answer.len == 0 || memcmp(a->answer.data, b->answer.data, a->answer.len) == 0);
}

static void check_one(const struct outcome *o) {
  const bool exact = o->streamed.found.report.source == HG_SOURCE_EXACT;
  struct hg_json root;
  need((o->err == HG_OK) == exact && (!exact || o->streamed.ended));
  need(exact || (o->streamed.found.report.tokens == 0 && o->streamed.found.reason));
  need(o->streamed.ended || o->streamed.text[0]);
  need(o->made || !hg_json_check(o->answer.data, o->answer.len, &root, NULL));
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
  if (size < 2) return 0;
  const uint8_t how = data[0];
  const size_t cut = (size_t)data[1] * (size - 2) / 256;
  struct outcome whole, pieces, part;
  data += 2;
  size -= 2;
  play(how, data, size, size ? size : 1, how & 8, &whole);
  play(how, data, size, 1 + (how >> 4), how & 8, &pieces);
  play(how, data, cut, cut ? cut : 1, false, &part);
  check_one(&whole);
  check_one(&part);
  check_same(&whole, &pieces);
  if (part.streamed.found.report.source == HG_SOURCE_EXACT && whole.streamed.found.report.source == HG_SOURCE_EXACT)
    need(same_figures(&part.streamed.found.report, &whole.streamed.found.report));
  hg_text_buffer_clear(&whole.answer);
  hg_text_buffer_clear(&pieces.answer);
  hg_text_buffer_clear(&part.answer);
  return 0;
}
