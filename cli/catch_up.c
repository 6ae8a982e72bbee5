// One portion, asked for and taken in whole.
#include "cli/catch_up.h"

#define PATIENCE_US 5000000

static hg_err send_question(struct hg_control *control, struct hg_gaps *gaps) {
  uint8_t frame[HG_OUTSIDE_FRAME_MAX];
  const size_t size = hg_gaps_question(gaps, frame, sizeof frame);
  if (!size) return HG_ERR_INVALID;
  return hg_link_send(&control->link, 0, (struct hg_bytes){0}, (struct hg_bytes){frame, (uint32_t)size});
}

bool hg_catch_up(struct hg_control *control, struct hg_gaps *gaps, hg_catch_up_take *take, void *self) {
  const int64_t deadline = hg_clock_now().monotonic_us + PATIENCE_US;
  hg_err err = send_question(control, gaps);
  for (bool whole = false; err == HG_OK && !whole;) {
    struct hg_event_envelope event;
    err = hg_control_receive_frame(control, deadline);
    if (err != HG_OK) break;
    const hg_err said = hg_gaps_answer(gaps, control->answer, control->answer_size, &event);
    if (said == HG_OK) take(self, control->answer, control->answer_size, &event);
    whole = said == HG_ERR_TIMEOUT;
  }
  if (err != HG_OK) hg_gaps_refuse(gaps, err, hg_err_text(err));
  return err == HG_OK;
}
