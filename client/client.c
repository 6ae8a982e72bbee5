// A client of the runtime: a DEALER to the tracker and one to the scheduler, commands out, completions in.
#include "client/client.h"

#include "bus/endpoints.h"
#include "bus/frames.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <unistd.h>

static hg_err connect_link(hg_client *client, enum hg_client_link which, const char *address) {
  const struct hg_link_limits limits = HG_CLIENT_SIDE;
  hg_err err = hg_link_open(client->core->context, HG_DEALER, limits, &client->links[which]);
  if (err == HG_OK) err = hg_link_connect(&client->links[which], address);
  if (err != HG_OK) return err;
  struct epoll_event event = {.events = EPOLLIN};
  return epoll_ctl(client->epoll_fd, EPOLL_CTL_ADD, hg_link_fd(&client->links[which]), &event) == 0 ? HG_OK
                                                                                                    : HG_ERR_SYSTEM;
}

void hg_client_free(hg_client *client) {
  for (int i = 0; i < HG_CLIENT_LINKS; i++)
    if (*client->core->not_forked) hg_link_close(&client->links[i]);
  if (client->epoll_fd >= 0) close(client->epoll_fd);
  if (client->event_fd >= 0) close(client->event_fd);
  hg_ring_destroy(&client->rejections);
  hg_ring_destroy(&client->silent);
  hg_ring_destroy(&client->completions);
  hg_ring_destroy(&client->unwanted);
  hg_id_map_destroy(&client->abandoned);
  atomic_fetch_sub(&client->core->clients, 1);
  hg_core_release(client->core);
  free(client);
}

static hg_err open_descriptors(hg_client *client) {
  client->epoll_fd = epoll_create1(EPOLL_CLOEXEC);
  client->event_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
  struct epoll_event event = {.events = EPOLLIN};
  if (client->epoll_fd < 0 || client->event_fd < 0 ||
      epoll_ctl(client->epoll_fd, EPOLL_CTL_ADD, client->event_fd, &event) != 0)
    return HG_ERR_SYSTEM;
  hg_err err = connect_link(client, HG_TO_TRACKER, "inproc://tracker");
  if (err == HG_OK) err = connect_link(client, HG_TO_SCHEDULER, "inproc://scheduler");
  return err;
}

hg_err hg_client_open(struct hg_core *core, hg_client **out) {
  hg_err err = hg_core_check(core);
  if (err != HG_OK) return err;
  hg_client *client = calloc(1, sizeof *client);
  if (!client) return HG_ERR_NO_MEMORY;
  client->core = hg_core_hold(core);
  client->epoll_fd = client->event_fd = -1;
  client->rejections.item = sizeof(struct hg_rejection);
  client->silent.item = sizeof(uint64_t);
  client->completions.item = sizeof(hg_completion);
  client->unwanted.item = sizeof(uint64_t);
  err = atomic_fetch_add(&core->clients, 1) < HG_CLIENTS_MAX ? open_descriptors(client) : HG_ERR_BUSY;
  if (err != HG_OK) {
    hg_client_free(client);
    return err;
  }
  *out = client;
  return HG_OK;
}

hg_err hg_client_new(hg_runtime *rt, hg_client **out) {
  return rt && out ? hg_client_open(hg_runtime_core(rt), out) : HG_ERR_INVALID;
}

void hg_client_destroy(hg_client **client) {
  if (!client || !*client) return;
  if (hg_core_check((*client)->core) == HG_OK) hg_client_say_farewell(*client);
  else hg_client_free(*client);
  *client = NULL;
}

int hg_client_fd(hg_client *client) {
  if (!client) return -1;
  client->fd_in_use = true;
  return client->epoll_fd;
}

uint64_t hg_client_fresh_id(hg_client *client) {
  if (client->next_id == client->last_id) {
    client->next_id = hg_core_take_ids(client->core, HG_ID_BLOCK);
    client->last_id = client->next_id + HG_ID_BLOCK;
  }
  return client->next_id++;
}

hg_err hg_client_find_budget(const hg_client *client, const char *name, uint32_t *out) {
  const struct hg_config *config = client->core->config;
  *out = 0;
  if (!name) return HG_OK;
  return hg_config_find_budget(config, name, strlen(name), out) ? HG_OK : HG_ERR_UNKNOWN_BUDGET;
}

hg_err hg_client_text(const char *text, size_t most, struct hg_text *out) {
  *out = hg_text_of(text);
  return out->size <= most ? HG_OK : HG_ERR_INVALID;
}

// The descriptor that outsiders poll is readable as long as completions wait, also those that were taken in already.
static void signal_completions(hg_client *client, bool waiting) {
  const uint64_t one = 1;
  uint64_t drained;
  if (waiting == client->signalled) return;
  const ssize_t moved =
      waiting ? write(client->event_fd, &one, sizeof one) : read(client->event_fd, &drained, sizeof drained);
  if (moved == (ssize_t)sizeof one) client->signalled = waiting;
}

static bool has_completions(const hg_client *client) {
  return client->completions.count || client->reported < client->durable;
}

hg_err hg_client_send(hg_client *client, enum hg_client_link link, const struct hg_message *message) {
  hg_err err = hg_core_check(client->core);
  if (err != HG_OK) return err;
  if (link == HG_TO_WORKERS && !client->links[link].socket) {
    err = connect_link(client, link, "inproc://runs");
    if (err != HG_OK) return err;
  }
  uint8_t frame[HG_EVENT_FRAME_MAX];
  const size_t size = hg_frame_encode(message, frame, sizeof frame);
  if (size == 0) return HG_ERR_INVALID; // a text that is not UTF-8
  const hg_err sent =
      hg_link_send(&client->links[link], 0, (struct hg_bytes){0}, (struct hg_bytes){frame, (uint32_t)size});
  // A send may take in the news that an answer has come, and its descriptor is then not readable any more.
  if (client->fd_in_use && !client->signalled && hg_link_has_input(&client->links[link]))
    signal_completions(client, true);
  return sent;
}

// ---------------------------------------------------------------------------------------------------- taking in

hg_err hg_client_give_back(hg_client *client) {
  static char mark;
  const uint64_t *permit;
  while ((permit = hg_ring_first(&client->unwanted))) {
    struct hg_message release;
    hg_message_init(&release, HG_RELEASE);
    release.as.release.permit = *permit;
    release.as.release.outcome = HG_OUTCOME_FAILED;
    release.as.release.reason = hg_text_of("cancelled");
    if (!hg_id_map_put(&client->abandoned, *permit | HG_TICKET_SETTLE, &mark)) return HG_ERR_NO_MEMORY;
    const hg_err err = hg_client_send(client, HG_TO_SCHEDULER, &release);
    if (err != HG_OK) return err;
    client->settles++;
    hg_ring_pop(&client->unwanted);
  }
  return HG_OK;
}

static hg_err complete(hg_client *client, hg_completion completion) {
  completion.size = (uint32_t)sizeof completion;
  return hg_ring_push(&client->completions, &completion) ? HG_OK : HG_ERR_NO_MEMORY;
}

static hg_err take_granted(hg_client *client, const struct hg_granted_message *granted) {
  const uint64_t permit = granted->permit ? granted->permit : granted->request;
  if (client->acquires) client->acquires--;
  if (hg_id_map_remove(&client->abandoned, granted->request))
    return hg_ring_push(&client->unwanted, &permit) ? HG_OK : HG_ERR_NO_MEMORY;
  return complete(client, (hg_completion){.kind = HG_COMPLETED_ACQUIRE,
                                          .ticket = {granted->request},
                                          .permit = {permit},
                                          .tokens = granted->tokens});
}

static hg_err take_refused(hg_client *client, const struct hg_refused_message *refused) {
  if (client->acquires) client->acquires--;
  if (hg_id_map_remove(&client->abandoned, refused->request)) return HG_OK;
  const bool exhausted = refused->error == HG_ERR_BUDGET_EXHAUSTED;
  return complete(client,
                  (hg_completion){.kind = HG_COMPLETED_ACQUIRE,
                                  .ticket = {refused->request},
                                  .err = (hg_err)refused->error,
                                  .tokens = refused->left,
                                  .budget = exhausted ? client->core->config->budgets[refused->budget].name : NULL});
}

static hg_err take_settled(hg_client *client, const struct hg_settled_message *settled) {
  if (client->settles) client->settles--;
  if (settled->error == HG_ERR_STORE) client->lost_settles = true;
  if (hg_id_map_remove(&client->abandoned, settled->permit | HG_TICKET_SETTLE)) return HG_OK;
  return complete(client, (hg_completion){.kind = HG_COMPLETED_SETTLE,
                                          .ticket = {settled->permit | HG_TICKET_SETTLE},
                                          .err = (hg_err)settled->error,
                                          .permit = {settled->permit}});
}

static hg_err take_renewed(hg_client *client, uint64_t ticket, hg_err err) {
  if (client->renewals) client->renewals--;
  if (hg_id_map_remove(&client->abandoned, ticket)) return HG_OK;
  return complete(
      client, (hg_completion){
                  .kind = HG_COMPLETED_RENEWAL, .ticket = {ticket}, .err = err, .permit = {ticket & ~HG_TICKET_RENEW}});
}

// Keeps the answer of the one question under way; late answers of questions given up are passed over.
static hg_err take_answer(hg_client *client, const struct hg_message *message, uint64_t request) {
  if (request != client->awaited) return HG_OK;
  client->answer = *message;
  client->answered = true;
  struct hg_text *text = message->kind == HG_ORPHAN    ? &client->answer.as.orphan.task_id
                         : message->kind == HG_WAITING ? &client->answer.as.waiting.task_id
                                                       : NULL;
  if (text) {
    hg_text_copy(client->answer_text, sizeof client->answer_text, *text);
    *text = hg_text_of(client->answer_text);
  }
  return HG_OK;
}

static hg_err take_rejected(hg_client *client, const struct hg_rejected_message *rejected) {
  const struct hg_rejection rejection = {rejected->number, (hg_err)rejected->error};
  if (rejection.err == HG_ERR_STORE) { // of all that are unanswered up to this one
    if (!client->lost) client->lost_after = client->durable;
    client->lost = true;
    if (rejection.number > client->durable) client->durable = rejection.number;
    return HG_OK;
  }
  if (rejection.number == client->waited_number) client->waited_result = rejection.err;
  // A number that was not even taken is not covered by a RECORDED to come.
  if (!hg_number_was_taken(rejection.err) && rejection.number > client->durable) client->durable = rejection.number;
  return hg_ring_push(&client->rejections, &rejection) ? HG_OK : HG_ERR_NO_MEMORY;
}

static hg_err take(hg_client *client, const struct hg_message *message) {
  // Only the kinds that a client can get; the rest would be our own bug and is passed over.
  if (message->kind == HG_RECORDED) {
    if (message->as.recorded.number > client->durable) client->durable = message->as.recorded.number;
  } else if (message->kind == HG_REJECTED) {
    return take_rejected(client, &message->as.rejected);
  } else if (message->kind == HG_GRANTED) {
    return take_granted(client, &message->as.granted);
  } else if (message->kind == HG_REFUSED) {
    return take_refused(client, &message->as.refused);
  } else if (message->kind == HG_SETTLED) {
    return take_settled(client, &message->as.settled);
  } else if (message->kind == HG_USAGE) {
    return take_answer(client, message, message->as.usage.request);
  } else if (message->kind == HG_ORPHAN) {
    return take_answer(client, message, message->as.orphan.request);
  } else if (message->kind == HG_WAITING) {
    return take_answer(client, message, message->as.waiting.request);
  } else if (message->kind == HG_QUEUE) {
    return take_answer(client, message, message->as.queue.request);
  } else if (message->kind == HG_REPORTER) {
    return take_answer(client, message, message->as.reporter.request);
  } else if (message->kind == HG_DONE && message->as.done.request & HG_TICKET_RENEW) {
    return take_renewed(client, message->as.done.request, (hg_err)message->as.done.error);
  } else if (message->kind == HG_DONE) {
    return take_answer(client, message, message->as.done.request);
  } else if (message->kind == HG_FUNCTION_RAN) {
    const struct hg_function_ran_message *ran = &message->as.function_ran;
    if (client->runs) client->runs--;
    return complete(client, (hg_completion){.kind = HG_COMPLETED_RUN,
                                            .ticket = {ran->request},
                                            .err = (hg_err)ran->error,
                                            .permit = {ran->permit ? ran->permit : ran->request},
                                            .tokens = ran->tokens});
  }
  return HG_OK;
}

static hg_err take_from(hg_client *client, struct hg_link *link) {
  if (!link->socket) return HG_OK;
  for (;;) {
    struct hg_received frame;
    hg_peer peer;
    hg_err err = hg_link_receive(link, &peer, &frame);
    if (err == HG_ERR_EMPTY) return HG_OK;
    if (err != HG_OK) return err;
    size_t size;
    const uint8_t *data = hg_received_data(&frame, &size);
    struct hg_message message;
    err = hg_frame_decode(data, size, &message);
    if (err == HG_OK) err = take(client, &message);
    hg_received_close(&frame);
    if (err != HG_OK) return err;
  }
}

static hg_err pump(hg_client *client, uint32_t readable) {
  hg_err err = hg_core_check(client->core);
  for (uint32_t i = 0; i < HG_CLIENT_LINKS && err == HG_OK; i++)
    if (readable >> i & 1) err = take_from(client, &client->links[i]);
  if (err == HG_OK) (void)hg_client_give_back(client); // what finds no room now is sent later
  signal_completions(client, has_completions(client));
  return err;
}

hg_err hg_client_pump(hg_client *client) {
  return pump(client, UINT32_MAX);
}

int64_t hg_deadline(int timeout_ms) {
  return timeout_ms < 0 ? HG_NEVER : hg_clock_now().monotonic_us + (int64_t)timeout_ms * 1000;
}

hg_err hg_client_wait(hg_client *client, int64_t deadline_us) {
  int64_t left = -1;
  if (deadline_us != HG_NEVER) {
    left = deadline_us - hg_clock_now().monotonic_us;
    if (left <= 0) return HG_ERR_TIMEOUT;
  }
  uint32_t readable;
  const hg_err err = hg_links_wait(client->links, HG_CLIENT_LINKS, UINT32_MAX, left, &readable);
  return err == HG_OK ? pump(client, readable) : err;
}

// ---------------------------------------------------------------------------------------------------- completions

hg_err hg_client_outcome(const hg_client *client, uint64_t number) {
  return client->lost && number > client->lost_after ? HG_ERR_STORE : HG_OK;
}

static hg_err rejection_of(hg_client *client, uint64_t number) {
  struct hg_rejection *first = hg_ring_first(&client->rejections);
  if (!first || first->number != number) return hg_client_outcome(client, number);
  const hg_err err = first->err;
  hg_ring_pop(&client->rejections);
  return err;
}

void hg_client_skip_silent(hg_client *client) {
  const uint64_t *silent;
  while (client->reported < client->durable && (silent = hg_ring_first(&client->silent)) &&
         *silent == client->reported + 1) {
    hg_ring_pop(&client->silent);
    (void)rejection_of(client, ++client->reported);
  }
}

// The next durable number that nobody was told of, but for those of waiting calls.
static bool next_record(hg_client *client, hg_completion *out) {
  hg_client_skip_silent(client);
  if (client->reported == client->durable) return false;
  const uint64_t number = ++client->reported;
  *out = (hg_completion){.size = (uint32_t)sizeof *out,
                         .kind = HG_COMPLETED_RECORD,
                         .ticket = {number | HG_TICKET_RECORD},
                         .err = rejection_of(client, number)};
  return true;
}

hg_err hg_client_next(hg_client *client, hg_completion *out, int timeout_ms) {
  if (!client || !out || out->size < sizeof *out) return HG_ERR_INVALID;
  const int64_t deadline = hg_deadline(timeout_ms);
  hg_err err = has_completions(client) ? HG_OK : hg_client_pump(client);
  for (;;) {
    if (next_record(client, out)) break;
    const hg_completion *first = hg_ring_first(&client->completions);
    if (first) {
      *out = *first;
      hg_ring_pop(&client->completions);
      break;
    }
    if (err == HG_OK) err = hg_client_wait(client, deadline);
    if (err != HG_OK) {
      signal_completions(client, has_completions(client));
      return err;
    }
  }
  signal_completions(client, has_completions(client));
  return HG_OK;
}
