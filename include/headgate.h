/* headgate.h: keeps parallel LLM work inside a hard token budget. This header is the manual.
 *
 * A runtime owns a ledger file and a few threads. Clients of the runtime record what was used, or acquire a permit (a
 * concurrency slot and a reservation of tokens) before they start work and settle it with what the work really used.
 *
 *     hg_runtime *rt; hg_error why = HG_ERROR_INIT;
 *     if (hg_open("devs.config.json", &rt, &why) != HG_OK) { fprintf(stderr, "%s\n", why.text); return 1; }
 *     hg_client *client;
 *     if (hg_client_new(rt, &client) != HG_OK) return 1;
 *
 *     hg_request want = HG_REQUEST_INIT;             // a call that may use up to 1,500 tokens
 *     want.task_id = "summary-17"; want.min_tokens = want.max_tokens = 1500;
 *     hg_grant grant = HG_GRANT_INIT;
 *     if (hg_acquire(client, &want, &grant, 60000) == HG_OK) {
 *       hg_usage_report used = HG_USAGE_REPORT_INIT;
 *       used.tokens = call_the_model();              // your work
 *       if (hg_settle(client, grant.permit, &used, 5000) != HG_OK) return 1;
 *     }
 *     hg_client_destroy(&client);
 *     hg_close(&rt, 5000);
 *
 * Conventions, true of every call unless it says otherwise:
 * - Tokens are int64_t from 0 to HG_TOKENS_MAX. Where a ledger counts money (hg_unit), whatever is called `tokens` of a budget
 *   is an amount of nano-dollars. Times are milliseconds for time-outs (0 = do not wait, negative = wait
 *   without end) and microseconds since 1970-01-01 UTC for moments.
 * - A call returns HG_OK (0) or an hg_err; hg_err_text() has a sentence for each. Out-parameters come last and are
 *   written only on HG_OK, but for hg_error, which is written on failure.
 * - Structs passed by pointer begin with `size`; set them with their HG_..._INIT so that they can grow.
 * - Strings are UTF-8, ended by a NUL, copied by the call. Strings inside results point into the result or are valid as
 *   long as is said there.
 * - A runtime may be used by any thread. A client or a subscriber may be used from any thread, by one at a time.
 * - After hg_close, calls answer HG_ERR_CLOSED; in a forked child HG_ERR_FORKED. The library's threads block all signals.
 * - HG_ERR_STORE from any call of a client: the ledger can't be written any more in this runtime. What the call was to
 *   change may have been stored or not: close, mend the disk, open again and look. A disk that is only full makes calls
 *   wait, up to their time-outs.
 * - What is acknowledged is on disk: an answer leaves the runtime only after the transaction that holds it was synced. */
#ifndef HEADGATE_H
#define HEADGATE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

#if defined(__GNUC__)
#define HG_API __attribute__((visibility("default")))
#define HG_CHECKED __attribute__((visibility("default"), warn_unused_result))
#else
#define HG_API
#define HG_CHECKED
#endif

#ifdef __cplusplus
#define HG_CAST(type, value) static_cast<type>(value)
#else
#define HG_CAST(type, value) ((type)(value))
#endif
#define HG_SIZE(type) HG_CAST(uint32_t, sizeof(type))

/* The greatest number of tokens of one command and of every total: 2^53 - 1, the greatest integer that every JSON
 * reader keeps exactly. */
#define HG_TOKENS_MAX INT64_C(9007199254740991)
/* Bytes, without the NUL. */
#define HG_TASK_ID_MAX 128
#define HG_BUDGET_NAME_MAX 64
#define HG_ERROR_TEXT_MAX 511

/* ---------------------------------------------------------------------------------------------- errors */

/* All codes with their meaning are in schemas/errors.def; the numbers never change. */
typedef enum hg_err {
  HG_OK = 0,
  HG_ERR_INVALID = 1,
  HG_ERR_CONFIG = 2,
  HG_ERR_NO_MEMORY = 3,
  HG_ERR_SYSTEM = 4,
  HG_ERR_STORE = 5,
  HG_ERR_LEDGER_IN_USE = 6,
  HG_ERR_LEDGER_FOREIGN = 7,
  HG_ERR_BUSY = 8,
  HG_ERR_TIMEOUT = 9,
  HG_ERR_CANCELLED = 10,
  HG_ERR_CLOSED = 11,
  HG_ERR_FORKED = 12,
  HG_ERR_UNKNOWN_BUDGET = 13,
  HG_ERR_BUDGET_EXHAUSTED = 14,
  HG_ERR_RANGE = 15,
  HG_ERR_UNKNOWN_PERMIT = 16,
  HG_ERR_CONFLICT = 17,
  HG_ERR_SEQUENCE = 18,
  HG_ERR_WOULD_DEADLOCK = 19,
  HG_ERR_PROTOCOL = 20,
  HG_ERR_NO_USAGE = 21,
  HG_ERR_NO_RUNTIME = 22,
  HG_ERR_EMPTY = 23,
  HG_ERR_STILL_OPEN = 24
} hg_err;

/* A failure in words: what was wrong, where, and what to do. */
typedef struct hg_error {
  uint32_t size;
  hg_err code;
  char text[HG_ERROR_TEXT_MAX + 1];
} hg_error;
#define HG_ERROR_INIT {HG_SIZE(hg_error), HG_OK, ""}

/* The name ("HG_ERR_BUSY") and the sentence of a code; for an unknown code "HG_ERR_?" and "unknown error". Static. */
HG_API const char *hg_err_name(hg_err code);
HG_API const char *hg_err_text(hg_err code);

/* "0.1.0". Static. */
HG_API const char *hg_version(void);

/* --------------------------------------------------------------------------------------------- runtime */

typedef struct hg_runtime hg_runtime;
typedef struct hg_client hg_client;
typedef struct hg_subscriber hg_subscriber;

/* Reads the configuration file (docs/configuration.md), opens or creates its ledger, treats what the last run left open
 * (see `orphanedReservations`) and starts the actors. `why` may be NULL. The runtime is the caller's: hg_close.
 *
 * Where a runtime lives on that ledger already, in another process or this one, this becomes its guest: all calls work
 * as they do there, permits come out of the same budgets, and budgets, limits, policies and the concurrency are those of
 * the other. What a guest holds when its process dies is an orphan after 30 seconds. When the other runtime ends, every
 * call answers HG_ERR_STORE: close, and open again. A guest has no lasting names (hg_client_new_named answers
 * HG_ERR_LEDGER_IN_USE), at most 4,096 of its acquires wait (then HG_ERR_BUSY), and HG_ERR_WOULD_DEADLOCK is not told.
 *
 * $XDG_RUNTIME_DIR is read: there the sockets are, in this runtime and in others, when the ledger's path is too long for
 * sockets beside it (about 90 bytes). Programs that share such a ledger need the same value.
 *
 * Errors: HG_ERR_CONFIG (file, line, column and field in the text), HG_ERR_LEDGER_IN_USE (somebody holds it who takes no
 * guests), HG_ERR_LEDGER_FOREIGN, HG_ERR_STORE, HG_ERR_SYSTEM, HG_ERR_NO_MEMORY. */
HG_CHECKED hg_err hg_open(const char *config_path, hg_runtime **out, hg_error *why);

/* The same from JSON text of `len` bytes; relative paths are relative to `base_dir` (NULL: the working directory). */
HG_CHECKED hg_err hg_open_json(const char *json, size_t len, const char *base_dir, hg_runtime **out, hg_error *why);

/* Stops admission, lets open permits settle for up to `timeout_ms`, makes all that was accepted durable, stops and joins
 * the actors, frees the runtime and sets *rt to NULL (a NULL is fine). Permits still open become orphans of the ledger.
 * HG_OK says that everything accepted is durable; HG_ERR_STORE that something may not be; HG_ERR_NO_MEMORY that the
 * runtime had found no memory and ended by itself (calls answered HG_ERR_CLOSED from then on), and that what it had
 * acknowledged is durable. Clients and subscribers stay
 * valid, answer HG_ERR_CLOSED, and must still be destroyed by their owners. */
HG_API hg_err hg_close(hg_runtime **rt, int timeout_ms);

/* One of the things that are counted since the runtime opened: frames refused, answers that met nobody, late settles,
 * commits and more (headgate describe --counters). */
typedef struct hg_counter {
  uint32_t size;
  const char *name; /* "late_settles". Static, as the next two */
  const char *unit; /* "permits" */
  const char *doc;  /* what one more of it means */
  uint64_t value;
} hg_counter;
#define HG_COUNTER_INIT {HG_SIZE(hg_counter), NULL, NULL, NULL, 0}

/* The counter at `index`, from 0; HG_ERR_EMPTY past the last. Asks every actor, each of which answers between two turns,
 * so it is for people and monitors, not for hot paths. May be called by several threads at once; one that is under way
 * delays hg_close, and none may begin after it. HG_ERR_TIMEOUT: an actor did not answer in time, as while it waits for a
 * slow disk. HG_ERR_CLOSED: an actor has ended. */
HG_CHECKED hg_err hg_read_counter(hg_runtime *rt, unsigned index, hg_counter *out, int timeout_ms);

/* --------------------------------------------------------------------------------------------- clients */

/* Makes a client of the runtime. Cheap enough for one a thread, too dear for one a call. Errors: HG_ERR_CLOSED,
 * HG_ERR_BUSY (4,096 clients live), HG_ERR_SYSTEM (no descriptors left), HG_ERR_NO_MEMORY. Must not race with hg_close. */
HG_CHECKED hg_err hg_client_new(hg_runtime *rt, hg_client **out);

/* The same under a lasting name (1 to 64 bytes), for a reporter that must know after a crash what was counted. Its records,
 * corrections and limits are numbered from 1 in the order of their calls, over the whole life of the ledger; the ticket of
 * one is HG_TICKET_OF_NUMBER(number). *last is the newest number that was decided and is durable: what the caller sent
 * after it never arrived and has to be sent again, what it sent before must not be. HG_ERR_CONFLICT: another client has the
 * name now (told after half a second, in which one that was just destroyed gives it back). HG_ERR_BUSY: 65,536 names are known. */
HG_CHECKED hg_err hg_client_new_named(hg_runtime *rt, const char *name, hg_client **out, uint64_t *last, int timeout_ms);
#ifdef __cplusplus
#define HG_TICKET_OF_NUMBER(number) (hg_ticket{(number) | UINT64_C(1) << 63})
#else
#define HG_TICKET_OF_NUMBER(number) ((hg_ticket){(number) | UINT64_C(1) << 63})
#endif

/* Gives back the client; what it has started is carried out, then its waiting requests are cancelled and its open permits
 * become orphans. Does not wait for any of it. Sets *client to NULL. */
HG_API void hg_client_destroy(hg_client **client);

/* A permit: the right to run one task now and to use some tokens. Unique over the ledger's life. */
typedef struct hg_permit {
  uint64_t id;
} hg_permit;

/* Names an asynchronous command; its completion carries the same ticket. */
typedef struct hg_ticket {
  uint64_t id;
} hg_ticket;

/* Where a figure of usage comes from. */
typedef enum hg_source {
  HG_SOURCE_EXACT = 0,     /* the provider said so */
  HG_SOURCE_ESTIMATED = 1, /* the provider said nothing; the worst case was charged */
  HG_SOURCE_MISSING = 2    /* not known: a settle is charged its whole reservation as estimated, or `tokens` where that is
                              more, as what is known at least; a record is refused with HG_ERR_NO_USAGE */
} hg_source;

/* What the amounts of a ledger count: `tokens` of a request, a report, a grant, a limit, and every sum of them. Of the
 * configuration: tokenBudget has hardLimitTokens, or hardLimitUsd. A ledger keeps its unit. */
typedef enum hg_unit {
  HG_UNIT_TOKENS = 0,
  HG_UNIT_NANODOLLARS = 1 /* 10^-9 US dollars: HG_TOKENS_MAX is about 9 million dollars */
} hg_unit;

/* What was used. Only `tokens` counts for budgets; the parts are kept beside it in the journal. A part that is not known
 * is HG_UNKNOWN. */
#define HG_UNKNOWN INT64_C(-1)
/* How a task ended, told with its settle or release. */
typedef enum hg_outcome {
  HG_OUTCOME_DONE = 0,   /* TASK_FINISHED */
  HG_OUTCOME_FAILED = 1, /* TASK_FAILED with `reason` */
  HG_OUTCOME_RETRY = 2   /* the task will ask again: neither */
} hg_outcome;

typedef struct hg_usage_report {
  uint32_t size;
  int64_t tokens;          /* the total, 0 to HG_TOKENS_MAX, in `unit` */
  const char *task_id;     /* records only: whose tokens; at most HG_TASK_ID_MAX bytes; NULL: none */
  const char *budget;      /* records only: NULL is "default" */
  int64_t input_tokens;    /* all input, cached input included */
  int64_t cached_tokens;   /* part of the input, read from a cache */
  int64_t cache_write_tokens;
  int64_t output_tokens;   /* all output, reasoning included */
  int64_t reasoning_tokens;
  hg_source source;
  uint32_t attempt;        /* 1 for the first try; 0: not said */
  const char *model;       /* at most 128 bytes; NULL: not said */
  const char *response_id; /* at most 128 bytes; NULL: not said */
  hg_outcome outcome;      /* settles only */
  const char *reason;      /* settles only: why it failed or went over; at most 512 bytes; NULL: none */
  const char *usage_id;    /* records only: a key of the caller's own, 1 to 128 bytes; NULL: none; "" is HG_ERR_INVALID. Kept with
                              the ledger: the same key with the same content counts once, whoever sends it and whenever, and
                              is answered as the first time; with other content it is HG_ERR_CONFLICT. Costs one look into
                              the ledger */
  hg_unit unit;            /* of `tokens`, and no other than the ledger's: HG_ERR_INVALID, so that a count of tokens is never
                              taken for money. Not looked at where the source is missing */
  bool cache_doubtful;     /* what is said of the cache can't be (negative, or more than the input): those parts are unknown,
                              and all input is priced at the dearest that it can be */
} hg_usage_report;
#define HG_USAGE_REPORT_INIT                                                                                           \
  {HG_SIZE(hg_usage_report), 0, NULL, NULL, HG_UNKNOWN, HG_UNKNOWN, HG_UNKNOWN, HG_UNKNOWN, HG_UNKNOWN,                \
   HG_SOURCE_EXACT, 0, NULL, NULL, HG_OUTCOME_DONE, NULL, NULL, HG_UNIT_TOKENS, false}

/* A wish for a permit. Granted as soon as a slot is free and `min_tokens` are available; the grant is at most
 * `max_tokens`. Requests of one budget are granted in the order of their arrival. */
typedef struct hg_request {
  uint32_t size;
  const char *task_id;  /* at most HG_TASK_ID_MAX bytes; NULL: none */
  const char *budget;   /* NULL is "default" */
  int64_t min_tokens;   /* the least that the work can be done with, 1 to HG_TOKENS_MAX */
  int64_t max_tokens;   /* the most that it may use, min_tokens to HG_TOKENS_MAX */
  uint32_t attempt;     /* 1 for the first try of the task; 0 is taken as 1 */
  bool first_in_line;   /* a retry: queue before all that wait */
  hg_permit parent;     /* nested work runs in the slot of this open permit, {0}: none. The slot is free when all
                           permits that run in it have ended, in whatever order */
  bool from_parent;     /* its tokens come out of the parent's reservation, which must be of the same budget: it never waits,
                           HG_ERR_BUDGET_EXHAUSTED says what the parent has left. What it does not use goes back to the
                           parent, or to the budget when the parent has ended */
  uint32_t lease_ms;    /* the permit must be renewed (hg_renew) this long after its grant and after each renewal, or it becomes
                           an orphan and its slot is free; 100 to 604,800,000 (a week), 0: it need not */
  bool no_wait;         /* HG_ERR_TIMEOUT when its turn has come and its budget has too little free, instead of waiting for
                           that; a slot is waited for all the same */
} hg_request;
#define HG_REQUEST_INIT {HG_SIZE(hg_request), NULL, NULL, 0, 0, 0, false, {0}, false, 0, false}

typedef struct hg_grant {
  uint32_t size;
  hg_permit permit;
  int64_t tokens; /* reserved: from min_tokens to max_tokens */
} hg_grant;
#define HG_GRANT_INIT {HG_SIZE(hg_grant), {0}, 0}

/* The figures of one budget, all of the same committed moment. */
typedef struct hg_usage {
  uint32_t size;
  char budget[HG_BUDGET_NAME_MAX + 1];
  int64_t used;                   /* settled for good */
  int64_t reserved;               /* promised to open permits */
  int64_t hard_limit;
  int64_t remaining;              /* hard_limit - used; may be negative */
  int64_t available;              /* hard_limit - used - reserved; may be negative */
  uint32_t usage_percent_hundredths; /* used / hard_limit, rounded half up to 2 decimals: 9050 is 90.50 % */
  uint32_t throttle_percent;
  bool should_throttle;           /* the percent that is compared is at or over throttle_percent */
  bool throttled;                 /* the latch: set by a crossing, cleared below the clear point */
  uint32_t open_permits;
  uint64_t seq;                   /* the newest journal row that these figures contain */
  /* The forecast, from what was used lately. A caller whose hg_usage ends before it is served too. */
  int64_t tokens_per_minute;      /* 0: none were used lately, or it is too early to say */
  int64_t threshold_in_ms;        /* until throttle_percent at this rate; HG_UNKNOWN: never, or it is too early to say */
  int64_t limit_in_ms;            /* until the limit; HG_UNKNOWN: as above */
  int64_t task_tokens;            /* what a task uses on average; 0: none has ended yet */
  hg_unit unit;                   /* of every amount */
} hg_usage;
#define HG_USAGE_INIT                                                                                                  \
  {HG_SIZE(hg_usage), "", 0, 0, 0, 0, 0, 0, 0, false, false, 0, 0, 0, HG_UNKNOWN, HG_UNKNOWN, 0, HG_UNIT_TOKENS}

/* The queue in figures. */
typedef struct hg_queue {
  uint32_t size;
  uint32_t max_concurrency;
  uint32_t effective_concurrency; /* what may run at once now: at most max_concurrency, at least 1 */
  uint32_t running;
  uint32_t waiting;
  char waits_for[HG_BUDGET_NAME_MAX + 1]; /* the budget that the first in line waits for; "": a slot or nothing */
  int64_t needed;                 /* what the first in line asks for at least; 0 when nobody waits */
  bool throttled;                 /* the first in line waits for a throttle, not for tokens */
} hg_queue;
#define HG_QUEUE_INIT {HG_SIZE(hg_queue), 0, 0, 0, 0, "", 0, false}

/* The tasks that wait in one budget, all of them for the same thing. */
typedef struct hg_waiting {
  uint32_t size;
  char budget[HG_BUDGET_NAME_MAX + 1];    /* theirs */
  uint32_t count;
  char waits_for[HG_BUDGET_NAME_MAX + 1]; /* the budget of their path that is short; "": a slot, or their turn */
  bool throttled;                         /* it is its throttle that they wait for, not tokens */
  int64_t needed;                         /* what the first of them asks for at least */
  char task_id[HG_TASK_ID_MAX + 1];       /* the first of them */
} hg_waiting;
#define HG_WAITING_INIT {HG_SIZE(hg_waiting), "", 0, "", false, 0, ""}

/* A reservation that was open when a process or client went away. */
typedef struct hg_orphan {
  uint32_t size;
  hg_permit permit;
  char budget[HG_BUDGET_NAME_MAX + 1];
  char task_id[HG_TASK_ID_MAX + 1];
  int64_t tokens; /* the reservation */
  int64_t charged; /* of it counts as used until it is settled: all of it, or nothing */
  bool kept;       /* still reserved */
  bool at_opening; /* became an orphan when this runtime opened the ledger: its process had died. Not one of older times */
} hg_orphan;
#define HG_ORPHAN_INIT {HG_SIZE(hg_orphan), {0}, "", "", 0, 0, false, false}

/* What became of an asynchronous command. */
typedef enum hg_completion_kind {
  HG_COMPLETED_RECORD = 1, /* hg_record_usage_start: durable (HG_OK) or refused */
  HG_COMPLETED_ACQUIRE,    /* hg_acquire_start: granted (HG_OK) or refused */
  HG_COMPLETED_SETTLE,     /* hg_settle_start, hg_release_start: durable (HG_OK) or refused */
  HG_COMPLETED_RUN,        /* hg_run: the function has returned and its usage is durable, or it never ran */
  HG_COMPLETED_RENEWAL     /* hg_renew_start: the lease has begun anew (HG_OK) or the permit is not open any more */
} hg_completion_kind;

typedef struct hg_completion {
  uint32_t size;
  hg_completion_kind kind;
  hg_ticket ticket;
  hg_err err;
  hg_permit permit; /* acquire, settle, run, renewal */
  int64_t tokens;   /* acquire: granted; HG_ERR_BUDGET_EXHAUSTED: what is left; run: what was used */
  const char *budget; /* acquire, HG_ERR_BUDGET_EXHAUSTED: the budget that is short: of the one that was asked for and those
                         above it, the one with the least left. Valid as long as the client; NULL otherwise */
} hg_completion;
#define HG_COMPLETION_INIT {HG_SIZE(hg_completion), HG_CAST(hg_completion_kind, 0), {0}, HG_OK, {0}, 0, NULL}

/* Asynchronous first. A `_start` call never blocks: it queues the command and gives a ticket, whose completion comes out
 * of hg_client_next. HG_ERR_BUSY: too many commands are unanswered; take completions first. Commands of one client are
 * carried out in the order they were started, settles apart from records. */
HG_CHECKED hg_err hg_record_usage_start(hg_client *, const hg_usage_report *, hg_ticket *out);
HG_CHECKED hg_err hg_acquire_start(hg_client *, const hg_request *, hg_ticket *out);
/* What the settle reports replaces the reservation: used += tokens, reserved -= reservation. Idempotent by permit, across
 * restarts too, for as long as the ledger keeps it (ledger.keepDays): the same settle again is HG_OK, a different one
 * HG_ERR_CONFLICT (but for an orphan, whose guess it replaces once); HG_ERR_UNKNOWN_PERMIT later.
 * HG_ERR_BUSY: too many ends of long ago are being looked up, say it again. Any client of the runtime may settle a permit,
 * not only the one that acquired it. */
HG_CHECKED hg_err hg_settle_start(hg_client *, hg_permit, const hg_usage_report *, hg_ticket *out);
/* The task used nothing: its reservation is free again. `reason` may be NULL. */
HG_CHECKED hg_err hg_release_start(hg_client *, hg_permit, hg_outcome, const char *reason, hg_ticket *out);
/* Begins the lease of a permit anew. HG_ERR_UNKNOWN_PERMIT: it has ended, perhaps because its lease had: what the work used
 * is then still to be settled, and takes the place of the orphan's guess. HG_OK for a permit without a lease. */
HG_CHECKED hg_err hg_renew_start(hg_client *, hg_permit, hg_ticket *out);
/* The next completion; waits up to `timeout_ms` for it. HG_ERR_TIMEOUT: none came. */
HG_CHECKED hg_err hg_client_next(hg_client *, hg_completion *out, int timeout_ms);
/* A descriptor that is readable while completions wait: for poll, epoll, asyncio, libuv. Owned by the client; take
 * completions with hg_client_next(…, 0) until HG_ERR_TIMEOUT whenever it is readable. -1: the client is NULL. */
HG_API int hg_client_fd(hg_client *);
/* Gives up a waiting acquire. Its completion comes all the same: HG_ERR_CANCELLED, or the grant when that was faster. */
HG_CHECKED hg_err hg_cancel(hg_client *, hg_ticket);

/* The same, waiting. HG_ERR_TIMEOUT on an acquire gives back a grant that comes later; on a record or settle it means:
 * outcome not known yet, the command stands. Every answer takes a round trip, and what changes something a commit: a
 * time-out of 0 gives an acquire one try (its answer may take a fifth of a second on a busy disk), and any other call no
 * time at all. */
HG_CHECKED hg_err hg_record_usage(hg_client *, const hg_usage_report *, int timeout_ms);
/* A client that waits here settles nothing meanwhile. When all open permits are held by clients that wait here themselves,
 * this one among them, neither a slot nor tokens can come free: HG_ERR_WOULD_DEADLOCK, at once, or when the last of the
 * others ends. It is told to the newest of those requests, which had better settle what it holds. Work inside work names
 * its parent, whose slot it uses, and takes its tokens out of the parent's reservation (`from_parent`): so it never has to
 * wait. Where another client settles the permits of this one, ask with hg_acquire_start: such a request never counts as
 * waiting, nor does a time-out of 0. */
HG_CHECKED hg_err hg_acquire(hg_client *, const hg_request *, hg_grant *out, int timeout_ms);
HG_CHECKED hg_err hg_settle(hg_client *, hg_permit, const hg_usage_report *, int timeout_ms);
HG_CHECKED hg_err hg_release(hg_client *, hg_permit, hg_outcome, const char *reason, int timeout_ms);
HG_CHECKED hg_err hg_renew(hg_client *, hg_permit, int timeout_ms);
/* Waits until every record and settle started on this client is durable. HG_ERR_STORE: of some it is not known. */
HG_CHECKED hg_err hg_flush(hg_client *, int timeout_ms);
/* The figures of a budget (NULL: "default"), after everything this client has recorded. */
HG_CHECKED hg_err hg_get_usage(hg_client *, const char *budget, hg_usage *out, int timeout_ms);
HG_CHECKED hg_err hg_get_queue(hg_client *, hg_queue *out, int timeout_ms);
/* Who waits and for what, a budget at a time: *next is 0 at first and is moved on by each call. HG_ERR_EMPTY: no more. */
HG_CHECKED hg_err hg_next_waiting(hg_client *, uint32_t *next, hg_waiting *out, int timeout_ms);
/* Adds `tokens` (negative: gives back) to what a budget has used, as a compensating journal row with the reason `why`. */
HG_CHECKED hg_err hg_correct(hg_client *, const char *budget, int64_t tokens, const char *why, int timeout_ms);
/* The same with a usage id (see hg_usage_report), so that it may be asked again after an unknown outcome. NULL and "" are
 * HG_ERR_INVALID: they would count every time. */
HG_CHECKED hg_err hg_correct_once(hg_client *, const char *budget, int64_t tokens, const char *why, const char *usage_id,
                                  int timeout_ms);
/* How many tasks may run at once, 1 to 65,536. Running tasks are never stopped. */
HG_CHECKED hg_err hg_set_max_concurrency(hg_client *, unsigned n, int timeout_ms);
/* A new hard limit, 1 to HG_TOKENS_MAX. Under what is used and reserved it stops starts and kills nothing; what waits and
 * now fits starts at once. */
HG_CHECKED hg_err hg_set_hard_limit(hg_client *, const char *budget, int64_t tokens, int timeout_ms);
/* The orphan with the smallest id over `after` ({0}: the first). HG_ERR_EMPTY: no more. */
HG_CHECKED hg_err hg_next_orphan(hg_client *, hg_permit after, hg_orphan *out, int timeout_ms);

/* A function to run under a permit, on the runtime's own worker threads. It gets the grant and its argument, and fills in
 * what it used (preset to the reservation, in the ledger's unit, flagged estimated; a missing source is charged as by
 * hg_settle). A result other than HG_OK says that it failed; its usage counts all the same; figures out of range are a failure
 * that used the whole reservation. It must not use the client that started it. */
typedef hg_err (*hg_function)(const hg_grant *grant, void *argument, hg_usage_report *used);
typedef struct hg_task {
  uint32_t size;
  hg_request request;
  hg_function function;
  void *argument; /* must stay valid until the completion; see hg_run */
} hg_task;
#define HG_TASK_INIT {HG_SIZE(hg_task), HG_REQUEST_INIT, NULL, NULL}
/* Queues the task; its completion (HG_COMPLETED_RUN) comes out of hg_client_next of this client. At most 256 functions run
 * at once. HG_ERR_SYSTEM: no worker thread can be started now. When the client is destroyed, what has not begun is taken
 * back and what runs goes on: `argument` must then stay valid until hg_close returns or the function has returned. */
HG_CHECKED hg_err hg_run(hg_client *, const hg_task *, hg_ticket *out);

/* Reads the usage out of a provider's answer (the JSON body of `len` bytes). The shape is recognised from the body:
 * - OpenAI chat completions, responses, completions, embeddings and transcriptions, and what is compatible with them: vLLM,
 *   Mistral, DeepSeek, Groq and others;
 * - Anthropic messages, Gemini (camelCase or snake_case), Bedrock Converse, Ollama (with "done": true, and embeddings);
 * - Cohere v1 and v2: what is billed, fractions rounded up; what is billed in searches or images is HG_ERR_NO_USAGE;
 * - OpenTelemetry's attributes (gen_ai.usage.input_tokens);
 * - the answer inside a line of a batch's results, OpenAI's (response.body) or Anthropic's (result.message).
 * Not a stream: of that the last event may not be there. Input includes what was read from and written to a cache, output
 * includes reasoning, whatever the provider adds up; a total that is stated stays when it is at least their sum.
 * Fills in tokens, the parts, source, and clears model and response_id (they would point into freed memory).
 * HG_ERR_NO_USAGE: none there, null, or a hostile value (negative, not whole, over 2^53 - 1, a text that is not all digits).
 * HG_ERR_PROTOCOL: not JSON, or nested deeper than 256 levels. In both cases `out` says HG_SOURCE_MISSING, so that an ignored
 * error is never an exact 0. HG_ERR_INVALID: a NULL, or a `size` that is too small. */
HG_CHECKED hg_err hg_usage_from_response(const char *body, size_t len, hg_usage_report *out);

/* Where the ledger counts money: what a call with at most so many tokens of input and of output can cost, by llm.prices of
 * this runtime's own configuration, whatever of the input is cached; at least 1. For min_tokens and max_tokens of a
 * request. Where it counts tokens: their sum. HG_ERR_CONFIG: the table has no price of `model` (NULL is ""). HG_ERR_RANGE:
 * counts or cost out of 0 to HG_TOKENS_MAX. */
HG_CHECKED hg_err hg_price_request(hg_runtime *rt, const char *model, int64_t input_tokens, int64_t output_tokens,
                                   int64_t *out);
/* Where the ledger counts money: `used`, in tokens and parts as hg_usage_from_response fills it in, becomes what they cost
 * (tokens and unit), by the price of `model`, the one that the request named. Where it counts tokens, or the report is in
 * money already, nothing changes. So it may stand between hg_usage_from_response and hg_settle or hg_record_usage always.
 * HG_ERR_CONFIG: no price is known; HG_ERR_NO_USAGE: the usage is missing, or does not tell input from output; HG_ERR_RANGE.
 * In these cases `used` says HG_SOURCE_MISSING: settled, it is charged the whole reservation, and never 0, nor less than what
 * a total that does not tell its parts costs at its cheapest. */
HG_CHECKED hg_err hg_price_usage(hg_runtime *rt, const char *model, hg_usage_report *used);

/* ---------------------------------------------------------------------------------------------- events */

/* Which events a subscriber hears. Zero topics: all. `from_seq`: begins with this row of the journal (1: the first), as far
 * back as rows are kept; 0: with what is committed from now on. */
typedef struct hg_filter {
  uint32_t size;
  const char *const *topics; /* names such as "CONCURRENCY_THROTTLED"; hg_subscribe answers HG_ERR_INVALID to any other */
  size_t topic_count;        /* at most 32 */
  uint64_t from_seq;
} hg_filter;
#define HG_FILTER_INIT {HG_SIZE(hg_filter), NULL, 0, 0}

/* A committed fact. Pointers are valid until the next call on the same subscriber. */
typedef struct hg_event {
  uint32_t size;
  const char *type;    /* the topic */
  const char *budget;  /* the budget it is about; "default" for events about the runtime */
  uint64_t seq;        /* the journal row; 0 for an event that is not journalled (HEARTBEAT, notices) */
  uint64_t prev;       /* the newest earlier row of the same topic, 0: none */
  int64_t at;          /* microseconds since 1970-01-01 UTC */
  const char *json;    /* the whole event as one line of JSON, as the outside payload has it */
  uint64_t oldest;     /* not 0: rows before this one, that may have been for you, were missed and are no longer kept */
} hg_event;
#define HG_EVENT_INIT {HG_SIZE(hg_event), NULL, NULL, 0, 0, 0, NULL, 0}

/* Follows the events (`filter` NULL: all, from now on). Events committed after this call returns are seen: each event that
 * the filter lets through comes exactly once, in the order of its rows. A subscriber that is slow loses events, more than
 * 200,000 wait for it; it asks for them again from the journal by itself, before it tells newer ones. (Who chose several
 * topics and has so many waiting hears them with the next heartbeat, which shows that nothing is missing before them.) Only
 * what is not journalled is not repaired: HEARTBEAT, and the STORE_DEGRADED that has no row. While the ledger can't be read
 * what was missed and all that is newer waits. What nobody has taken when hg_close comes is not told any more. */
HG_CHECKED hg_err hg_subscribe(hg_runtime *rt, const hg_filter *filter, hg_subscriber **out);
/* The next event; HG_ERR_TIMEOUT: none came. */
HG_CHECKED hg_err hg_next_event(hg_subscriber *, hg_event *out, int timeout_ms);
/* As hg_client_fd, also for NULL; readable before the first look, and for events that were not asked for too. */
HG_API int hg_subscriber_fd(const hg_subscriber *);
HG_API void hg_subscriber_destroy(hg_subscriber **subscriber);

#ifdef __cplusplus
}
#endif
#endif
