// What a runtime says to an actor that has ended meanwhile: its last word answers every question.
#include "actors/life.h"
#include "base/clock.h"
#include "bus/frames.h"
#include "support/test.h"

#define LIMITS ((struct hg_link_limits){.send_hwm = 100, .receive_hwm = 100})
#define PATIENCE_US 60000000

struct scene {
  void *context;
  struct hg_link actor; // its end
  struct hg_shell shell;
};

static void begin(struct scene *scene) {
  *scene = (struct scene){.shell.started = true};
  CHECK_EQ(hg_context_new(&scene->context), HG_OK);
  CHECK_EQ(hg_link_open(scene->context, HG_PAIR, LIMITS, &scene->actor), HG_OK);
  CHECK_EQ(hg_link_open(scene->context, HG_PAIR, LIMITS, &scene->shell.life), HG_OK);
  CHECK_EQ(hg_link_bind(&scene->actor, "inproc://life"), HG_OK);
  CHECK_EQ(hg_link_connect(&scene->shell.life, "inproc://life"), HG_OK);
}

static void end(struct scene *scene) {
  hg_link_close(&scene->actor);
  hg_link_close(&scene->shell.life);
  hg_context_destroy(scene->context);
}

static void say_stopped(struct scene *scene, hg_err err) {
  uint8_t frame[64];
  struct hg_message message;
  hg_message_init(&message, HG_STOPPED);
  message.as.stopped.error = (uint32_t)err;
  const struct hg_bytes bytes = {frame, (uint32_t)hg_frame_encode(&message, frame, sizeof frame)};
  CHECK_EQ(hg_link_send(&scene->actor, 0, (struct hg_bytes){0}, bytes), HG_OK);
}

static hg_err count(struct scene *scene) {
  struct hg_counters sum;
  return hg_life_count(&scene->shell, 1, 1, hg_clock_now().monotonic_us + PATIENCE_US, &sum);
}

TEST(life, an_actor_that_ended_counts_no_more) {
  struct scene scene;
  begin(&scene);
  say_stopped(&scene, HG_ERR_NO_MEMORY);
  CHECK_EQ(count(&scene), HG_ERR_CLOSED);
  CHECK(scene.shell.ended);
  CHECK_EQ(count(&scene), HG_ERR_CLOSED);
  CHECK_EQ(hg_life_stop(&scene.shell, false, PATIENCE_US), HG_ERR_NO_MEMORY); // it is how it ended
  end(&scene);
}

TEST(life, a_drain_ends_with_the_actor) {
  struct scene scene;
  begin(&scene);
  say_stopped(&scene, HG_ERR_STORE);
  hg_life_drain(&scene.shell, PATIENCE_US);
  CHECK(scene.shell.ended);
  CHECK_EQ(scene.shell.ended_with, HG_ERR_STORE);
  end(&scene);
}
