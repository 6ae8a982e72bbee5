// A subscriber in this process: a SUB socket on the event bus.
#include "actors/core.h"
#include "bus/endpoints.h"
#include "bus/frames.h"
#include "client/client.h"

#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <unistd.h>

#define TOPICS_MAX 32
#define LIVE_WITHIN_US 5000000 // the event bus beats ten times a second
#define HEARTBEAT_TOPIC "HEARTBEAT"

struct hg_subscriber {
  struct hg_core *core;
  struct hg_link link;
  int epoll_fd;
  int unseen_fd; // readable until a look found nothing: only then does the link announce what comes; -1: that is past
  bool wants_heartbeat;
  char type[64], budget[HG_BUDGET_NAME_MAX + 1];
  char json[2 * HG_OUTSIDE_FRAME_MAX];
};

static void free_subscriber(hg_subscriber *subscriber) {
  if (*subscriber->core->not_forked) hg_link_close(&subscriber->link);
  if (subscriber->epoll_fd >= 0) close(subscriber->epoll_fd);
  if (subscriber->unseen_fd >= 0) close(subscriber->unseen_fd);
  hg_core_release(subscriber->core);
  free(subscriber);
}

static hg_err subscribe_to(hg_subscriber *subscriber, const hg_filter *filter) {
  // The heartbeat proves that the subscription is live.
  hg_err err = hg_link_subscribe(&subscriber->link, filter && filter->topic_count ? HEARTBEAT_TOPIC : "");
  for (size_t i = 0; err == HG_OK && filter && i < filter->topic_count; i++) {
    if (!filter->topics[i] || !hg_kind_by_name(hg_text_of(filter->topics[i]))) return HG_ERR_INVALID;
    subscriber->wants_heartbeat |= strcmp(filter->topics[i], HEARTBEAT_TOPIC) == 0;
    err = hg_link_subscribe(&subscriber->link, filter->topics[i]);
  }
  return err;
}

static hg_err connect_subscriber(hg_subscriber *subscriber, const hg_filter *filter) {
  const struct hg_link_limits limits = {HG_EVENTS_HWM, HG_EVENTS_HWM, 0};
  hg_err err = hg_link_open(subscriber->core->context, HG_SUB, limits, &subscriber->link);
  if (err == HG_OK) err = subscribe_to(subscriber, filter);
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

static void note_nothing_unseen(hg_subscriber *subscriber) {
  if (subscriber->unseen_fd < 0) return;
  close(subscriber->unseen_fd); // which takes it out of the epoll set too
  subscriber->unseen_fd = -1;
}

// Takes one event; HG_ERR_EMPTY: none there, or one that the subscriber did not ask for.
static hg_err take_event(hg_subscriber *subscriber, hg_event *out, bool *heartbeat) {
  struct hg_received frame;
  hg_peer peer;
  hg_err err = hg_link_receive(&subscriber->link, &peer, &frame);
  if (err != HG_OK) return err;
  size_t size;
  struct hg_event_envelope envelope;
  const uint8_t *data = hg_received_data(&frame, &size);
  err = hg_outside_read_envelope(data, size, &envelope);
  if (err == HG_OK) {
    hg_text_copy(subscriber->type, sizeof subscriber->type, envelope.type);
    hg_text_copy(subscriber->budget, sizeof subscriber->budget, envelope.budget);
    *heartbeat = strcmp(subscriber->type, HEARTBEAT_TOPIC) == 0;
    if (!hg_outside_to_json(data, size, subscriber->json, sizeof subscriber->json)) err = HG_ERR_PROTOCOL;
    *out = (hg_event){(uint32_t)sizeof *out, subscriber->type, subscriber->budget, envelope.seq,
                      envelope.prev,         envelope.at,      subscriber->json};
  }
  hg_received_close(&frame);
  return err;
}

static hg_err next_event(hg_subscriber *subscriber, hg_event *out, int64_t deadline, bool heartbeats) {
  for (;;) {
    hg_err err = hg_core_check(subscriber->core);
    if (err != HG_OK) return err;
    bool heartbeat = false;
    err = take_event(subscriber, out, &heartbeat);
    if (err == HG_OK && (heartbeats || !heartbeat)) return HG_OK;
    if (err == HG_OK) continue;
    if (err != HG_ERR_EMPTY) return err;
    int64_t left = deadline == HG_NEVER ? -1 : deadline - hg_clock_now().monotonic_us;
    if (deadline != HG_NEVER && left <= 0) {
      note_nothing_unseen(subscriber);
      return HG_ERR_TIMEOUT;
    }
    uint32_t readable;
    err = hg_links_wait(&subscriber->link, 1, 1, left, &readable);
    if (err != HG_OK) return err;
  }
}

hg_err hg_subscribe(hg_runtime *rt, const hg_filter *filter, hg_subscriber **out) {
  if (!rt || !out || (filter && (filter->size < sizeof *filter || filter->topic_count > TOPICS_MAX)))
    return HG_ERR_INVALID;
  hg_err err = hg_core_check(hg_runtime_core(rt));
  if (err != HG_OK) return err;
  hg_subscriber *subscriber = calloc(1, sizeof *subscriber);
  if (!subscriber) return HG_ERR_NO_MEMORY;
  subscriber->core = hg_core_hold(hg_runtime_core(rt));
  subscriber->epoll_fd = subscriber->unseen_fd = -1;
  err = connect_subscriber(subscriber, filter);
  hg_event live = HG_EVENT_INIT;
  // What is committed after the first heartbeat that arrives is sure to arrive too.
  if (err == HG_OK) err = next_event(subscriber, &live, hg_clock_now().monotonic_us + LIVE_WITHIN_US, true);
  if (err != HG_OK) {
    free_subscriber(subscriber);
    return err;
  }
  *out = subscriber;
  return HG_OK;
}

hg_err hg_next_event(hg_subscriber *subscriber, hg_event *out, int timeout_ms) {
  if (!subscriber || !out || out->size < sizeof *out) return HG_ERR_INVALID;
  return next_event(subscriber, out, hg_deadline(timeout_ms), subscriber->wants_heartbeat);
}

int hg_subscriber_fd(const hg_subscriber *subscriber) {
  return subscriber ? subscriber->epoll_fd : -1;
}

void hg_subscriber_destroy(hg_subscriber **subscriber) {
  if (!subscriber || !*subscriber) return;
  free_subscriber(*subscriber);
  *subscriber = NULL;
}
