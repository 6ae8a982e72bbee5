/* exchange.h: one request and its answer, from the first header to the last byte; and what the exchanges share. */
#ifndef LLM_SIM_EXCHANGE_H
#define LLM_SIM_EXCHANGE_H

#include "attempts.h"
#include "call.h"
#include "options.h"
#include "plan.h"
#include "stats.h"
#include "text.h"

#include <stdio.h>

enum { EXCHANGE_URL_BYTES_MAX = 128, EXCHANGE_KEEP_BYTES = 16 * 1024 };

/* RECEIVING -> WAITING (until its latency has passed) -> ANSWERING; one that waits for nothing skips WAITING. */
enum exchange_state { EXCHANGE_RECEIVING, EXCHANGE_WAITING, EXCHANGE_ANSWERING };

struct exchange {
  struct exchange *next_free;
  void *connection;
  enum exchange_state state;
  bool is_admin; /* /healthz, /stats, /reset: counted nowhere */
  bool too_large;
  bool reader_gone; /* nobody was there when the answer began */
  char url[EXCHANGE_URL_BYTES_MAX];
  enum endpoint endpoint;
  enum question question;
  struct text body, answer;
  struct call call; /* points into body */
  struct plan plan;
  uint64_t tokens; /* that were generated; 0 before the answer begins */
};

/* The headers that decide whether a request may come in. */
struct credentials {
  const char *authorization, *api_key, *anthropic_version;
};

struct simulation {
  const struct options *options;
  struct stats stats;
  struct attempts attempts;
  FILE *log; /* NULL without --log */
};

/* The whole request is here: decides what becomes of it and counts it in flight. */
void exchange_judge(struct exchange *exchange, struct simulation *sim, const char *method, struct credentials headers);
/* Its latency has passed: the provider has done the work, bills it and writes the answer. */
void exchange_begin_answer(struct exchange *exchange, struct simulation *sim);
/* The answer has left, whole or not. An exchange that ends while it waits was given up at shutdown. */
void exchange_end(struct exchange *exchange, struct simulation *sim, bool sent_whole);
/* Makes it ready for another request. */
void exchange_reset(struct exchange *exchange);

#endif
