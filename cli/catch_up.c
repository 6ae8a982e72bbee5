// One portion after another, each asked for when the one before has come whole.
#include "cli/catch_up.h"

#include "bus/frames.h"

#define PATIENCE_US 5000000 // for a portion

struct portion {
  uint64_t before; // as wanted
  hg_catch_up_take *take;
  void *self;
  uint32_t heard;
};

static void hear(void *taker, const uint8_t *frame, size_t size) {
  struct portion *portion = taker;
  struct hg_event_envelope event;
  if (hg_outside_read_envelope(frame, size, &event) != HG_OK) return;
  portion->heard++;
  if (portion->before == 0 || event.seq < portion->before) portion->take(portion->self, frame, size);
}

static bool is_over(const struct hg_catch_up *wanted, const struct hg_replay_report_message *report) {
  return report->reached >= report->newest || (wanted->before != 0 && report->reached + 1 >= wanted->before);
}

static hg_err portions(struct hg_control *control, struct hg_catch_up wanted, hg_catch_up_take *take, void *self,
                       uint64_t *oldest, hg_error *why) {
  struct portion portion = {.before = wanted.before, .take = take, .self = self};
  control->take_event = hear;
  control->taker = &portion;
  for (;;) {
    struct hg_message question, answer;
    hg_message_init(&question, HG_REPLAY);
    question.as.replay.after = wanted.after;
    question.as.replay.topics = hg_text_of(wanted.topics);
    portion.heard = 0;
    const int64_t deadline = hg_clock_now().monotonic_us + PATIENCE_US;
    const hg_err err = hg_control_ask(control, &question, HG_REPLAY_REPORT, deadline, &answer, why);
    if (err != HG_OK) return err;
    const struct hg_replay_report_message *report = &answer.as.replay_report;
    if (report->count != portion.heard)
      return hg_fail(why, HG_ERR_PROTOCOL, "a portion of what was missed did not come whole");
    if (report->oldest) *oldest = report->oldest;
    if (is_over(&wanted, report)) return HG_OK;
    wanted.after = report->reached;
  }
}

hg_err hg_catch_up(const struct hg_site *site, struct hg_catch_up wanted, hg_catch_up_take *take, void *self,
                   uint64_t *oldest, hg_error *why) {
  struct hg_control control;
  *oldest = 0;
  hg_err err = hg_control_open(&control, site, why);
  if (err != HG_OK) return err;
  err = portions(&control, wanted, take, self, oldest, why);
  hg_control_close(&control);
  return err;
}
