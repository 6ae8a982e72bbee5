// Lines of batch files and of result files under libFuzzer (scripts/fuzz). The first two bytes say how calls are made;
// the rest is the line. What is sent is JSON to another library, carries no cap above the one that is reserved, says
// what the line said, and means no more tokens than its bound, by what that library counts in it.
#include "fuzz/fuzz.h"

#include "batch/line.h"
#include "providers/output_cap.h"
#include "providers/request.h"

#include <jansson.h>
#include <stdlib.h>
#include <string.h>

// How calls are made: llm of the configuration, and the model that replaces that of the line.
struct setting {
  struct hg_llm_config llm;
  char cap_field[24];
  const char *model;
};

static void choose(uint8_t how, uint8_t more, struct setting *out) {
  static const char *const fields[] = {"auto", "max_tokens", "max_completion_tokens", "n_predict"};
  static const char *const models[] = {NULL, NULL, "o3-mini", "a\"b\\\xc3\xa9"};
  *out = (struct setting){.model = models[how >> 2 & 3]};
  strcpy(out->cap_field, fields[how & 3]);
  out->llm.output_cap_field = out->cap_field;
  out->llm.may_cap_output = how >> 4 & 1;
  out->llm.allow_unbounded = how >> 5 & 1;
  out->llm.max_tokens_per_media = how >> 6 & 1 ? 1500 : 0;
  out->llm.default_max_tokens = how >> 7 ? 4096 : 1 + (int64_t)more;
}

// ------------------------------------------------------------------------------------------------ as jansson reads it

// NULL also for what our reader takes and jansson does not: halves of surrogate pairs, numbers beyond a double.
static json_t *read(const char *text, size_t len) {
  return json_loadb(text, len, JSON_ALLOW_NUL | JSON_DECODE_INT_AS_REAL, NULL);
}

static double number(const json_t *object, const char *name) {
  return json_number_value(json_object_get(object, name)); // 0: there is none
}

// The texts that a model reads for certain: those of messages, prompts, instructions. A token is a byte of them at
// most, but the fuzzer can't know how many fewer; so their bytes must be in the bound.
static size_t text_bytes(const json_t *value) {
  size_t bytes = json_string_length(value);
  for (size_t i = 0; i < json_array_size(value); i++) {
    const json_t *element = json_array_get(value, i);
    bytes += json_is_object(element) ? json_string_length(json_object_get(element, "content")) + 1
                                     : json_string_length(element);
  }
  return bytes;
}

static size_t least_bound(const json_t *body, enum hg_endpoint endpoint) {
  switch (endpoint) {
  case HG_ENDPOINT_CHAT: return text_bytes(json_object_get(body, "messages"));
  case HG_ENDPOINT_MESSAGES:
    return text_bytes(json_object_get(body, "messages")) + text_bytes(json_object_get(body, "system"));
  case HG_ENDPOINT_RESPONSES:
    return text_bytes(json_object_get(body, "input")) + text_bytes(json_object_get(body, "instructions"));
  case HG_ENDPOINT_COMPLETIONS: return text_bytes(json_object_get(body, "prompt"));
  case HG_ENDPOINT_EMBEDDINGS: return text_bytes(json_object_get(body, "input"));
  case HG_ENDPOINT_OTHER: break;
  }
  return 0;
}

// ------------------------------------------------------------------------------------------------ what is sent

static void check_figures(const struct hg_prepared *prepared, const struct hg_llm_config *llm) {
  need(prepared->input_bound >= 0 && prepared->output_cap >= 0 && prepared->choices >= 1 && prepared->predicted >= 0);
  need(prepared->max_tokens > 0 && prepared->max_tokens <= HG_TOKENS_MAX);
  need(prepared->max_tokens ==
       prepared->input_bound + prepared->choices * (prepared->output_cap + prepared->predicted));
  need(prepared->min_tokens <= prepared->max_tokens && prepared->min_tokens >= prepared->input_bound);
  need(llm->may_cap_output || prepared->min_tokens == prepared->max_tokens);
  need(prepared->least == prepared->min_tokens && prepared->most == prepared->max_tokens);
}

// No cap of those that its endpoint may obey is above the one that was reserved, and where there is output one is
// there.
static void check_caps(const json_t *body, const struct hg_prepared *prepared, const struct setting *setting) {
  const bool chat = prepared->endpoint == HG_ENDPOINT_CHAT, completions = prepared->endpoint == HG_ENDPOINT_COMPLETIONS;
  const bool own = (chat || completions) && strcmp(setting->cap_field, "auto") != 0;
  const double caps[] = {prepared->endpoint != HG_ENDPOINT_RESPONSES ? number(body, "max_tokens") : 0,
                         chat ? number(body, "max_completion_tokens") : 0,
                         prepared->endpoint == HG_ENDPOINT_RESPONSES ? number(body, "max_output_tokens") : 0,
                         own ? number(body, setting->cap_field) : 0};
  double largest = 0;
  for (size_t i = 0; i < sizeof caps / sizeof *caps; i++)
    largest = caps[i] > largest ? caps[i] : largest;
  if (prepared->endpoint == HG_ENDPOINT_EMBEDDINGS) need(prepared->output_cap == 0);
  else if (prepared->endpoint != HG_ENDPOINT_OTHER) need(largest == (double)prepared->output_cap && largest >= 1);
  need(!own || number(body, setting->cap_field) >= 1);
  need(!(chat || completions) || number(body, "n") <= (double)prepared->choices);
  need(!completions || number(body, "best_of") <= (double)prepared->choices);
}

// All that the line said and nobody has a say in is in the body that is sent.
static void check_kept(const json_t *body, const json_t *sent, const struct setting *setting) {
  static const char *const ours[] = {"model",          "max_tokens", "max_completion_tokens", "max_output_tokens",
                                     "stream_options", "n_predict"};
  const char *name = NULL;
  json_t *value = NULL;
  json_object_foreach((json_t *)(uintptr_t)body, name, value) {
    bool is_ours = false;
    for (size_t i = 0; i < sizeof ours / sizeof *ours; i++)
      is_ours = is_ours || strcmp(name, ours[i]) == 0;
    need(is_ours || json_equal(value, json_object_get(sent, name)));
  }
  need(!setting->model || strcmp(json_string_value(json_object_get(sent, "model")), setting->model) == 0);
}

// Whether a body that has been prepared has the bound that it had before. At endpoints that read one text again with
// each of many, all that is beside the many counts as often, the name of the model too; and another may have stood
// there.
static bool bound_stays(const struct hg_prepared *prepared, const struct setting *setting) {
  return prepared->endpoint != HG_ENDPOINT_OTHER || !setting->model;
}

// Prepared once more it stays as it is.
static void check_again(const char *url, const struct hg_prepared *prepared, const struct setting *setting) {
  struct hg_prepared again;
  need(hg_request_prepare(url, prepared->body, prepared->body_len, &setting->llm, setting->model, &again, NULL) ==
       HG_OK);
  need(again.body_len == prepared->body_len && memcmp(again.body, prepared->body, again.body_len) == 0);
  need(!bound_stays(prepared, setting) ||
       (again.max_tokens == prepared->max_tokens && again.min_tokens == prepared->min_tokens));
  need(again.unbounded == prepared->unbounded && again.streams == prepared->streams);
  hg_prepared_clear(&again);
}

// Cut down to what a budget has left, it means no more than that.
static void check_lowered(const char *url, const struct hg_prepared *prepared, const struct setting *setting,
                          uint8_t more) {
  struct hg_lowered lowered;
  struct hg_prepared again;
  if (prepared->least == prepared->most) return;
  const int64_t granted = prepared->least + (prepared->most - prepared->least) / 256 * more;
  need(hg_output_lower(prepared, &setting->llm, granted, &lowered) == HG_OK);
  need(prepared->input_bound + lowered.output_max <= granted);
  const hg_err err =
      hg_request_prepare(url, lowered.body, lowered.body_len, &setting->llm, setting->model, &again, NULL);
  need(err == HG_OK && (again.max_tokens <= granted || !bound_stays(prepared, setting)));
  hg_prepared_clear(&again);
  free(lowered.body);
}

static void check_sent(const json_t *body, const struct hg_prepared *prepared, const struct setting *setting) {
  json_t *sent = read(prepared->body, prepared->body_len);
  need(sent != NULL || body == NULL);
  if (body) {
    check_caps(sent, prepared, setting);
    check_kept(body, sent, setting);
    need((size_t)prepared->input_bound >= least_bound(sent, prepared->endpoint));
  }
  json_decref(sent);
}

static void prepare(const struct hg_batch_line *line, const json_t *body, const struct setting *setting, uint8_t more) {
  struct hg_prepared prepared;
  hg_error why = HG_ERROR_INIT;
  const hg_err err =
      hg_request_prepare(line->url, line->body, line->body_len, &setting->llm, setting->model, &prepared, &why);
  need((err == HG_OK) == (prepared.body != NULL));
  if (err) {
    need((err == HG_ERR_INVALID || err == HG_ERR_RANGE) && why.code == err && why.text[0]);
    return;
  }
  need(prepared.body[prepared.body_len] == '\0' && strlen(prepared.body) == prepared.body_len);
  check_figures(&prepared, &setting->llm);
  check_sent(body, &prepared, setting);
  check_again(line->url, &prepared, setting);
  check_lowered(line->url, &prepared, setting, more);
  hg_prepared_clear(&prepared);
}

// ------------------------------------------------------------------------------------------------ lines

static void check_line(const struct hg_batch_line *line, const json_t *json, const uint8_t *data, size_t size) {
  need(strlen(line->custom_id) - 1 < HG_CUSTOM_ID_MAX && strlen(line->url) <= HG_URL_MAX && line->url[0] == '/');
  need(!line->budget || strlen(line->budget) - 1 < HG_BUDGET_NAME_MAX);
  need(line->id_hash && line->request_hash && is_in(line->body, line->body_len, data, size));
  if (!json) return;
  need(strcmp(json_string_value(json_object_get(json, "custom_id")), line->custom_id) == 0);
  need(strcmp(json_string_value(json_object_get(json, "url")), line->url) == 0);
  need(json_is_object(json_object_get(json, "body")));
}

static void run_line(const uint8_t *data, size_t size, struct setting *setting, uint8_t more) {
  const struct hg_hash_key key = {1, 2};
  const char *text = (const char *)data;
  struct hg_batch_line line;
  hg_error why = HG_ERROR_INIT;
  const hg_err err = hg_batch_line_parse(text, size, 17, key, &line, &why);
  if (err) {
    need(err == HG_ERR_INVALID && why.code == err && strncmp(why.text, "line 17", 7) == 0);
    need(line.custom_id ? strlen(line.custom_id) - 1 < HG_CUSTOM_ID_MAX : !line.storage);
    hg_batch_line_clear(&line);
    return;
  }
  char by_url[HG_LABEL_MAX + 1];
  hg_endpoint_model(line.url, by_url);
  if (by_url[0]) setting->model = NULL; // nothing is put in its place
  json_t *json = read(text, size);
  check_line(&line, json, data, size);
  prepare(&line, json_object_get(json, "body"), setting, more);
  json_decref(json);
  hg_batch_line_clear(&line);
}

// An answer of any bytes goes into one line, which is read back as it was meant.
static void run_answer(const uint8_t *data, size_t size, uint8_t more) {
  const hg_unit unit = more & 1 ? HG_UNIT_NANODOLLARS : HG_UNIT_TOKENS;
  const hg_unit other = more & 1 ? HG_UNIT_TOKENS : HG_UNIT_NANODOLLARS;
  const struct hg_result result = {.custom_id = "a\"b",
                                   .permit = 1 + (uint64_t)more,
                                   .request_hash = 2,
                                   .ledger = 3,
                                   .status = 200,
                                   .body = (const char *)data,
                                   .body_len = size,
                                   .has_cost = true,
                                   .unit = unit,
                                   .cost = more};
  struct hg_text_buffer text = {0};
  struct hg_result_line line;
  need(hg_result_line_print(&text, &result) == HG_OK && text.data[text.len - 1] == '\n');
  need(memchr(text.data, '\n', text.len - 1) == NULL);
  need(hg_result_line_parse(text.data, text.len - 1, &line) == HG_OK);
  need(strcmp(line.custom_id, result.custom_id) == 0 && line.permit == result.permit && line.status == result.status);
  need(line.request_hash_stored == 2 && line.ledger == 3 && line.succeeded);
  need(hg_result_charged(&line, unit) == result.cost && hg_result_charged(&line, other) == HG_UNKNOWN);
  hg_result_line_clear(&line);
  hg_text_buffer_clear(&text);
}

static void run_result(const uint8_t *data, size_t size) {
  struct hg_result_line line;
  const hg_err err = hg_result_line_parse((const char *)data, size, &line);
  need(err == HG_OK || (err == HG_ERR_INVALID && !line.storage));
  if (err) return;
  need(is_in(line.body, line.body_len, data, size) && (line.status == 0 || (line.status >= 100 && line.status < 1000)));
  hg_result_line_clear(&line);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
  struct setting setting;
  if (size < 2) return 0;
  choose(data[0], data[1], &setting);
  run_line(data + 2, size - 2, &setting, data[1]);
  run_result(data + 2, size - 2);
  run_answer(data + 2, size - 2, data[1]);
  return 0;
}
