// Parses the lines of batch files and of result files.
#include "batch/line.h"
#include "batch/json_text.h"
#include "base/fail.h"

#include <endian.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

// Public and fixed: a fingerprint that is stored in result lines and must mean the same in every later run and version.
static const struct hg_hash_key request_key = {UINT64_C(0x6574616764616568), UINT64_C(0x7473657571657220)};

static uint64_t never_zero(uint64_t hash) {
  return hash ? hash : 1;
}

uint64_t hg_id_hash(struct hg_hash_key key, const char *custom_id) {
  return never_zero(hg_siphash(key, custom_id, strlen(custom_id)));
}

// The parts are hashed one by one and their hashes together, so that no two splits of the same bytes are alike.
static uint64_t request_hash(const struct hg_batch_line *line) {
  const char *budget = line->budget ? line->budget : "";
  const uint64_t parts[] = {htole64(hg_siphash(request_key, line->url, strlen(line->url))),
                            htole64(hg_siphash(request_key, line->body, line->body_len)),
                            htole64(hg_siphash(request_key, budget, strlen(budget)))};
  return never_zero(hg_siphash(request_key, parts, sizeof parts));
}

uint64_t hg_request_hash_with_model(uint64_t hash, const char *model) {
  const uint64_t parts[] = {htole64(hash), htole64(hg_siphash(request_key, model, strlen(model)))};
  return never_zero(hg_siphash(request_key, parts, sizeof parts));
}

// --- batch lines

enum { CUSTOM_ID, METHOD, URL, BODY, BUDGET, BATCH_MEMBERS };

struct line_context {
  uint64_t number;
  hg_error *why;
};

static hg_err refuse(const struct line_context *line, const char *what, const char *to_do) {
  return hg_fail(line->why, HG_ERR_INVALID, "line %llu: %s; %s", (unsigned long long)line->number, what, to_do);
}

// Copies a string member into the line's storage at *free_at. NULL and a reason: it can't be.
static const char *take_text(const struct hg_json *value, size_t max, char **free_at, const char **reason) {
  *reason = value->type == HG_JSON_NONE     ? "is missing"
            : value->type != HG_JSON_STRING ? "is not a string"
            : value->len == 2               ? "is empty"
                                            : NULL;
  if (*reason) return NULL;
  char *text = *free_at;
  size_t len;
  if (!hg_json_decode(value, text, &len)) {
    *reason = "has \\u0000 or half of a surrogate pair in it";
    return NULL;
  }
  if (len > max) {
    *reason = "is too long";
    return NULL;
  }
  *free_at += len + 1;
  return text;
}

static bool is_dot(const char *at, size_t *bytes) {
  *bytes = *at == '.' ? 1 : 3;
  return *at == '.' || strncasecmp(at, "%2e", 3) == 0;
}

// Whether a segment of the path is "..", spelled plainly or with %2e.
static bool climbs(const char *url) {
  for (const char *at = url; *at && *at != '?' && *at != '#'; at++) {
    size_t first, second;
    if (*at != '/' || !is_dot(at + 1, &first) || !is_dot(at + 1 + first, &second)) continue;
    if (strchr("/?#", at[1 + first + second])) return true; // the end of the text too
  }
  return false;
}

static const char *url_fault(const char *url) {
  if (url[0] != '/') return "\"url\" does not begin with \"/\"";
  if (url[1] == '/') return "\"url\" begins with \"//\", which names another host";
  for (const char *at = url; *at; at++) {
    const unsigned char byte = (unsigned char)*at;
    if (byte <= ' ' || byte >= 0x7F || byte == '\\') return "\"url\" has a character that no path has";
  }
  const size_t path = strcspn(url, "?#");
  const char *scheme = strstr(url, "://");
  if (scheme && scheme < url + path) return "\"url\" names a scheme";
  return climbs(url) ? "\"url\" has a \"..\" in it" : NULL;
}

static hg_err check_members(const struct hg_json_field *found, const struct line_context *line) {
  for (size_t i = 0; i < BATCH_MEMBERS; i++) {
    if (!found[i].repeated) continue;
    char what[48];
    snprintf(what, sizeof what, "\"%s\" appears twice", found[i].name);
    return refuse(line, what, "leave one of the two out");
  }
  if (found[METHOD].value.type == HG_JSON_NONE)
    return refuse(line, "\"method\" is missing", "write \"method\": \"POST\"");
  if (!hg_json_is(&found[METHOD].value, "POST"))
    return refuse(line, "\"method\" is not \"POST\"", "only POST requests can be run");
  if (found[BODY].value.type == HG_JSON_OBJECT) return HG_OK;
  return refuse(line, found[BODY].value.type == HG_JSON_NONE ? "\"body\" is missing" : "\"body\" is not an object",
                "give the request's JSON object as \"body\"");
}

// The custom_id comes first: a line that is refused for something else is told by it.
static hg_err take_members(const struct hg_json_field *found, const struct line_context *line,
                           struct hg_batch_line *out) {
  char *free_at = out->storage, what[96];
  const char *reason, *id_reason = "";
  if (!found[CUSTOM_ID].repeated)
    out->custom_id = take_text(&found[CUSTOM_ID].value, HG_CUSTOM_ID_MAX, &free_at, &id_reason);
  const hg_err err = check_members(found, line);
  if (err) return err;
  if (!out->custom_id) {
    snprintf(what, sizeof what, "\"custom_id\" %s", id_reason);
    return refuse(line, what, "give each line a unique \"custom_id\" of 1 to 512 bytes");
  }
  out->url = take_text(&found[URL].value, HG_URL_MAX, &free_at, &reason);
  if (!out->url) {
    snprintf(what, sizeof what, "\"url\" %s", reason);
    return refuse(line, what, "write a path such as \"/v1/chat/completions\"");
  }
  const char *fault = url_fault(out->url);
  if (fault)
    return refuse(line, fault, "write a path such as \"/v1/chat/completions\"; the host comes from --base-url");
  if (hg_json_is_absent(&found[BUDGET].value)) return HG_OK;
  out->budget = take_text(&found[BUDGET].value, HG_BUDGET_NAME_MAX, &free_at, &reason);
  if (out->budget) return HG_OK;
  snprintf(what, sizeof what, "\"budget\" %s", reason);
  return refuse(line, what, "name a budget of the configuration, or leave \"budget\" out");
}

hg_err hg_batch_line_parse(const char *text, size_t len, uint64_t line_number, struct hg_hash_key key,
                           struct hg_batch_line *out, hg_error *why) {
  const struct line_context line = {line_number, why};
  *out = (struct hg_batch_line){.line_number = line_number};
  struct hg_json root;
  size_t where;
  const char *fault = hg_json_check(text, len, &root, &where);
  if (fault)
    return hg_fail(why, HG_ERR_INVALID, "line %llu, byte %zu: %s; each line must be one JSON object",
                   (unsigned long long)line_number, where + 1, fault);
  if (root.type != HG_JSON_OBJECT) return refuse(&line, "it is not a JSON object", "each line must be one");
  struct hg_json_field found[BATCH_MEMBERS] = {[CUSTOM_ID] = {.name = "custom_id"},
                                               [METHOD] = {.name = "method"},
                                               [URL] = {.name = "url"},
                                               [BODY] = {.name = "body"},
                                               [BUDGET] = {.name = "budget"}};
  hg_json_pick(&root, found, BATCH_MEMBERS);
  out->storage = malloc(found[CUSTOM_ID].value.len + found[URL].value.len + found[BUDGET].value.len + 1);
  if (!out->storage) return hg_fail(why, HG_ERR_NO_MEMORY, "line %llu: no memory", (unsigned long long)line_number);
  const hg_err err = take_members(found, &line, out);
  if (err && !out->custom_id) hg_batch_line_clear(out);
  if (err) return err;
  out->body = found[BODY].value.at;
  out->body_len = found[BODY].value.len;
  out->id_hash = hg_id_hash(key, out->custom_id);
  out->request_hash = request_hash(out);
  return HG_OK;
}

void hg_batch_line_clear(struct hg_batch_line *line) {
  free(line->storage);
  *line = (struct hg_batch_line){0};
}

// --- result lines

enum { R_ID, R_CUSTOM_ID, R_RESPONSE, R_ERROR, R_COST, R_USED, R_ESTIMATED, RESULT_MEMBERS };
enum { STATUS_CODE, RESPONSE_BODY, RESPONSE_MEMBERS };

static bool hex16(const char *at, uint64_t *out) {
  *out = 0;
  for (int i = 0; i < 16; i++) {
    const char byte = at[i];
    if (!((byte >= '0' && byte <= '9') || (byte >= 'a' && byte <= 'f'))) return false;
    *out = *out << 4 | (uint64_t)(byte <= '9' ? byte - '0' : byte - 'a' + 10);
  }
  return true;
}

static void read_id(const struct hg_json *id, struct hg_result_line *out) {
  static const char prefix[] = "\"batch_req_";
  const size_t prefix_len = sizeof prefix - 1;
  uint64_t permit, hash, ledger;
  if (id->type != HG_JSON_STRING || id->len != prefix_len + 49 || memcmp(id->at, prefix, prefix_len) != 0) return;
  const char *digits = id->at + prefix_len;
  if (!hex16(digits, &permit) || !hex16(digits + 16, &hash) || !hex16(digits + 32, &ledger)) return;
  out->permit = permit;
  out->request_hash_stored = hash;
  out->ledger = ledger;
}

uint64_t hg_ledger_mark(const char *ledger_id) {
  char digits[16];
  size_t count = 0;
  for (; *ledger_id && count < sizeof digits; ledger_id++)
    if (*ledger_id != '-') digits[count++] = *ledger_id;
  uint64_t mark;
  return count == sizeof digits && hex16(digits, &mark) ? mark : 0;
}

static void read_response(const struct hg_json *response, struct hg_result_line *out) {
  struct hg_json_field found[RESPONSE_MEMBERS] = {
      [STATUS_CODE] = {.name = "status_code"}, [RESPONSE_BODY] = {.name = "body"}};
  hg_json_pick(response, found, RESPONSE_MEMBERS);
  if (!hg_json_is_absent(&found[RESPONSE_BODY].value)) {
    out->body = found[RESPONSE_BODY].value.at;
    out->body_len = found[RESPONSE_BODY].value.len;
  }
  out->status = hg_json_status(&found[STATUS_CODE].value);
}

static void read_error_code(const struct hg_json *error, struct hg_result_line *out) {
  struct hg_json_field code = {.name = "code"};
  hg_json_pick(error, &code, 1);
  (void)hg_json_copy(&code.value, out->error_code, sizeof out->error_code);
}

// Decodes the custom_id into storage of the line's own.
static hg_err take_custom_id(const struct hg_json *custom_id, struct hg_result_line *out) {
  out->storage = malloc(custom_id->len);
  if (!out->storage) return HG_ERR_NO_MEMORY;
  size_t len;
  if (!hg_json_decode(custom_id, out->storage, &len)) {
    hg_result_line_clear(out);
    return HG_ERR_INVALID;
  }
  out->custom_id = out->storage;
  return HG_OK;
}

hg_err hg_result_line_parse(const char *text, size_t len, struct hg_result_line *out) {
  *out = (struct hg_result_line){0};
  struct hg_json root;
  if (hg_json_check(text, len, &root, NULL)) return HG_ERR_INVALID;
  struct hg_json_field found[RESULT_MEMBERS] = {[R_ID] = {.name = "id"},
                                                [R_CUSTOM_ID] = {.name = "custom_id"},
                                                [R_RESPONSE] = {.name = "response"},
                                                [R_ERROR] = {.name = "error"},
                                                [R_COST] = {.name = "cost_nanodollars"},
                                                [R_USED] = {.name = "used_tokens"},
                                                [R_ESTIMATED] = {.name = "estimated"}};
  hg_json_pick(&root, found, RESULT_MEMBERS);
  const struct hg_json *custom_id = &found[R_CUSTOM_ID].value, *response = &found[R_RESPONSE].value,
                       *error = &found[R_ERROR].value;
  if (response->type == HG_JSON_NONE && error->type == HG_JSON_NONE) return HG_ERR_INVALID; // a batch line?
  const bool unknown = custom_id->type == HG_JSON_NULL && !hg_json_is_absent(error); // the line could not be read
  if (custom_id->type != HG_JSON_STRING && !unknown) return HG_ERR_INVALID;
  const hg_err err = unknown ? HG_OK : take_custom_id(custom_id, out);
  if (err) return err;
  if (response->type == HG_JSON_OBJECT) read_response(response, out);
  if (!hg_json_is_absent(error)) read_error_code(error, out);
  out->succeeded = out->status >= 200 && out->status <= 299 && hg_json_is_absent(error);
  if (hg_json_tokens(&found[R_COST].value, &out->cost)) out->cost = HG_UNKNOWN;
  if (hg_json_tokens(&found[R_USED].value, &out->used_tokens)) out->used_tokens = HG_UNKNOWN;
  out->estimated = found[R_ESTIMATED].value.type == HG_JSON_TRUE;
  read_id(&found[R_ID].value, out);
  return HG_OK;
}

void hg_result_line_clear(struct hg_result_line *line) {
  free(line->storage);
  *line = (struct hg_result_line){0};
}

int64_t hg_result_charged(const struct hg_result_line *line, hg_unit unit) {
  return unit == HG_UNIT_NANODOLLARS ? line->cost : line->used_tokens;
}
