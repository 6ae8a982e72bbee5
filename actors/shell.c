// The thread around an actor: wait, drain, receive, flush, send.
#include "actors/shell.h"
#include "bus/frames.h"

#include <signal.h>
#include <stdlib.h>

// What comes in on a port is an inside frame, an outside one, or raw.
static hg_err decode(enum hg_port port, struct hg_envelope *in) {
  in->message.kind = HG_NONE;
  if (port == HG_PORT_EVENTS) return HG_OK;
  if (port == HG_PORT_CONTROL) return hg_outside_decode(in->frame, in->frame_size, &in->message);
  return hg_frame_decode(in->frame, in->frame_size, &in->message);
}

// Takes one message from a port. False: nothing (more) there, or the context ends.
static bool take(struct hg_shell *shell, enum hg_port port, struct hg_now now, struct hg_outbox *out) {
  struct hg_received frame;
  struct hg_envelope in = {.port = port};
  const hg_err err = hg_link_receive(&shell->links[port], &in.peer, &frame);
  if (err == HG_ERR_PROTOCOL) {
    shell->frames_refused++;
    return true;
  }
  if (err != HG_OK) return false;
  in.frame = hg_received_data(&frame, &in.frame_size);
  if (decode(port, &in) == HG_OK) {
    shell->actor.receive(shell->actor.self, now, &in, out);
  } else {
    shell->frames_refused++;
    in.message.kind = HG_NONE;
    if (port == HG_PORT_CONTROL) shell->actor.receive(shell->actor.self, now, &in, out);
  }
  hg_received_close(&frame);
  return true;
}

// Drains a burst from every readable port; true when a port may still have more.
static bool drain(struct hg_shell *shell, uint32_t readable, struct hg_now now, struct hg_outbox *out) {
  bool more = false;
  for (uint32_t port = 0; port < HG_PORT_COUNT; port++) {
    if (!(readable >> port & 1)) continue;
    uint32_t taken = 0;
    while (taken < HG_BURST && take(shell, (enum hg_port)port, now, out))
      taken++;
    more |= taken == HG_BURST;
  }
  return more;
}

// Windows keep the pipes between actors from filling; what can't be sent all the same went to a peer that is gone or does
// not read, and is counted.
static void send_all(struct hg_shell *shell, struct hg_outbox *out) {
  struct hg_outgoing next;
  for (size_t at = 0; hg_outbox_next(out, &at, &next);) {
    const hg_err err = hg_link_send(&shell->links[next.port], next.peer, (struct hg_bytes){next.topic, next.topic_size},
                                    (struct hg_bytes){next.frame, next.frame_size});
    if (err != HG_OK) shell->answers_dropped++;
  }
  hg_outbox_clear(out);
}

static int64_t time_left(int64_t wake, struct hg_now now) {
  if (wake == HG_NEVER) return -1;
  return wake <= now.monotonic_us ? 0 : wake - now.monotonic_us;
}

static void say_out_of_memory(struct hg_shell *shell, struct hg_outbox *out) {
  hg_outbox_clear(out);
  struct hg_message last;
  hg_message_init(&last, HG_STOPPED);
  last.as.stopped.error = HG_ERR_NO_MEMORY;
  last.as.stopped.reason = hg_text_of("an actor found no memory for its messages");
  uint8_t frame[128];
  const size_t size = hg_frame_encode(&last, frame, sizeof frame);
  (void)hg_link_send(&shell->links[HG_PORT_LIFE], 0, (struct hg_bytes){0}, (struct hg_bytes){frame, (uint32_t)size});
}

static void *run(void *argument) {
  struct hg_shell *shell = argument;
  struct hg_actor *actor = &shell->actor;
  struct hg_outbox out = {0};
  uint32_t readable = 0;
  bool more = false;
  for (;;) {
    struct hg_now now = hg_clock_now();
    more = drain(shell, readable, now, &out);
    const int64_t wake = actor->flush(actor->self, now, &out);
    if (out.failed) say_out_of_memory(shell, &out);
    const bool finished = out.finished || out.failed;
    send_all(shell, &out);
    if (finished) break;
    const uint32_t wanted = actor->listens ? actor->listens(actor->self) : UINT32_MAX;
    if (hg_links_wait(shell->links, HG_PORT_COUNT, wanted, more ? 0 : time_left(wake, now), &readable) == HG_ERR_CLOSED)
      break;
  }
  hg_outbox_destroy(&out);
  return NULL;
}

hg_err hg_shell_thread(pthread_t *out, void *(*body)(void *), void *argument) {
  sigset_t all, before;
  sigfillset(&all);
  pthread_sigmask(SIG_SETMASK, &all, &before);
  const int failed = pthread_create(out, NULL, body, argument);
  pthread_sigmask(SIG_SETMASK, &before, NULL);
  return failed ? HG_ERR_SYSTEM : HG_OK;
}

hg_err hg_shell_start(struct hg_shell *shell) {
  const hg_err err = hg_shell_thread(&shell->thread, run, shell);
  if (err != HG_OK) return err;
  (void)pthread_setname_np(shell->thread, shell->actor.name);
  shell->started = true;
  return HG_OK;
}

void hg_shell_join(struct hg_shell *shell) {
  if (shell->started) pthread_join(shell->thread, NULL);
  shell->started = false;
}
