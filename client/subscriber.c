// A subscriber in this process: a SUB socket on the event bus, and a DEALER to the gateway, opened when there is
// something to ask for. What is lost or was there before is asked for and told before anything newer: meanwhile events
// wait where they are.
#include "actors/core.h"
#include "bus/endpoints.h"
#include "client/client.h"
#include "client/gaps.h"

#include <stddef.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <unistd.h>

#define TOPICS_MAX 32
#define LIVE_WITHIN_US 5000000   // the event bus beats ten times a second
#define ANSWER_WITHIN_US 5000000 // then it is asked for again
#define TYPE_MAX 63

struct hg_subscriber {
  struct hg_core *core;
  struct hg_link link, control; // control: not there until it is needed
  int epoll_fd;
  int unseen_fd; // readable until a look found nothing: only then does the link announce what comes; -1: that is past
  struct hg_gaps gaps;
  bool is_asked, is_muted; // a question is under way; the link announces nothing meanwhile
  int64_t asked_at;
  char type[TYPE_MAX + 1], budget[HG_BUDGET_NAME_MAX + 1];
  char json[2 * HG_OUTSIDE_FRAME_MAX];
};

static void free_subscriber(hg_subscriber *subscriber) {
  if (*subscriber->core->not_forked) {
    hg_link_close(&subscriber->link);
    hg_link_close(&subscriber->control);
  }
  if (subscriber->epoll_fd >= 0) close(subscriber->epoll_fd);
  if (subscriber->unseen_fd >= 0) close(subscriber->unseen_fd);
  hg_gaps_destroy(&subscriber->gaps);
  hg_core_release(subscriber->core);
  free(subscriber);
}

// ------------------------------------------------------------------------------------------------ events

static hg_err fill(hg_subscriber *subscriber, const uint8_t *frame, size_t size,
                   const struct hg_event_envelope *envelope, hg_event *out) {
  hg_text_copy(subscriber->type, sizeof subscriber->type, envelope->type);
  hg_text_copy(subscriber->budget, sizeof subscriber->budget, envelope->budget);
  if (!hg_outside_to_json(frame, size, subscriber->json, sizeof subscriber->json)) return HG_ERR_PROTOCOL;
  const uint32_t room = out->size < sizeof *out ? out->size : (uint32_t)sizeof *out;
  const hg_event event = {room,           subscriber->type, subscriber->budget, envelope->seq,
                          envelope->prev, envelope->at,     subscriber->json,   subscriber->gaps.oldest};
  memcpy(out, &event, room);
  subscriber->gaps.oldest = 0;
  return HG_OK;
}

// Takes what waits on the link. HG_ERR_EMPTY: nothing does.
static hg_err hear(hg_subscriber *subscriber, hg_event *out, bool *told) {
  struct hg_received received;
  struct hg_event_envelope envelope;
  hg_peer peer;
  hg_err err = hg_link_receive(&subscriber->link, &peer, &received);
  if (err != HG_OK) return err;
  size_t size;
  const uint8_t *frame = hg_received_data(&received, &size);
  err = hg_gaps_hear(&subscriber->gaps, hg_clock_now().utc_us, frame, size, &envelope);
  *told = err == HG_OK;
  if (err == HG_OK) err = fill(subscriber, frame, size, &envelope, out);
  hg_received_close(&received);
  return err == HG_ERR_EMPTY ? HG_OK : err;
}

// ------------------------------------------------------------------------------------------------ what was missed

// Events that wait while a question is under way are no reason to look.
static void mute(hg_subscriber *subscriber, bool muted) {
  struct epoll_event event = {.events = muted ? 0 : EPOLLIN};
  if (subscriber->is_muted == muted) return;
  subscriber->is_muted = muted;
  (void)epoll_ctl(subscriber->epoll_fd, EPOLL_CTL_MOD, hg_link_fd(&subscriber->link), &event);
}

static hg_err connect_control(hg_subscriber *subscriber) {
  const struct hg_link_limits limits = {64, 1024, 0};
  struct epoll_event event = {.events = EPOLLIN};
  if (subscriber->control.socket) return HG_OK;
  hg_err err = hg_link_open(subscriber->core->context, HG_DEALER, limits, &subscriber->control);
  const struct hg_core *core = subscriber->core;
  if (err == HG_OK)
    err = hg_link_connect(&subscriber->control, core->is_guest ? core->places.control_endpoint : HG_CONTROL_INSIDE);
  if (err == HG_OK && epoll_ctl(subscriber->epoll_fd, EPOLL_CTL_ADD, hg_link_fd(&subscriber->control), &event) != 0)
    err = HG_ERR_SYSTEM;
  return err;
}

static hg_err ask(hg_subscriber *subscriber) {
  uint8_t frame[HG_OUTSIDE_FRAME_MAX];
  hg_err err = connect_control(subscriber);
  if (err != HG_OK) return err;
  const size_t size = hg_gaps_question(&subscriber->gaps, frame, sizeof frame);
  const struct hg_bytes no_topic = {NULL, 0};
  err =
      size ? hg_link_send(&subscriber->control, 0, no_topic, (struct hg_bytes){frame, (uint32_t)size}) : HG_ERR_INVALID;
  subscriber->is_asked = err == HG_OK;
  subscriber->asked_at = hg_clock_now().monotonic_us;
  return err;
}

// After the next heartbeat it is asked again, over another connection.
static void give_up(hg_subscriber *subscriber, hg_err err) {
  hg_link_close(&subscriber->control); // which takes it out of the epoll set too
  subscriber->is_asked = false;
  hg_gaps_refuse(&subscriber->gaps, err, hg_err_text(err));
}

// Asks, and takes what has come for it. HG_ERR_EMPTY: nothing has.
static hg_err catch_up(hg_subscriber *subscriber, hg_event *out, bool *told) {
  hg_err err = subscriber->is_asked ? HG_OK : ask(subscriber);
  struct hg_received received;
  hg_peer peer;
  if (err == HG_OK) err = hg_link_receive(&subscriber->control, &peer, &received);
  if (err == HG_ERR_CLOSED) return err;
  if (err == HG_ERR_EMPTY && hg_clock_now().monotonic_us < subscriber->asked_at + ANSWER_WITHIN_US) return err;
  if (err != HG_OK) {
    give_up(subscriber, err == HG_ERR_EMPTY ? HG_ERR_TIMEOUT : err);
    return HG_OK;
  }
  size_t size;
  struct hg_event_envelope envelope;
  const uint8_t *frame = hg_received_data(&received, &size);
  err = hg_gaps_answer(&subscriber->gaps, frame, size, &envelope);
  *told = err == HG_OK;
  if (err == HG_ERR_TIMEOUT) subscriber->is_asked = false;
  if (err == HG_OK) err = fill(subscriber, frame, size, &envelope, out);
  hg_received_close(&received);
  return err == HG_ERR_EMPTY || err == HG_ERR_TIMEOUT ? HG_OK : err;
}

// ------------------------------------------------------------------------------------------------ turns

static bool is_asking(const hg_subscriber *subscriber) {
  return subscriber->gaps.state == HG_GAPS_ASKING;
}

// `told`: `out` is the next event. HG_ERR_EMPTY: nothing has come that could be looked at.
static hg_err step(hg_subscriber *subscriber, hg_event *out, bool *told) {
  const uint8_t *frame;
  size_t size;
  struct hg_event_envelope envelope;
  *told = hg_gaps_next(&subscriber->gaps, &frame, &size, &envelope);
  if (*told) return fill(subscriber, frame, size, &envelope, out);
  const hg_err err = is_asking(subscriber) ? catch_up(subscriber, out, told) : hear(subscriber, out, told);
  mute(subscriber, is_asking(subscriber));
  return err;
}

static void note_nothing_unseen(hg_subscriber *subscriber) {
  if (subscriber->unseen_fd < 0) return;
  close(subscriber->unseen_fd); // which takes it out of the epoll set too
  subscriber->unseen_fd = -1;
}

static hg_err wait(hg_subscriber *subscriber, int64_t deadline) {
  const int64_t now = hg_clock_now().monotonic_us;
  struct hg_link *link = is_asking(subscriber) ? &subscriber->control : &subscriber->link;
  int64_t left = deadline == HG_NEVER ? -1 : deadline - now;
  if (deadline != HG_NEVER && left <= 0) {
    note_nothing_unseen(subscriber);
    return HG_ERR_TIMEOUT;
  }
  const int64_t patience = subscriber->asked_at + ANSWER_WITHIN_US - now;
  if (is_asking(subscriber) && (left < 0 || patience < left)) left = patience > 0 ? patience : 0;
  uint32_t readable;
  return hg_links_wait(link, 1, 1, left, &readable);
}

// The next event; or, `until_live`, back as soon as the first heartbeat was heard.
static hg_err next_event(hg_subscriber *subscriber, hg_event *out, int64_t deadline, bool until_live) {
  for (;;) {
    hg_err err = hg_core_check(subscriber->core);
    if (err != HG_OK) return err;
    bool told = false;
    if (until_live && subscriber->gaps.state != HG_GAPS_SILENT) return HG_OK;
    err = step(subscriber, out, &told);
    if (err == HG_OK && told && !until_live) return HG_OK;
    if (err == HG_ERR_EMPTY) err = wait(subscriber, deadline);
    if (err != HG_OK) return err;
  }
}

// ------------------------------------------------------------------------------------------------ beginning

static hg_err read_filter(const hg_filter *filter, uint32_t *kinds, uint64_t *from) {
  *kinds = filter && filter->topic_count ? 0 : HG_GAPS_ALL;
  *from = 0;
  if (!filter) return HG_OK;
  if (filter->size < offsetof(hg_filter, from_seq) || filter->topic_count > TOPICS_MAX) return HG_ERR_INVALID;
  if (filter->size >= sizeof *filter) *from = filter->from_seq;
  for (size_t i = 0; i < filter->topic_count; i++) {
    const struct hg_kind_info *info = filter->topics[i] ? hg_kind_by_name(hg_text_of(filter->topics[i])) : NULL;
    if (!info || !info->is_event) return HG_ERR_INVALID;
    *kinds |= UINT32_C(1) << (info->kind - HG_EVENT_FIRST);
  }
  return HG_OK;
}

// Heartbeats and the end are heard whatever is wanted.
static hg_err subscribe_to(hg_subscriber *subscriber, uint32_t kinds) {
  if (kinds == HG_GAPS_ALL) return hg_link_subscribe(&subscriber->link, "");
  hg_err err = HG_OK;
  for (uint32_t i = 0; err == HG_OK && i < HG_EVENT_KINDS; i++) {
    const enum hg_kind kind = (enum hg_kind)(HG_EVENT_FIRST + i);
    if (kinds >> i & 1 || kind == HG_HEARTBEAT || kind == HG_RUNTIME_STOPPED)
      err = hg_link_subscribe(&subscriber->link, hg_kind_info(kind)->name);
  }
  return err;
}

static hg_err connect_subscriber(hg_subscriber *subscriber, uint32_t kinds) {
  const struct hg_link_limits limits = {HG_EVENTS_HWM, HG_EVENTS_HWM, 0};
  hg_err err = hg_link_open(subscriber->core->context, HG_SUB, limits, &subscriber->link);
  if (err == HG_OK) err = subscribe_to(subscriber, kinds);
  if (err == HG_OK)
    err = hg_link_connect(&subscriber->link,
                          subscriber->core->is_guest ? subscriber->core->places.events_endpoint : HG_EVENTS_INSIDE);
  if (err != HG_OK) return err;
  subscriber->epoll_fd = epoll_create1(EPOLL_CLOEXEC);
  subscriber->unseen_fd = eventfd(1, EFD_CLOEXEC | EFD_NONBLOCK);
  const int fds[] = {hg_link_fd(&subscriber->link), subscriber->unseen_fd};
  struct epoll_event event = {.events = EPOLLIN};
  for (size_t i = 0; i < sizeof fds / sizeof *fds; i++)
    if (epoll_ctl(subscriber->epoll_fd, EPOLL_CTL_ADD, fds[i], &event) != 0) return HG_ERR_SYSTEM;
  return HG_OK;
}

hg_err hg_subscribe(hg_runtime *rt, const hg_filter *filter, hg_subscriber **out) {
  uint32_t kinds;
  uint64_t from;
  if (!rt || !out || read_filter(filter, &kinds, &from) != HG_OK) return HG_ERR_INVALID;
  hg_err err = hg_core_check(hg_runtime_core(rt));
  if (err != HG_OK) return err;
  hg_subscriber *subscriber = calloc(1, sizeof *subscriber);
  if (!subscriber) return HG_ERR_NO_MEMORY;
  subscriber->core = hg_core_hold(hg_runtime_core(rt));
  subscriber->epoll_fd = subscriber->unseen_fd = -1;
  hg_gaps_init(&subscriber->gaps, kinds, from);
  err = connect_subscriber(subscriber, kinds);
  hg_event unused = HG_EVENT_INIT;
  // What is committed after the first heartbeat that arrives is sure to be told.
  if (err == HG_OK) err = next_event(subscriber, &unused, hg_clock_now().monotonic_us + LIVE_WITHIN_US, true);
  if (err != HG_OK) {
    free_subscriber(subscriber);
    return err;
  }
  *out = subscriber;
  return HG_OK;
}

hg_err hg_next_event(hg_subscriber *subscriber, hg_event *out, int timeout_ms) {
  if (!subscriber || !out || out->size < offsetof(hg_event, oldest)) return HG_ERR_INVALID;
  return next_event(subscriber, out, hg_deadline(timeout_ms), false);
}

int hg_subscriber_fd(const hg_subscriber *subscriber) {
  return subscriber ? subscriber->epoll_fd : -1;
}

void hg_subscriber_destroy(hg_subscriber **subscriber) {
  if (!subscriber || !*subscriber) return;
  free_subscriber(*subscriber);
  *subscriber = NULL;
}
