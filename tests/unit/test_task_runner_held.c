// links: program
// labels: budget
// Lines that ended unserved are held until it is known who is to blame: only a call that was sent after a refusal had
// come says, by being served, that the line is. The order of all ends is planned.
#include "runner/retry.h"
#include "runner/task_runner.h"
#include "support/runner_world_parts.h"
#include "support/test.h"

static enum fate plan[WORLD_LINES_MAX];
static unsigned gone_from; // from this line on, what the plan says counts no more: the key is refused

static enum fate planned(struct world *world, unsigned line, unsigned attempt) {
  (void)world;
  if (line >= gone_from) return FATE_KEY;
  return plan[line] == FATE_BUSY && attempt > 1 ? FATE_OK : plan[line];
}

// Everything happens but the end of a call.
static void go_on(struct world *world) {
  do
    world_turn(world);
  while (world_grant_one(world) || world_deliver_one(world));
}

static unsigned place_of(const struct world *world, unsigned line) {
  unsigned place = 0;
  while (place < world->call_count && world->calls[place].line != line)
    place++;
  CHECK(place < world->call_count); // or else the line has no call
  return place;
}

static void end_line(struct world *world, unsigned line, enum fate fate) {
  plan[line] = fate;
  world_end_call(world, place_of(world, line));
}

// Line 0 was served, and the calls of lines 1 to 4 run.
static struct world *four_calls(uint64_t seed, unsigned lines) {
  memset(plan, 0, sizeof plan);
  gone_from = UINT32_MAX;
  struct world *world = world_new(seed, lines, 10000000, 4);
  world->fate = planned;
  world_open(world, 4);
  go_on(world);
  end_line(world, 0, FATE_OK);
  go_on(world);
  CHECK_EQ(world->call_count, 4);
  CHECK_EQ(world_counts(world).done, 1);
  return world;
}

static void end_world(struct world *world, enum hg_stop stop, unsigned failed) {
  world_run(world);
  world_check_end(world);
  CHECK_EQ(world_stop(world), stop);
  CHECK_EQ(world_counts(world).failed, failed);
  world_end(world);
}

TEST(task_runner_held, a_slower_call_says_nothing) {
  struct world *world = four_calls(1, 100);
  end_line(world, 1, FATE_KEY);
  go_on(world); // line 5 is sent
  end_line(world, 2, FATE_OK);
  end_line(world, 3, FATE_BAD_REQUEST); // served too, and as slow
  go_on(world);
  CHECK_EQ(world_counts(world).failed, 1);
  CHECK(world->lines[3].failed && !world->lines[1].failed);
  gone_from = 4; // the key was revoked; line 4 is refused as well
  world_run(world);
  CHECK(world->lines[1].left && world->lines[4].left && world->lines[5].left);
  end_world(world, HG_STOP_ACCESS, 1);
}

TEST(task_runner_held, a_later_call_lays_the_blame_on_the_line) {
  struct world *world = four_calls(2, 100);
  end_line(world, 1, FATE_KEY);
  go_on(world);
  end_line(world, 5, FATE_OK);
  go_on(world);
  CHECK(world->lines[1].failed);
  CHECK_STR(world_counts(world).failures[0].code, "http_401");
  end_world(world, HG_STOP_NONE, 1);
}

TEST(task_runner_held, a_call_between_two_refusals_tells_of_the_first) {
  struct world *world = four_calls(3, 100);
  end_line(world, 1, FATE_KEY);
  go_on(world); // 5 is sent
  end_line(world, 2, FATE_KEY);
  end_line(world, 3, FATE_TIMEOUT); // is tried again
  go_on(world);
  end_line(world, 5, FATE_OK);
  go_on(world);
  CHECK(world->lines[1].failed && !world->lines[2].failed);
  gone_from = 3;
  world_run(world);
  CHECK(world->lines[2].left && world->lines[3].left);
  end_world(world, HG_STOP_ACCESS, 1);
}

// Its permit is still being closed when the blame is laid: nobody has to come once more.
TEST(task_runner_held, a_refusal_on_the_way_is_told_of_too) {
  struct world *world = four_calls(4, 100);
  end_line(world, 2, FATE_ERROR); // pauses, and keeps its permit
  const unsigned completions = world->completion_count;
  end_line(world, 1, FATE_KEY);
  CHECK_EQ(world->completion_count, completions + 1);
  world_pass(world, HG_BACKOFF_BASE_MS + 1);
  CHECK_EQ(world->lines[2].calls, 2);
  end_line(world, 2, FATE_OK);
  CHECK(world->lines[2].succeeded && !world->lines[1].in_group);
  CHECK_EQ(world->completion_count, completions + 1); // still on the way
  go_on(world);
  CHECK(world->lines[1].failed);
  end_world(world, HG_STOP_NONE, 1);
}

TEST(task_runner_held, the_end_of_the_lines_lets_them_fail) {
  struct world *world = four_calls(5, 5);
  for (unsigned line = 1; line < 5; line++)
    end_line(world, line, line < 3 ? FATE_KEY : FATE_OK);
  end_world(world, HG_STOP_NONE, 2);
}
