// One portion after another, each asked for when the one before has come whole.
#include "cli/catch_up.h"

#include "bus/frames.h"
#include "schemas/limits.h"

#define PATIENCE_US 5000000 // for a portion
#define FRAMES_MAX (HG_REPLAY_EVENTS + 1)

struct portion {
  struct hg_catch_up *wanted;
  hg_catch_up_take *take;
  void *self;
  uint32_t heard;
  bool is_whole;
  struct hg_replay_report_message report;
};

static hg_err ask(struct hg_link *link, uint64_t request, const struct hg_catch_up *wanted) {
  struct hg_message question;
  uint8_t frame[HG_OUTSIDE_FRAME_MAX];
  const struct hg_names no_names = {"", NULL, 0};
  hg_message_init(&question, HG_REPLAY);
  question.as.replay.request = request;
  question.as.replay.after = wanted->after;
  question.as.replay.topics = hg_text_of(wanted->topics);
  const size_t size = hg_outside_encode(&question, &no_names, frame, sizeof frame);
  return size ? hg_link_send(link, 0, (struct hg_bytes){0}, (struct hg_bytes){frame, (uint32_t)size}) : HG_ERR_INVALID;
}

// An event, or the report, or a refusal.
static hg_err hear(struct portion *portion, const uint8_t *frame, size_t size, hg_error *why) {
  struct hg_event_envelope event;
  struct hg_message answer;
  if (hg_outside_decode(frame, size, &answer) != HG_OK) {
    if (hg_outside_read_envelope(frame, size, &event) != HG_OK)
      return hg_fail(why, HG_ERR_PROTOCOL, "the runtime told of something that is not an event");
    portion->heard++;
    if (portion->wanted->before == 0 || event.seq < portion->wanted->before) portion->take(portion->self, frame, size);
    return HG_OK;
  }
  if (answer.kind == HG_COMMAND_DONE)
    return hg_fail(why, (hg_err)answer.as.command_done.error, "the runtime does not tell what was missed: %.*s",
                   (int)answer.as.command_done.reason.size, answer.as.command_done.reason.data);
  if (answer.kind != HG_REPLAY_REPORT || answer.as.replay_report.count != portion->heard)
    return hg_fail(why, HG_ERR_PROTOCOL, "a portion of what was missed did not come whole");
  portion->report = answer.as.replay_report;
  portion->is_whole = true;
  return HG_OK;
}

static hg_err receive(struct hg_link *link, struct portion *portion, hg_error *why) {
  const int64_t deadline = hg_clock_now().monotonic_us + PATIENCE_US;
  while (!portion->is_whole) {
    struct hg_received received;
    hg_peer peer;
    hg_err err = hg_link_receive(link, &peer, &received);
    if (err == HG_ERR_EMPTY) {
      uint32_t readable;
      const int64_t left = deadline - hg_clock_now().monotonic_us;
      err = left > 0 ? hg_links_wait(link, 1, 1, left, &readable) : HG_ERR_TIMEOUT;
      if (err != HG_OK) return hg_fail(why, err, "the runtime does not tell what was missed: %s", hg_err_text(err));
      continue;
    }
    if (err != HG_OK) return hg_fail(why, err, "cannot hear what was missed: %s", hg_err_text(err));
    size_t size;
    const uint8_t *data = hg_received_data(&received, &size);
    err = hear(portion, data, size, why);
    hg_received_close(&received);
    if (err != HG_OK) return err;
  }
  return HG_OK;
}

static bool is_over(const struct hg_catch_up *wanted, const struct hg_replay_report_message *report) {
  return report->reached >= report->newest || (wanted->before != 0 && report->reached + 1 >= wanted->before);
}

static hg_err portions(struct hg_link *link, struct hg_catch_up *wanted, hg_catch_up_take *take, void *self,
                       uint64_t *oldest, hg_error *why) {
  for (uint64_t request = 1;; request++) {
    struct portion portion = {.wanted = wanted, .take = take, .self = self};
    hg_err err = ask(link, request, wanted);
    if (err != HG_OK) return hg_fail(why, err, "cannot ask for what was missed: %s", hg_err_text(err));
    err = receive(link, &portion, why);
    if (err != HG_OK) return err;
    if (portion.report.oldest) *oldest = portion.report.oldest;
    wanted->after = portion.report.reached;
    if (is_over(wanted, &portion.report)) return HG_OK;
  }
}

hg_err hg_catch_up(void *context, const char *endpoint, struct hg_catch_up wanted, hg_catch_up_take *take, void *self,
                   uint64_t *oldest, hg_error *why) {
  const struct hg_link_limits limits = {2, FRAMES_MAX, HG_OUTSIDE_FRAME_MAX};
  struct hg_link link = {0};
  *oldest = 0;
  hg_err err = hg_link_open(context, HG_DEALER, limits, &link);
  if (err == HG_OK) err = hg_link_connect(&link, endpoint);
  if (err != HG_OK) (void)hg_fail(why, err, "cannot connect to %s: %s", endpoint, hg_err_text(err));
  else err = portions(&link, &wanted, take, self, oldest, why);
  hg_link_close(&link);
  return err;
}
