// The world around the task runner: batch, budget, provider, disk.
#include "support/runner_world.h"

#include "support/test.h"

#include <inttypes.h>

// xorshift64*: small, and the same everywhere.
uint64_t world_random(struct world *world) {
  world->random ^= world->random >> 12;
  world->random ^= world->random << 25;
  world->random ^= world->random >> 27;
  return world->random * UINT64_C(2685821657736338717);
}

unsigned world_below(struct world *world, unsigned bound) {
  return (unsigned)((world_random(world) >> 32) % bound);
}

// ---------------------------------------------------------------------------------------------- the batch

static hg_err next_line(void *context, const struct hg_batch_line **out, hg_error *why) {
  static struct hg_batch_line parsed;
  struct world *world = context;
  if (world->quiet_percent > 0 && world_below(world, 100) < world->quiet_percent) {
    world->quiet++;
    return HG_ERR_BUSY;
  }
  if (world->next_line == world->line_count) {
    snprintf(why->text, sizeof why->text, "the end of the lines");
    return world->input_error;
  }
  const unsigned number = world->next_line++;
  struct world_line *line = &world->lines[number];
  line->handed_out = true;
  parsed = (struct hg_batch_line){.custom_id = line->custom_id,
                                  .url = "/v1/chat/completions",
                                  .budget = line->budget[0] ? line->budget : NULL,
                                  .body = line->body,
                                  .body_len = strlen(line->body),
                                  .line_number = number + 1,
                                  .id_hash = number + 1};
  *out = &parsed;
  return HG_OK;
}

static uint64_t checksum(const char *data, size_t len) {
  uint64_t sum = UINT64_C(14695981039346656037);
  for (size_t i = 0; i < len; i++)
    sum = (sum ^ (unsigned char)data[i]) * UINT64_C(1099511628211);
  return sum;
}

static hg_err finish(void *context, uint64_t id_hash, bool success, const struct hg_result *result, hg_error *why) {
  struct world *world = context;
  struct world_line *line = &world->lines[id_hash - 1];
  (void)why;
  CHECK_STR(result->custom_id, line->custom_id);
  CHECK(line->handed_out && !line->in_group && !line->durable && !line->failed && !line->left);
  CHECK(success == (result->status >= 200 && result->status <= 299 && !result->error_code));
  CHECK(success == line->succeeded);
  CHECK(result->status != 0 || result->error_code != NULL);
  CHECK((result->status != 0) == (result->body_len > 0));
  if (result->status != 0) CHECK(checksum(result->body, result->body_len) == line->answer);
  if (world->group_count >= world->group_max) return HG_ERR_BUSY;
  CHECK_EQ(result->permit, line->permit);
  world->group[world->group_count++] = (unsigned)id_hash - 1;
  line->in_group = true;
  return HG_OK;
}

static void leave(void *context, uint64_t id_hash) {
  struct world_line *line = &((struct world *)context)->lines[id_hash - 1];
  CHECK(line->handed_out && !line->left && !line->in_group && !line->succeeded);
  line->left = true;
}

static bool group_full(void *context) {
  const struct world *world = context;
  return world->group_count >= world->group_max / 2 + 1;
}

static hg_err sync_group(void *context, hg_error *why) {
  struct world *world = context;
  world->syncs++;
  if (world->disk_full && world->group_count > 0) {
    world->syncs_failed++;
    snprintf(why->text, sizeof why->text, "the disk is full");
    return HG_ERR_STORE;
  }
  for (unsigned i = 0; i < world->group_count; i++) {
    struct world_line *line = &world->lines[world->group[i]];
    line->in_group = false;
    if (line->succeeded) line->durable = true;
    else line->failed = true;
  }
  world->group_count = 0;
  return HG_OK;
}

// ---------------------------------------------------------------------------------------------- the runtime

static hg_err refuse_command(struct world *world) {
  if (world->ledger_error) return world->ledger_error;
  return world_below(world, 100) < world->busy_percent ? HG_ERR_BUSY : HG_OK;
}

static void complete(struct world *world, hg_ticket ticket, hg_err err, uint64_t permit, int64_t tokens) {
  CHECK(world->completion_count < WORLD_QUEUE_MAX);
  struct world_event *event = &world->completions[world->completion_count++];
  *event = (struct world_event){.ticket = ticket};
  event->completion = (hg_completion)HG_COMPLETION_INIT;
  event->completion.ticket = ticket;
  event->completion.err = err;
  event->completion.permit.id = permit;
  event->completion.tokens = tokens;
}

static hg_err acquire(void *context, const hg_request *request, hg_ticket *out) {
  struct world *world = context;
  const hg_err err = refuse_command(world);
  if (err) return err;
  const char *slash = strchr(request->task_id, '/');
  const unsigned number = (unsigned)strtoul(slash + 1 + strlen("line-"), NULL, 10);
  struct world_line *line = &world->lines[number];
  CHECK_STR(slash + 1, line->custom_id);
  CHECK(!line->calling && !line->succeeded && line->permit == 0);
  CHECK_EQ(request->first_in_line, line->calls > 0);
  CHECK_EQ(request->attempt, line->calls + 1);
  CHECK_EQ(request->min_tokens, world_need(world, number));
  CHECK_EQ(request->max_tokens, request->min_tokens);
  if (line->budget[0] && strcmp(request->budget, "unknown") == 0) return HG_ERR_UNKNOWN_BUDGET;
  line->acquires++;
  CHECK(world->waiting_count < WORLD_QUEUE_MAX);
  const unsigned place = request->first_in_line ? 0 : world->waiting_count;
  memmove(&world->waiting[place + 1], &world->waiting[place], (world->waiting_count - place) * sizeof *world->waiting);
  world->waiting_count++;
  *out = (hg_ticket){++world->last_ticket};
  world->waiting[place] = (struct world_event){.ticket = *out, .line = number, .min_tokens = request->min_tokens};
  return HG_OK;
}

static void take_from_queue(struct world *world, unsigned place) {
  world->waiting_count--;
  memmove(&world->waiting[place], &world->waiting[place + 1], (world->waiting_count - place) * sizeof *world->waiting);
}

static hg_err cancel(void *context, hg_ticket ticket) {
  struct world *world = context;
  const hg_err err = refuse_command(world);
  if (err) return err;
  for (unsigned i = 0; i < world->waiting_count; i++) {
    if (world->waiting[i].ticket.id != ticket.id) continue;
    take_from_queue(world, i);
    complete(world, ticket, HG_ERR_CANCELLED, 0, 0);
    break;
  }
  return HG_OK;
}

// Decides about the first in line. False: it has to wait.
static bool grant_one(struct world *world) {
  if (world->waiting_count == 0) return false;
  const struct world_event first = world->waiting[0];
  if (first.min_tokens > world->limit - world->used) {
    take_from_queue(world, 0);
    complete(world, first.ticket, HG_ERR_BUDGET_EXHAUSTED, 0, world->limit - world->used);
    world->completions[world->completion_count - 1].completion.budget =
        world->short_budget ? world->short_budget : "default";
    return true;
  }
  if (world->open_permits >= world->slots || first.min_tokens > world->limit - world->used - world->reserved)
    return false;
  take_from_queue(world, 0);
  CHECK(world->permit_count < WORLD_PERMITS_MAX);
  world->permits[world->permit_count++] =
      (struct world_permit){.line = first.line, .tokens = first.min_tokens, .open = true};
  world->lines[first.line].permit = world->permit_count;
  world->reserved += first.min_tokens;
  world->open_permits++;
  complete(world, first.ticket, HG_OK, world->permit_count, first.min_tokens);
  CHECK(world->used + world->reserved <= world->limit);
  return true;
}

// Both ways to close a permit.
static hg_err close_permit(struct world *world, hg_permit id, int64_t tokens, bool settled, hg_outcome outcome,
                           hg_ticket *out) {
  const hg_err err = refuse_command(world);
  if (err) return err;
  struct world_permit *permit = &world->permits[id.id - 1];
  struct world_line *line = &world->lines[permit->line];
  CHECK(permit->open && !line->calling);
  CHECK_EQ(settled, permit->charged);
  if (settled) CHECK_EQ(tokens, permit->cost);
  if (outcome == HG_OUTCOME_DONE) CHECK(line->durable);
  if (outcome == HG_OUTCOME_FAILED) CHECK(line->failed);
  if (outcome == HG_OUTCOME_RETRY) CHECK(!line->durable && !line->failed);
  permit->open = false;
  permit->outcome = outcome;
  permit->settled = settled;
  line->permit = 0;
  world->reserved -= permit->tokens;
  world->used += tokens;
  world->open_permits--;
  *out = (hg_ticket){++world->last_ticket};
  complete(world, *out, HG_OK, id.id, 0);
  return HG_OK;
}

static hg_err settle(void *context, hg_permit permit, const hg_usage_report *used, hg_ticket *out) {
  struct world *world = context;
  const struct world_permit *open = &world->permits[permit.id - 1];
  CHECK_EQ(used->attempt, world->lines[open->line].calls);
  CHECK_EQ(used->source == HG_SOURCE_ESTIMATED, used->input_tokens == HG_UNKNOWN);
  return close_permit(world, permit, used->tokens, true, used->outcome, out);
}

static hg_err release(void *context, hg_permit permit, hg_outcome outcome, const char *reason, hg_ticket *out) {
  CHECK_EQ(outcome == HG_OUTCOME_FAILED, reason != NULL);
  return close_permit(context, permit, 0, false, outcome, out);
}

// ---------------------------------------------------------------------------------------------- the provider

static hg_err call(void *context, const char *path, enum hg_endpoint endpoint, const char *body, size_t body_len,
                   void *tag, void **handle, hg_error *why) {
  struct world *world = context;
  (void)why;
  CHECK_STR(path, "/v1/chat/completions");
  CHECK_EQ(endpoint, HG_ENDPOINT_CHAT);
  if (world_below(world, 100) < world->busy_percent) return HG_ERR_NO_MEMORY;
  const char *user = memmem(body, body_len, "line-", 5);
  const unsigned number = (unsigned)strtoul(user + 5, NULL, 10);
  struct world_line *line = &world->lines[number];
  CHECK(line->permit != 0 && !line->calling && !line->succeeded && !line->left && !line->failed);
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

static bool cut(void *context, void *handle) {
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

static void describe_end(struct world *world, enum fate fate, struct world_permit *permit, char *body, size_t capacity,
                         struct hg_http_end *end) {
  static const long status[FATE_COUNT] = {200, 200, 200, 400, 401, 404, 429, 429, 500, 0, 0, 0, 200};
  const int64_t output = fate == FATE_OVER_CAP ? permit->tokens : 1 + world_below(world, 8);
  const int64_t total = 10 + output;
  *end = (struct hg_http_end){.status = status[fate], .left = true, .retry_after_ms = -1, .body = body};
  if (status[fate] == 0)
    end->kind =
        fate == FATE_REFUSED ? HG_HTTP_NO_CONNECTION : (fate == FATE_TIMEOUT ? HG_HTTP_TIMED_OUT : HG_HTTP_BROKEN);
  end->left = fate != FATE_REFUSED;
  if (fate == FATE_BUSY) end->retry_after_ms = world->retry_after_ms;
  snprintf(body, capacity, "{\"error\":{\"message\":\"no\",\"code\":\"%s\"}}",
           fate == FATE_QUOTA ? "insufficient_quota" : "some_error");
  if (fate == FATE_OK || fate == FATE_OVER_CAP)
    snprintf(body, capacity,
             "{\"id\":\"r\",\"model\":\"m\",\"usage\":{\"prompt_tokens\":10,\"completion_tokens\":%" PRId64
             ",\"total_tokens\":%" PRId64 "}}",
             output, total);
  if (fate == FATE_NO_USAGE) snprintf(body, capacity, "{\"id\":\"r\"}");
  if (fate == FATE_MALFORMED) snprintf(body, capacity, "{\"id\":\"r\",");
  end->body_len = end->kind == HG_HTTP_ANSWERED ? strlen(body) : 0;
  const bool whole = fate == FATE_OK || fate == FATE_OVER_CAP;
  const bool unknown = fate == FATE_BROKEN || fate == FATE_TIMEOUT || fate == FATE_MALFORMED;
  permit->charged = whole || unknown || fate == FATE_NO_USAGE;
  permit->cost = whole ? total : permit->tokens;
}

static void end_call(struct world *world, unsigned place) {
  char body[256];
  struct hg_http_end end;
  const struct world_call ended = world->calls[place];
  struct world_line *line = &world->lines[ended.line];
  const enum fate fate = world->fate(world, ended.line, line->calls);
  describe_end(world, fate, &world->permits[line->permit - 1], body, sizeof body, &end);
  forget_call(world, place);
  line->answer = checksum(body, end.body_len);
  line->succeeded = fate == FATE_OK || fate == FATE_NO_USAGE || fate == FATE_OVER_CAP;
  hg_runner_called(world->runner, ended.tag, &end, world->now_ms);
  memset(body, '?', sizeof body); // the runner must not hold on to it
}

static uint64_t random_bits(void *context) {
  return world_random(context);
}

static void note(void *context, const char *text) {
  CHECK(text[0] != '\0');
  ((struct world *)context)->notes++;
}

// ---------------------------------------------------------------------------------------------- time

static enum fate always_ok(struct world *world, unsigned line, unsigned attempt) {
  (void)world, (void)line, (void)attempt;
  return FATE_OK;
}

void world_init(struct world *world, uint64_t seed, unsigned lines, int64_t limit, unsigned slots) {
  CHECK(lines <= WORLD_LINES_MAX);
  memset(world, 0, sizeof *world);
  world->random = seed * UINT64_C(0x9E3779B97F4A7C15) + 1;
  world->now_ms = 1000;
  world->line_count = lines;
  world->limit = limit;
  world->slots = slots;
  world->input_error = HG_ERR_EMPTY;
  world->fate = always_ok;
  world->group_max = WORLD_LINES_MAX;
  world->retry_after_ms = -1;
  world->llm = (struct hg_llm_config){.timeout_seconds = 600,
                                      .max_attempts = 5,
                                      .retry_unknown_outcome = 1,
                                      .default_max_tokens = 64,
                                      .output_cap_field = (char[]){"auto"}};
  static char automatic[] = "auto";
  world->llm.output_cap_field = automatic;
  for (unsigned i = 0; i < lines; i++) {
    struct world_line *line = &world->lines[i];
    snprintf(line->custom_id, sizeof line->custom_id, "line-%u", i);
    snprintf(line->body, sizeof line->body,
             "{\"model\":\"m\",\"user\":\"line-%u\",\"max_tokens\":%u,"
             "\"messages\":[{\"role\":\"user\",\"content\":\"hello\"}]}",
             i, 10 + world_below(world, 200));
  }
}

int64_t world_need(const struct world *world, unsigned line) {
  struct hg_prepared prepared;
  const char *body = world->lines[line].body;
  const hg_err err = hg_request_prepare("/v1/chat/completions", body, strlen(body), &world->llm, NULL, &prepared, NULL);
  CHECK_EQ(err, HG_OK);
  const int64_t need = prepared.max_tokens;
  hg_prepared_clear(&prepared);
  return need;
}

void world_open(struct world *world, uint32_t max_concurrency) {
  const struct hg_runner_io io = {.context = world,
                                  .next_line = next_line,
                                  .finish = finish,
                                  .leave = leave,
                                  .group_full = group_full,
                                  .sync = sync_group,
                                  .acquire = acquire,
                                  .settle = settle,
                                  .release = release,
                                  .cancel = cancel,
                                  .call = call,
                                  .cut = cut,
                                  .random = random_bits,
                                  .note = note};
  const struct hg_runner_options options = {.run_name = "run", .llm = &world->llm, .max_concurrency = max_concurrency};
  CHECK_EQ(hg_runner_new(&options, &io, &world->runner), HG_OK);
}

void world_destroy(struct world *world) {
  hg_runner_destroy(&world->runner);
}

void world_turn(struct world *world) {
  world->next_turn_ms = hg_runner_turn(world->runner, world->now_ms);
}

static bool deliver_one(struct world *world) {
  if (world->completion_count == 0) return false;
  const struct world_event event = world->completions[0];
  world->completion_count--;
  memmove(&world->completions[0], &world->completions[1], world->completion_count * sizeof event);
  hg_runner_completed(world->runner, &event.completion, world->now_ms);
  return true;
}

bool world_step(struct world *world) {
  const unsigned first = world_below(world, 4);
  for (unsigned i = 0; i < 4; i++)
    switch ((first + i) % 4) {
    case 0:
      if (deliver_one(world)) return true;
      break;
    case 1:
      if (grant_one(world)) return true;
      break;
    case 2:
      if (world->call_count > 0) {
        end_call(world, world_below(world, world->call_count));
        return true;
      }
      break;
    default:
      if (hg_runner_wants_input(world->runner)) {
        hg_runner_has_input(world->runner);
        world_turn(world);
        return true;
      }
      if (world->next_turn_ms <= world->now_ms) {
        world_turn(world);
        return world->next_turn_ms <= world->now_ms;
      }
    }
  return false;
}

void world_settle_down(struct world *world) {
  for (unsigned steps = 0, idle = 0; idle < 2 && !hg_runner_finished(world->runner); steps++) {
    CHECK(steps < 1000000);
    idle = world_step(world) ? 0 : idle + 1;
    if (idle > 0 || world_below(world, 4) == 0) world_turn(world);
  }
}

void world_pass(struct world *world, int64_t ms) {
  world->now_ms += ms;
  world_turn(world);
}

void world_run(struct world *world) {
  for (unsigned rounds = 0; !hg_runner_finished(world->runner); rounds++) {
    CHECK(rounds < 100000);
    world_settle_down(world);
    if (hg_runner_finished(world->runner)) return;
    if (world->next_turn_ms == INT64_MAX && world_step(world)) continue;
    CHECK(world->next_turn_ms < INT64_MAX); // or else it waits for nothing
    world->now_ms = world->next_turn_ms;
    world_turn(world);
  }
}

void world_check_end(struct world *world) {
  struct hg_runner_counts counts;
  hg_runner_count(world->runner, &counts);
  unsigned done = 0, failed = 0, left = 0;
  for (unsigned i = 0; i < world->next_line; i++) {
    const struct world_line *line = &world->lines[i];
    CHECK_EQ((line->durable ? 1 : 0) + (line->failed ? 1 : 0) + (line->left ? 1 : 0), 1);
    CHECK(!line->calling && !line->in_group && line->permit == 0);
    done += line->durable, failed += line->failed, left += line->left;
  }
  CHECK_EQ(counts.done, done);
  CHECK_EQ(counts.failed, failed);
  CHECK_EQ(counts.left, left);
  CHECK_EQ(counts.open, 0);
  CHECK_EQ(counts.calls, world->calls_total);
  CHECK_EQ(counts.tokens, world->used);
  CHECK_EQ(world->reserved, 0);
  CHECK_EQ(world->open_permits, 0);
  CHECK_EQ(world->waiting_count, 0);
}
