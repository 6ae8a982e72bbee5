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
  CHECK(sent.max_tokens <= world->permits[line->permit - 1].tokens);
  world->calls_capped += sent.max_tokens < world_need(world, number);
  hg_prepared_clear(&sent);
  line->calling = true;
  line->calls++;
  world->calls_total++;
  world->calls[world->call_count++] = (struct world_call){tag, number};
  if (world->call_count > world->calls_most) world->calls_most = world->call_count;
  CHECK(world->call_count <= world->slots);
  *handle = line;
  return HG_OK;
}

static void forget_call(struct world *world, unsigned place) {
  world->lines[world->calls[place].line].calling = false;
  world->calls[place] = world->calls[--world->call_count];
}

bool world_call_cut(void *context, void *handle) {
  struct world *world = context;
  const unsigned number = (unsigned)((struct world_line *)handle - world->lines);
  for (unsigned i = 0; i < world->call_count; i++)
    if (world->calls[i].line == number) {
      forget_call(world, i);
      break;
    }
  struct world_permit *permit = &world->permits[world->lines[number].permit - 1];
  const bool left = number % 2 == 0;
  permit->charged = left;
  permit->cost = permit->tokens;
  return left;
}

#define USAGE "\"usage\":{\"prompt_tokens\":10,\"completion_tokens\":%" PRId64 ",\"total_tokens\":%" PRId64 "}"

static void describe_body(enum fate fate, int64_t output, char *body, size_t capacity) {
  const int64_t total = 10 + output;
  const bool whole = fate == FATE_OK || fate == FATE_OVER_CAP;
  snprintf(body, capacity, "{\"error\":{\"message\":\"no\",\"code\":\"%s\"}}",
           fate == FATE_QUOTA       ? "insufficient_quota"
           : fate == FATE_SAID_BUSY ? "rate_limit_exceeded"
                                    : "some_error");
  if (whole) snprintf(body, capacity, "{\"id\":\"r\",\"model\":\"m\",\"choices\":[{}]," USAGE "}", output, total);
  if (fate == FATE_PAID_ERROR) snprintf(body, capacity, "{\"error\":\"it broke\"," USAGE "}", output, total);
  if (fate == FATE_BAD_CHOICE)
    snprintf(body, capacity, "{\"choices\":[{\"finish_reason\":\"error\"}]," USAGE "}", output, total);
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
  describe_body(fate, output, body, capacity);
  *end = (struct hg_http_end){
      .kind = kind[fate], .status = status[fate], .left = fate != FATE_REFUSED, .retry_after_ms = -1, .body = body};
  if (fate == FATE_BUSY) end->retry_after_ms = world->retry_after_ms;
  end->body_len = end->kind == HG_HTTP_ANSWERED ? strlen(body) : 0;
  const bool told = strstr(body, "total_tokens") != NULL;
  permit->charged = told || fate == FATE_NO_USAGE || fate >= FATE_BROKEN;
  permit->cost = told ? 10 + output : permit->tokens;
}

void world_end_call(struct world *world, unsigned place) {
  char body[256];
  struct hg_http_end end;
  const struct world_call ended = world->calls[place];
  struct world_line *line = &world->lines[ended.line];
  const enum fate fate = world->fate(world, ended.line, line->calls);
  describe_end(world, fate, &world->permits[line->permit - 1], body, sizeof body, &end);
  forget_call(world, place);
  line->answer = world_checksum(body, end.body_len);
  line->unserved = fate == FATE_KEY || fate == FATE_ROUTE || fate >= FATE_REFUSED;
  line->succeeded = fate == FATE_OK || fate == FATE_NO_USAGE || fate == FATE_OVER_CAP;
  hg_runner_called(world->runner, ended.tag, &end, world->now_ms);
  memset(body, '?', sizeof body); // the runner must not hold on to it
}
