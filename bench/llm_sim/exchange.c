/* exchange.c: the life of a request, without HTTP: judged, answered, counted, logged. */
#include "exchange.h"
#include "answer.h"
#include "hash.h"

#include <inttypes.h>
#include <string.h>
#include <time.h>

/* --------------------------------------------------------------------------------------------- judging */

static struct refusal refuse(unsigned status, const char *message) {
  return (struct refusal){.status = status, .message = message};
}

static bool has_key(const char *key, enum endpoint endpoint, struct credentials headers) {
  static const char bearer[] = "Bearer ";
  if (!key) return true;
  if (endpoint == ENDPOINT_MESSAGES && headers.api_key && strcmp(headers.api_key, key) == 0) return true;
  return headers.authorization && strncmp(headers.authorization, bearer, sizeof bearer - 1) == 0 &&
         strcmp(headers.authorization + sizeof bearer - 1, key) == 0;
}

/* What is wrong with the request whatever its body says. */
static struct refusal check_envelope(const struct exchange *exchange, const struct options *options, const char *method,
                                     struct credentials headers) {
  const bool unknown = exchange->question != QUESTION_CALL && options->no_counts;
  if (exchange->endpoint == ENDPOINT_NONE || unknown) return refuse(404, "Unknown request URL.");
  if (strcmp(method, "POST") != 0) return refuse(405, NULL);
  if (exchange->too_large) return refuse(413, NULL);
  if (!has_key(options->require_key, exchange->endpoint, headers)) return refuse(401, NULL);
  if (options->always_status) return refuse((unsigned)options->always_status, NULL);
  if (exchange->endpoint == ENDPOINT_MESSAGES && !headers.anthropic_version)
    return refuse(400, "anthropic-version: header is required");
  return refuse(0, NULL);
}

/* Not an attempt of a call, and nothing that is billed. */
static struct plan judge_count(struct exchange *exchange, struct simulation *sim, struct refusal refusal) {
  const struct text *const body = &exchange->body;
  const uint64_t hash = hash_bytes((uint64_t)exchange->endpoint + 1, body->data, body->length);
  if (refusal.status == 0)
    refusal = call_parse_count(&exchange->call, &exchange->endpoint, exchange->question, body->data, body->length);
  return refusal.status != 0 ? plan_refusal(refusal, hash, 0) : plan_count(&exchange->call, hash, sim->options);
}

static struct plan judge(struct exchange *exchange, struct simulation *sim, const char *method,
                         struct credentials headers) {
  const struct text *const body = &exchange->body;
  const uint64_t hash = hash_bytes((uint64_t)exchange->endpoint + 1, body->data, body->length);
  struct refusal refusal = check_envelope(exchange, sim->options, method, headers);
  if (exchange->question != QUESTION_CALL) return judge_count(exchange, sim, refusal);
  if (refusal.status == 0) refusal = call_parse(&exchange->call, exchange->endpoint, body->data, body->length);
  if (refusal.status != 0 && refusal.status != sim->options->always_status) return plan_refusal(refusal, hash, 0);
  const uint32_t attempt = attempts_next(&sim->attempts, hash);
  if (attempt == 0) sim->stats.untracked++;
  if (refusal.status != 0) return plan_refusal(refusal, hash, attempt);
  return plan_call(&exchange->call, hash, attempt ? attempt : 1, sim->options);
}

void exchange_judge(struct exchange *exchange, struct simulation *sim, const char *method, struct credentials headers) {
  struct stats *const stats = &sim->stats;
  stats->requests++;
  stats->in_flight++;
  if (stats->in_flight > stats->max_in_flight) stats->max_in_flight = stats->in_flight;
  exchange->plan = judge(exchange, sim, method, headers);
}

/* ------------------------------------------------------------------------------------------- answering */

static uint64_t tokens_of(const struct plan *plan) {
  return plan->input_tokens + plan->output_tokens;
}

void exchange_begin_answer(struct exchange *exchange, struct simulation *sim) {
  const struct plan *const plan = &exchange->plan;
  exchange->state = EXCHANGE_ANSWERING;
  if (plan->outcome == OUTCOME_COUNTED) {
    answer_count(&exchange->answer, exchange->question, exchange->endpoint, plan);
  } else if (plan_is_billed(plan)) {
    exchange->tokens = tokens_of(plan);
    sim->stats.tokens += exchange->tokens;
    answer_write(&exchange->answer, &exchange->call, plan, sim->options->text_bytes_max);
  } else {
    answer_error(&exchange->answer, exchange->endpoint, plan, sim->options->quota);
  }
}

static void count_whole(const struct exchange *exchange, struct simulation *sim) {
  sim->stats.answered++;
  sim->stats.tokens_delivered += tokens_of(&exchange->plan);
  sim->stats.no_usage += exchange->plan.outcome == OUTCOME_NO_USAGE;
  sim->stats.duplicates += attempts_answered(&sim->attempts, exchange->plan.hash);
}

static void count(const struct exchange *exchange, struct simulation *sim) {
  struct stats *const stats = &sim->stats;
  switch (exchange->plan.outcome) {
  case OUTCOME_OK:
  case OUTCOME_NO_USAGE: count_whole(exchange, sim); break;
  case OUTCOME_CUT: stats->cut_off++; break;
  case OUTCOME_MALFORMED: stats->malformed++; break;
  case OUTCOME_STREAM_ERROR: stats->stream_errors++; break;
  case OUTCOME_429: stats->rejected_429++; break;
  case OUTCOME_500: stats->failed_500++; break;
  case OUTCOME_4XX:
    if (exchange->plan.refusal.status == 401) stats->unauthorized++;
    else stats->bad_requests++;
    break;
  case OUTCOME_ABANDONED: stats->abandoned++; break;
  case OUTCOME_COUNTED: stats->counted++; break;
  }
}

static void log_line(const struct exchange *exchange, FILE *log) {
  const struct plan *const plan = &exchange->plan;
  struct timespec now;
  clock_gettime(CLOCK_REALTIME, &now);
  struct text url = {0};
  text_escaped(&url, exchange->url);
  fprintf(log,
          "{\"time_us\":%" PRId64 ",\"body\":\"%016" PRIx64 "\",\"url\":\"%.*s\",\"status\":%u,\"input\":%" PRIu64
          ",\"output\":%" PRIu64 ",\"tokens\":%" PRIu64 ",\"attempt\":%" PRIu32
          ",\"user\":\"%.*s\",\"outcome\":\"%s\"}\n",
          (int64_t)now.tv_sec * 1000000 + now.tv_nsec / 1000, plan->hash, (int)url.length, url.data ? url.data : "",
          plan->refusal.status, plan->input_tokens, plan->output_tokens, exchange->tokens, plan->attempt,
          (int)exchange->call.user_length, exchange->call.user ? exchange->call.user : "", outcome_name(plan->outcome));
  text_free(&url);
}

void exchange_end(struct exchange *exchange, struct simulation *sim, bool sent_whole) {
  struct plan *const plan = &exchange->plan;
  const bool was_whole = plan->outcome == OUTCOME_OK || plan->outcome == OUTCOME_NO_USAGE;
  const bool never_begun = exchange->state != EXCHANGE_ANSWERING;
  if (never_begun || (was_whole && (!sent_whole || exchange->reader_gone))) plan->outcome = OUTCOME_ABANDONED;
  sim->stats.in_flight--;
  count(exchange, sim);
  if (sim->log) log_line(exchange, sim->log);
}

void exchange_reset(struct exchange *exchange) {
  struct text body = exchange->body, answer = exchange->answer;
  text_reset(&body, EXCHANGE_KEEP_BYTES);
  text_reset(&answer, EXCHANGE_KEEP_BYTES);
  *exchange = (struct exchange){.body = body, .answer = answer};
}
