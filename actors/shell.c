// The thread around an actor: wait, drain, receive, flush, send.
#include "actors/shell.h"

#include "bus/frames.h"
#include "base/thread.h"

#include <stdlib.h>

#define GONE_TURNS_MAX 1024 // a port that is never empty keeps the news that a peer is gone no longer

// What comes in on a port is an inside frame, an outside one, or raw.
static hg_err decode(enum hg_port port, struct hg_envelope *in) {
  in->message.kind = HG_NONE;
  if (port == HG_PORT_EVENTS || port == HG_PORT_OUTSIDE_EVENTS) return HG_OK;
  if (port == HG_PORT_CONTROL) return hg_outside_decode(in->frame, in->frame_size, &in->message);
  return hg_frame_decode(in->frame, in->frame_size, &in->message);
}

static void answer_count(const struct hg_shell *shell, uint64_t request, struct hg_outbox *out) {
  struct hg_message counted;
  hg_message_init(&counted, HG_COUNTED);
  counted.as.counted.request = request;
  counted.as.counted.counters = (struct hg_bytes){(const uint8_t *)&shell->counters, sizeof shell->counters};
  hg_outbox_put(out, HG_PORT_LIFE, 0, &counted);
}

// Takes one message from a port. False: nothing (more) there, or the context ends.
static bool take(struct hg_shell *shell, enum hg_port port, struct hg_now now, struct hg_outbox *out) {
  struct hg_received frame;
  struct hg_envelope in = {.port = port};
  const hg_err err = hg_link_receive(&shell->links[port], &in.peer, &frame);
  if (err == HG_ERR_PROTOCOL) {
    hg_count(out, frames_refused);
    return true;
  }
  if (err != HG_OK) return false;
  in.frame = hg_received_data(&frame, &in.frame_size);
  if (decode(port, &in) == HG_OK) {
    if (port == HG_PORT_LIFE && in.message.kind == HG_COUNT) answer_count(shell, in.message.as.count.request, out);
    else shell->actor.receive(shell->actor.self, now, &in, out);
  } else {
    hg_count(out, frames_refused);
    in.message.kind = HG_NONE;
    if (port == HG_PORT_CONTROL) shell->actor.receive(shell->actor.self, now, &in, out);
  }
  hg_received_close(&frame);
  return true;
}

// Drains a burst from each of the ports; says which may still have more.
static uint32_t drain(struct hg_shell *shell, uint32_t ports, struct hg_now now, struct hg_outbox *out) {
  uint32_t more = 0;
  for (uint32_t port = 0; port < HG_PORT_COUNT; port++) {
    if (!(ports >> port & 1)) continue;
    uint32_t taken = 0;
    while (taken < HG_BURST && take(shell, (enum hg_port)port, now, out))
      taken++;
    if (taken == HG_BURST) more |= 1U << port;
  }
  return more;
}

static bool is_client_port(enum hg_port port) {
  return port == HG_PORT_CLIENTS || port == HG_PORT_RUNS || port == HG_PORT_CONTROL || port == HG_PORT_TRACKER ||
         port == HG_PORT_SCHEDULER;
}

// Windows keep the pipes between actors from filling; what can't be sent all the same went to a peer that does not read
// or is gone, and is counted. In the latter case it is kept for the actor, which may have promised something with it.
static void send_all(struct hg_shell *shell, struct hg_outbox *out, struct hg_outbox *undelivered) {
  struct hg_outgoing next;
  for (size_t at = 0; hg_outbox_next(out, &at, &next);) {
    const hg_err err = hg_link_send(&shell->links[next.port], next.peer, (struct hg_bytes){next.topic, next.topic_size},
                                    (struct hg_bytes){next.frame, next.frame_size});
    if (err == HG_OK) continue;
    if (err == HG_ERR_EMPTY) hg_count(out, answers_undelivered);
    else if (shell->links[next.port].type == HG_XPUB) hg_count(out, subscribers_behind);
    else hg_count(out, answers_dropped);
    // Who is outside and does not read its answers is as good as gone.
    const bool unread = err == HG_ERR_BUSY && next.port == HG_PORT_CONTROL && next.peer != 0;
    if ((err == HG_ERR_EMPTY || unread) && is_client_port(next.port))
      hg_outbox_put_frame(undelivered, next.port, next.peer, (struct hg_bytes){0},
                          (struct hg_bytes){next.frame, next.frame_size});
  }
  hg_outbox_clear(out);
}

// Back to the actor; who did not take it is gone.
static void give_back_undelivered(struct hg_shell *shell, struct hg_outbox *undelivered, struct hg_now now,
                                  struct hg_outbox *out) {
  struct hg_outgoing next;
  for (size_t at = 0; hg_outbox_next(undelivered, &at, &next);) {
    struct hg_envelope in = {
        .port = next.port, .peer = next.peer, .frame = next.frame, .frame_size = next.frame_size, .undelivered = true};
    if (decode(in.port, &in) == HG_OK) shell->actor.receive(shell->actor.self, now, &in, out);
    out->failed |= !hg_id_map_put(&shell->gone[next.port], next.peer, shell);
    shell->gone_ports |= 1U << next.port;
  }
  hg_outbox_clear(undelivered);
}

// A LEAVE for each peer that is gone: it may have had no chance to say so. What it had sent before is read first, which
// is certain when its port is `empty`.
static void tell_gone(struct hg_shell *shell, uint32_t empty, struct hg_now now, struct hg_outbox *out) {
  if (!shell->gone_ports) return;
  if (++shell->gone_turns == GONE_TURNS_MAX) empty = UINT32_MAX;
  for (uint32_t port = 0; port < HG_PORT_COUNT; port++) {
    if (!(shell->gone_ports & empty & 1U << port)) continue;
    for (size_t at = 0; hg_id_map_next(&shell->gone[port], &at);) {
      struct hg_envelope in = {.port = (enum hg_port)port, .peer = shell->gone[port].slots[at - 1].id};
      hg_message_init(&in.message, HG_LEAVE);
      in.message.as.leave.gone = true;
      shell->actor.receive(shell->actor.self, now, &in, out);
    }
    hg_id_map_destroy(&shell->gone[port]);
    shell->gone_ports &= ~(1U << port);
    shell->gone_turns = 0;
  }
}

static int64_t time_left(int64_t wake, struct hg_now now) {
  if (wake == HG_NEVER) return -1;
  return wake <= now.monotonic_us ? 0 : wake - now.monotonic_us;
}

// A runtime without one of its actors answers nobody any more: all that wait hear so now, and a close says why.
static void die(struct hg_shell *shell, struct hg_outbox *out) {
  hg_outbox_clear(out);
  shell->died_with = HG_ERR_NO_MEMORY;
  struct hg_message last;
  hg_message_init(&last, HG_STOPPED);
  last.as.stopped.error = HG_ERR_NO_MEMORY;
  last.as.stopped.reason = hg_text_of("an actor found no memory for its messages");
  uint8_t frame[128];
  const size_t size = hg_frame_encode(&last, frame, sizeof frame);
  (void)hg_link_send(&shell->links[HG_PORT_LIFE], 0, (struct hg_bytes){0}, (struct hg_bytes){frame, (uint32_t)size});
  if (shell->core) hg_core_close(shell->core);
}

static void *run(void *argument) {
  struct hg_shell *shell = argument;
  struct hg_actor *actor = &shell->actor;
  struct hg_outbox out = {.counters = &shell->counters}, undelivered = {0};
  uint32_t readable = 0;
  while (!shell->died_with) {
    struct hg_now now = hg_clock_now();
    give_back_undelivered(shell, &undelivered, now, &out);
    const uint32_t full = drain(shell, readable, now, &out);
    tell_gone(shell, readable & ~full, now, &out);
    const int64_t wake = actor->flush(actor->self, now, &out);
    const bool finished = out.finished;
    if (out.failed) die(shell, &out);
    else send_all(shell, &out, &undelivered);
    if (undelivered.failed) die(shell, &out);
    if (finished) break;
    const uint32_t wanted = actor->listens ? actor->listens(actor->self) : UINT32_MAX;
    const bool more = (full | (shell->gone_ports & wanted)) || undelivered.count > 0;
    if (hg_links_wait(shell->links, HG_PORT_COUNT, wanted, more ? 0 : time_left(wake, now), &readable) == HG_ERR_CLOSED)
      break;
    readable |= shell->gone_ports & wanted; // to see that they are empty
  }
  for (int port = 0; port < HG_PORT_COUNT; port++)
    hg_id_map_destroy(&shell->gone[port]);
  hg_outbox_destroy(&out);
  hg_outbox_destroy(&undelivered);
  return NULL;
}

hg_err hg_shell_start(struct hg_shell *shell) {
  const hg_err err = hg_thread_start(&shell->thread, run, shell);
  if (err != HG_OK) return err;
  (void)pthread_setname_np(shell->thread, shell->actor.name);
  shell->started = true;
  return HG_OK;
}

void hg_shell_join(struct hg_shell *shell) {
  if (shell->started) pthread_join(shell->thread, NULL);
  shell->started = false;
}
