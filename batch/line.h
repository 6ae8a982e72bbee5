// One line of a batch file (OpenAI Batch format) and one line of a result file: parsed and printed. Pure.
#ifndef HG_LINE_H
#define HG_LINE_H

#include "base/siphash.h"
#include "base/text_buffer.h"
#include "headgate.h"
#include "schemas/limits.h"

#define HG_CUSTOM_ID_MAX 512 // bytes
#define HG_URL_MAX 1024
// The longest line that hg_result_line_print makes: a body of which each byte needs six, and the rest.
#define HG_RESULT_LINE_MAX (6 * (size_t)HG_BODY_MAX + 16 * 1024)

struct hg_batch_line {
  const char *custom_id; // owned by the line (decoded text)
  const char *url;       // owned by the line
  const char *budget;    // owned by the line; NULL: not given (a top-level "budget", which is not sent)
  const char *body;      // the exact bytes of the "body" value, pointing into the text that was parsed
  size_t body_len;
  uint64_t line_number;
  uint64_t request_hash; // of url, body bytes and budget, under a fixed public key: the same in every run; never 0
  uint64_t id_hash;      // of custom_id, under the key of this run; never 0
  void *storage;         // for hg_batch_line_clear
};

// The hash of a custom_id under the key of this run.
uint64_t hg_id_hash(struct hg_hash_key key, const char *custom_id);
// The fingerprint of a request that is sent with another model than its body says.
uint64_t hg_request_hash_with_model(uint64_t request_hash, const char *model);

// HG_ERR_INVALID with `why` ("line 17: \"custom_id\" is missing; …"): then the line holds its number and, where that
// could be read, its custom_id, and is to be cleared all the same. HG_ERR_NO_MEMORY. `key` is random for each run.
hg_err hg_batch_line_parse(const char *text, size_t len, uint64_t line_number, struct hg_hash_key key,
                           struct hg_batch_line *out, hg_error *why);
void hg_batch_line_clear(struct hg_batch_line *line);

// The first 64 bits of a ledger's id, a UUID: permits of another ledger may have the same numbers. 0: no UUID.
uint64_t hg_ledger_mark(const char *ledger_id);

// A result line as it is read back: enough to resume and to settle an orphan late.
struct hg_result_line {
  const char *custom_id;        // owned by the line; NULL: not known (of a failure only)
  uint64_t permit;              // from "id": "batch_req_" and three times 16 hex digits; 0: not one of ours
  uint64_t request_hash_stored; // the next 16 digits, to notice a changed request; 0: none
  uint64_t ledger;              // the last 16: which ledger gave the permit, as hg_ledger_mark has it
  long status;                  // response.status_code; 0: there was no HTTP answer
  char error_code[48];          // error.code; "": none, or a longer one
  bool succeeded;               // response.status_code is 2xx and error is null
  int64_t cost;                 // what was charged, in nano-dollars; HG_UNKNOWN: not said
  int64_t used_tokens;          // the same where the ledger counts tokens
  bool estimated;               // it was the whole reservation
  const char *body;             // the exact bytes of response.body in the text, NULL when null
  size_t body_len;
  void *storage;
};
// HG_ERR_INVALID: not a result line; HG_ERR_NO_MEMORY.
hg_err hg_result_line_parse(const char *text, size_t len, struct hg_result_line *out);
void hg_result_line_clear(struct hg_result_line *line);
// What it says was charged, in the unit of the ledger; HG_UNKNOWN: nothing, or it is a line of an older version.
int64_t hg_result_charged(const struct hg_result_line *line, hg_unit unit);

struct hg_result {
  const char *custom_id;  // NULL: not known (printed as null)
  uint64_t permit;        // 0: the call was never made
  uint64_t request_hash;  // stored in the line
  uint64_t ledger;        // the mark of the ledger whose permit it is
  long status;            // 0: no HTTP answer (then error_code is set)
  const char *request_id; // the provider's, from x-request-id / request-id; NULL
  const char *body;       // the answer; embedded as it is (white space outside strings removed) when it is JSON, else
  size_t body_len;        // as a JSON string; at most HG_BODY_MAX; 0: null
  bool body_is_json;      // as somebody checked; else it is looked at
  const char *error_code; // NULL: none
  const char *error_message; // cut after HG_ERROR_TEXT_MAX bytes, as request_id is after HG_LABEL_MAX
  uint64_t line_number;      // in the batch file, printed inside the error; 0: none
  bool has_cost;             // something was charged for the call that the line tells of
  bool estimated;            // the whole reservation
  hg_unit unit;
  int64_t cost;
};
// Appends the line and its '\n'; on an error nothing. HG_ERR_INVALID: the body is too long; HG_ERR_NO_MEMORY.
hg_err hg_result_line_print(struct hg_text_buffer *out, const struct hg_result *result);

#endif
