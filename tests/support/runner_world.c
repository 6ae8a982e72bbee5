// The world around the task runner: its batch, its disk, its time.
#include "support/runner_world_parts.h"
#include "support/test.h"

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

uint64_t world_checksum(const char *data, size_t len) {
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
  CHECK(success == line->succeeded && result->body_is_json == success);
  CHECK(result->status != 0 || result->error_code != NULL);
  CHECK((result->status != 0) == (result->body_len > 0));
  if (result->status != 0) CHECK(world_checksum(result->body, result->body_len) == line->answer);
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

static uint64_t random_bits(void *context) {
  return world_random(context);
}

// This world has no keys. Results are not looked through.
static hg_err hide_keys(void *context, const char *text, size_t len, char **out) {
  (void)context;
  CHECK(text != NULL && len > 0);
  *out = NULL;
  return HG_OK;
}

static void note(void *context, const char *text) {
  CHECK(text[0] != '\0');
  ((struct world *)context)->notes++;
}

// Each says how it goes on from the last one.
static void push(void *context, uint32_t from, uint32_t to) {
  struct world *world = context;
  CHECK(from != to && to >= 1);
  if (to < from) CHECK(world->pushed_to == 0 || from >= world->pushed_to);
  world->pushes += to < from;
  world->pushed_to = to;
}

// ---------------------------------------------------------------------------------------------- time

static enum fate always_ok(struct world *world, unsigned line, unsigned attempt) {
  (void)world, (void)line, (void)attempt;
  return FATE_OK;
}

static enum count_fate counts_ok(struct world *world, unsigned line, unsigned attempt) {
  (void)world, (void)line, (void)attempt;
  return COUNT_OK;
}

struct world *world_new(uint64_t seed, unsigned lines, int64_t limit, unsigned slots) {
  CHECK(lines <= WORLD_LINES_MAX);
  struct world *world = calloc(1, sizeof *world);
  CHECK(world != NULL);
  world->random = seed * UINT64_C(0x9E3779B97F4A7C15) + 1;
  world->now_ms = 1000;
  world->line_count = lines;
  world->limit = limit;
  world->slots = slots;
  world->input_error = HG_ERR_EMPTY;
  world->fate = always_ok;
  world->count_fate = counts_ok;
  world->input_tokens = world->input_counted = 10;
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
  return world;
}

void world_open(struct world *world, uint32_t max_concurrency) {
  const struct hg_runner_io io = {.context = world,
                                  .next_line = next_line,
                                  .finish = finish,
                                  .leave = leave,
                                  .group_full = group_full,
                                  .sync = sync_group,
                                  .acquire = world_acquire,
                                  .settle = world_settle,
                                  .release = world_release,
                                  .record = world_record,
                                  .cancel = world_cancel,
                                  .call = world_call_start,
                                  .count = world_count_start,
                                  .cut = world_call_cut,
                                  .hide_keys = hide_keys,
                                  .random = random_bits,
                                  .note = note,
                                  .push = push};
  const struct hg_runner_options options = {.run_name = "run",
                                            .llm = &world->llm,
                                            .max_concurrency = max_concurrency,
                                            .bodies_max = world->bodies_max,
                                            .aside_max = world->aside_max,
                                            .learned = world->learned,
                                            .unit = world->price.model ? HG_UNIT_NANODOLLARS : HG_UNIT_TOKENS};
  if (world->price.model) world->llm.prices = (struct hg_prices){&world->price, 1};
  CHECK_EQ(hg_runner_new(&options, &io, &world->runner), HG_OK);
}

void world_end(struct world *world) {
  hg_runner_destroy(&world->runner);
  free(world);
}

struct hg_runner_counts world_counts(const struct world *world) {
  struct hg_runner_counts counts;
  hg_runner_count(world->runner, &counts);
  return counts;
}

enum hg_stop world_stop(const struct world *world) {
  const char *text;
  return hg_runner_stopped(world->runner, &text);
}

void world_turn(struct world *world) {
  world->next_turn_ms = hg_runner_turn(world->runner, world->now_ms);
}

bool world_step(struct world *world) {
  const unsigned first = world_below(world, 4);
  for (unsigned i = 0; i < 4; i++)
    switch ((first + i) % 4) {
    case 0:
      if (world_deliver_one(world)) return true;
      break;
    case 1:
      if (world_grant_one(world)) return true;
      break;
    case 2:
      if (world->call_count > 0) {
        world_end_call(world, world_below(world, world->call_count));
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

static void check_what_others_ended(const struct world *world, const struct hg_runner_counts *counts) {
  uint64_t ended = 0;
  int64_t recorded = 0;
  for (unsigned i = 0; i < world->permit_count; i++) {
    const struct world_permit *permit = &world->permits[i];
    CHECK(!permit->ended_by_others || permit->recorded == (permit->settled && !world->record_refusal));
    ended += permit->ended_by_others;
    if (permit->recorded) recorded += permit->cost;
  }
  CHECK_EQ(counts->unsettled, ended);
  CHECK_EQ(counts->recorded_tokens, recorded);
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
  CHECK_EQ(counts.capped, world->calls_capped);
  CHECK_EQ(counts.tokens, world->used - world->used_by_others);
  CHECK(world->used <= world->limit || counts.cap_ignored > 0 || counts.unsettled > 0);
  check_what_others_ended(world, &counts);
  CHECK_EQ(world->reserved, 0);
  CHECK_EQ(world->open_permits, 0);
  CHECK_EQ(world->waiting_count, 0);
}

void world_play(struct world *world, uint32_t max_concurrency) {
  world_open(world, max_concurrency);
  world_run(world);
  world_check_end(world);
}
