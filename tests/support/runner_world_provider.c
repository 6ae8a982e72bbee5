// The provider around the task runner: calls that end as their fate says.
#include "support/runner_world_parts.h"
#include "support/test.h"

#include <inttypes.h>

hg_err world_call_start(void *context, const char *path, const struct hg_prepared *prepared, const char *body,
                        size_t body_len, void *tag, void **handle, hg_error *why) {
  struct world *world = context;
  CHECK_STR(path, "/v1/chat/completions");
  CHECK_EQ(prepared->endpoint, HG_ENDPOINT_CHAT);
  if (world_below(world, 100) < world->busy_percent) return HG_ERR_NO_MEMORY;
  struct hg_prepared sent; // judged anew: what is sent must not be able to use more than what is reserved
  CHECK_EQ(hg_request_prepare(path, body, body_len, &world->llm, NULL, &sent, why), HG_OK);
  const char *user = memmem(body, body_len, "line-", 5);
  const unsigned number = (unsigned)strtoul(user + 5, NULL, 10);
  struct world_line *line = &world->lines[number];
  CHECK(line->permit != 0 && !line->calling && !line->succeeded && !line->left && !line->failed);
  if (world->price.model) CHECK_EQ(hg_prepared_price(&sent, &world->llm.prices, why), HG_OK);
  const int64_t bound = sent.most - hg_prepared_input_cost(&sent, line->less);
  CHECK(world->learned || bound <= world->permits[line->permit - 1].tokens);
  world->calls_capped += sent.most < world_need(world, number);
  hg_prepared_clear(&sent);
  line->calling = true;
  line->calls++;
  world->calls_total++;
  world->calls[world->call_count++] = (struct world_call){tag, number, false};
  const unsigned running = world->call_count - world->counting;
  if (running > world->calls_most) world->calls_most = running;
  CHECK(running <= world->slots);
  *handle = line;
  return HG_OK;
}

// Without a permit, and only of the body what the counter reads: the line is told by its message.
hg_err world_count_start(void *context, const char *path, enum hg_endpoint endpoint, enum hg_input_counter counter,
                         const char *body, size_t body_len, void *tag, void **handle, hg_error *why) {
  struct world *world = context;
  (void)why;
  CHECK_STR(path, "/v1/chat/completions");
  CHECK_EQ(endpoint, HG_ENDPOINT_CHAT);
  CHECK_EQ(counter, HG_INPUT_COUNTER_VLLM);
  CHECK(!memmem(body, body_len, "max_tokens", 10));
  const char *content = memmem(body, body_len, "line-", 5);
  const unsigned number = (unsigned)strtoul(content + 5, NULL, 10);
  struct world_line *line = &world->lines[number];
  CHECK(line->permit == 0 && !line->calling && !line->counting && !line->counted && !line->left && !line->failed);
  line->counting = true;
  line->counts++;
  world->counts_total++;
  world->calls[world->call_count++] = (struct world_call){tag, number, true};
  if (++world->counting > world->counting_most) world->counting_most = world->counting;
  *handle = line;
  return HG_OK;
}

static void forget_call(struct world *world, unsigned place) {
  const struct world_call *call = &world->calls[place];
  world->lines[call->line].calling = world->lines[call->line].counting = false;
  world->counting -= call->counts;
  world->calls[place] = world->calls[--world->call_count];
}

bool world_call_cut(void *context, void *handle) {
  struct world *world = context;
  const unsigned number = (unsigned)((struct world_line *)handle - world->lines);
  bool counts = false;
  for (unsigned i = 0; i < world->call_count; i++)
    if (world->calls[i].line == number) {
      counts = world->calls[i].counts;
      forget_call(world, i);
      break;
    }
  if (counts) return true;
  struct world_permit *permit = &world->permits[world->lines[number].permit - 1];
  const bool left = number % 2 == 0;
  permit->charged = left;
  permit->cost = permit->tokens;
  return left;
}

#define USAGE "\"usage\":{\"prompt_tokens\":%" PRId64 ",\"completion_tokens\":%" PRId64 ",\"total_tokens\":%" PRId64 "}"

static void describe_body(enum fate fate, int64_t input, int64_t output, char *body, size_t capacity) {
  const int64_t total = input + output;
  const bool whole = fate == FATE_OK || fate == FATE_OVER_CAP;
  snprintf(body, capacity, "{\"error\":{\"message\":\"no\",\"code\":\"%s\"}}",
           fate == FATE_QUOTA       ? "insufficient_quota"
           : fate == FATE_SAID_BUSY ? "rate_limit_exceeded"
                                    : "some_error");
  if (whole)
    snprintf(body, capacity, "{\"id\":\"r\",\"model\":\"m\",\"choices\":[{}]," USAGE "}", input, output, total);
  if (whole && input == 0)
    snprintf(body, capacity, "{\"id\":\"r\",\"choices\":[{}],\"usage\":{\"total_tokens\":%" PRId64 "}}", output);
  if (fate == FATE_PAID_ERROR) snprintf(body, capacity, "{\"error\":\"it broke\"," USAGE "}", input, output, total);
  if (fate == FATE_BAD_CHOICE)
    snprintf(body, capacity, "{\"choices\":[{\"finish_reason\":\"error\"}]," USAGE "}", input, output, total);
  if (fate == FATE_NO_USAGE) snprintf(body, capacity, "{\"id\":\"r\",\"choices\":[{}]}");
  if (fate == FATE_MALFORMED) snprintf(body, capacity, "{\"id\":\"r\",");
  if (fate == FATE_HOLLOW) snprintf(body, capacity, "{\"detail\":\"nobody is here\"}");
}

static void describe_end(struct world *world, enum fate fate, struct world_permit *permit, char *body, size_t capacity,
                         struct hg_http_end *end) {
  static const long status[FATE_COUNT] = {
      [FATE_OK] = 200,     [FATE_NO_USAGE] = 200,   [FATE_OVER_CAP] = 200,  [FATE_BAD_REQUEST] = 400,
      [FATE_KEY] = 401,    [FATE_ROUTE] = 404,      [FATE_QUOTA] = 429,     [FATE_BUSY] = 429,
      [FATE_ERROR] = 500,  [FATE_PAID_ERROR] = 500, [FATE_SAID_BUSY] = 200, [FATE_BAD_CHOICE] = 200,
      [FATE_HOLLOW] = 200, [FATE_MALFORMED] = 200}; // of the others there is none
  static const enum hg_http_kind kind[FATE_COUNT] = {[FATE_REFUSED] = HG_HTTP_NO_CONNECTION,
                                                     [FATE_BROKEN] = HG_HTTP_BROKEN,
                                                     [FATE_TIMEOUT] = HG_HTTP_TIMED_OUT,
                                                     [FATE_UNREADABLE] = HG_HTTP_UNREADABLE};
  const int64_t output = fate == FATE_OVER_CAP ? permit->tokens : 1 + world_below(world, 8);
  if (world->total_only) describe_body(fate, 0, world->total_only, body, capacity);
  else describe_body(fate, world->input_tokens, output, body, capacity);
  *end = (struct hg_http_end){
      .kind = kind[fate], .status = status[fate], .left = fate != FATE_REFUSED, .retry_after_ms = -1, .body = body};
  if (fate == FATE_BUSY) end->retry_after_ms = world->retry_after_ms;
  end->body_len = end->kind == HG_HTTP_ANSWERED ? strlen(body) : 0;
  const bool told = strstr(body, "total_tokens") != NULL;
  permit->charged = told || fate == FATE_NO_USAGE || fate >= FATE_BROKEN;
  const struct hg_price *price = &world->price;
  const int64_t input = world->input_tokens;
  const int64_t cost = price->model ? input * price->input + output * price->output : input + output;
  permit->cost = told ? cost : permit->tokens;
  if (!told || !world->total_only) return;
  const int64_t known = world->total_only * price->output; // the cheapest and the dearest there
  permit->cost = known > permit->tokens ? known : permit->tokens;
}

static void end_count(struct world *world, unsigned place) {
  static const long status[COUNT_FATES] = {
      [COUNT_OK] = 200, [COUNT_UNKNOWN] = 404, [COUNT_BUSY] = 429, [COUNT_HOLLOW] = 200};
  static const enum hg_http_kind kind[COUNT_FATES] = {
      [COUNT_BROKEN] = HG_HTTP_BROKEN, [COUNT_TIMEOUT] = HG_HTTP_TIMED_OUT};
  const struct world_call ended = world->calls[place];
  struct world_line *line = &world->lines[ended.line];
  const enum count_fate fate = world->count_fate(world, ended.line, line->counts);
  char body[64];
  snprintf(body, sizeof body, fate == COUNT_OK ? "{\"count\":%" PRId64 ",\"tokens\":[1]}" : "{\"detail\":%" PRId64 "}",
           world->input_counted);
  const struct hg_http_end end = {.kind = kind[fate],
                                  .left = true,
                                  .status = status[fate],
                                  .retry_after_ms = -1,
                                  .body = body,
                                  .body_len = kind[fate] == HG_HTTP_ANSWERED ? strlen(body) : 0};
  struct hg_prepared prepared;
  CHECK_EQ(
      hg_request_prepare("/v1/chat/completions", line->body, strlen(line->body), &world->llm, NULL, &prepared, NULL),
      HG_OK);
  line->counted = fate == COUNT_OK;
  if (line->counted) line->less = hg_count_less(&prepared, world->input_counted);
  hg_prepared_clear(&prepared);
  forget_call(world, place);
  hg_runner_called(world->runner, ended.tag, &end, world->now_ms);
}

void world_end_call(struct world *world, unsigned place) {
  if (world->calls[place].counts) {
    end_count(world, place);
    return;
  }
  char body[256];
  struct hg_http_end end;
  const struct world_call ended = world->calls[place];
  struct world_line *line = &world->lines[ended.line];
  const enum fate fate = world->fate(world, ended.line, line->calls);
  describe_end(world, fate, &world->permits[line->permit - 1], body, sizeof body, &end);
  end.rates = (struct hg_rate_limits){{0, -1, 0}, {0, -1, 0}};
  if (world->rates && end.kind == HG_HTTP_ANSWERED) world->rates(world, ended.line, &end.rates);
  forget_call(world, place);
  line->answer = world_checksum(body, end.body_len);
  line->unserved = fate == FATE_KEY || fate == FATE_ROUTE || fate >= FATE_REFUSED;
  line->succeeded = fate == FATE_OK || fate == FATE_NO_USAGE || fate == FATE_OVER_CAP;
  hg_runner_called(world->runner, ended.tag, &end, world->now_ms);
  memset(body, '?', sizeof body); // the runner must not hold on to it
}
