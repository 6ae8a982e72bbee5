// Facts are encoded once, into chunks that become the FACTS frames.
#include "actors/fact_log.h"

#include "bus/frames.h"

#include <stdlib.h>
#include <string.h>

struct hg_fact_chunk {
  struct hg_fact_chunk *next;
  uint64_t last;
  uint32_t count, size;
  uint8_t bytes[HG_FACTS_BYTES];
};

void hg_fact_log_init(struct hg_fact_log *log, uint64_t last_seq, const uint64_t topic_last[HG_EVENT_KINDS]) {
  *log = (struct hg_fact_log){.seq = last_seq, .durable = last_seq};
  memcpy(log->topic_last, topic_last, sizeof log->topic_last);
}

static void free_chunks(struct hg_fact_chunk *chunk) {
  while (chunk) {
    struct hg_fact_chunk *next = chunk->next;
    free(chunk);
    chunk = next;
  }
}

void hg_fact_log_destroy(struct hg_fact_log *log) {
  free_chunks(log->first);
  free_chunks(log->spare);
  *log = (struct hg_fact_log){0};
}

static struct hg_fact_chunk *add_chunk(struct hg_fact_log *log) {
  struct hg_fact_chunk *chunk = log->spare;
  if (chunk) log->spare = chunk->next;
  else if (!(chunk = malloc(sizeof *chunk))) return NULL;
  chunk->next = NULL;
  chunk->count = chunk->size = 0;
  if (log->last) log->last->next = chunk;
  else log->first = chunk;
  log->last = chunk;
  return chunk;
}

static size_t encode(struct hg_fact_chunk *chunk, const struct hg_message *event) {
  return chunk ? hg_frame_encode(event, chunk->bytes + chunk->size, sizeof chunk->bytes - chunk->size) : 0;
}

void hg_fact_log_append(struct hg_fact_log *log, int64_t at, uint32_t budget, struct hg_message *event) {
  uint64_t *newest = &log->topic_last[event->kind - HG_EVENT_FIRST];
  event->as.head = (struct hg_event_head){.seq = ++log->seq, .prev = *newest, .at = at, .budget = budget};
  *newest = log->seq;
  struct hg_fact_chunk *chunk = log->last;
  size_t size = encode(chunk, event);
  if (size == 0) {
    chunk = add_chunk(log);
    if (!chunk) {
      log->failed = true;
      return;
    }
    size = encode(chunk, event);
    assert(size && "every event fits into an empty chunk");
  }
  chunk->last = log->seq;
  chunk->count++;
  chunk->size += (uint32_t)size;
  log->backlog += size;
}

static void send_first(struct hg_fact_log *log, struct hg_outbox *out) {
  struct hg_fact_chunk *chunk = log->first;
  struct hg_message facts;
  hg_message_init(&facts, HG_FACTS);
  facts.as.facts.last = chunk->last;
  facts.as.facts.count = chunk->count;
  facts.as.facts.events = (struct hg_bytes){chunk->bytes, chunk->size};
  hg_outbox_put(out, HG_PORT_FACTS, 0, &facts);
  log->sent[(log->sent_first + log->sent_count++) % HG_FACTS_WINDOW] = chunk->last;
  log->backlog -= chunk->size;
  log->first = chunk->next;
  if (!log->first) log->last = NULL;
  chunk->next = log->spare;
  log->spare = chunk;
}

void hg_fact_log_send(struct hg_fact_log *log, struct hg_outbox *out) {
  if (log->failed) out->failed = true;
  while (!log->failed && log->first && log->sent_count < HG_FACTS_WINDOW)
    send_first(log, out);
}

void hg_fact_log_committed(struct hg_fact_log *log, uint64_t seq) {
  assert(seq <= log->seq);
  if (seq > log->durable) log->durable = seq;
  while (log->sent_count && log->sent[log->sent_first] <= seq) {
    log->sent_first = (log->sent_first + 1) % HG_FACTS_WINDOW;
    log->sent_count--;
  }
}

bool hg_fact_log_is_full(const struct hg_fact_log *log) {
  return log->backlog > HG_FACTS_BACKLOG_BYTES;
}
