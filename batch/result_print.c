// Prints result lines: whatever a provider answered becomes one line of valid JSON.
#include "batch/json_text.h"
#include "batch/line.h"

#include <stdio.h>
#include <string.h>

static hg_err add_escape(struct hg_text_buffer *out, unsigned char byte) {
  static const char plain[] = "\"\\\b\f\n\r\t", letters[] = "\"\\bfnrt";
  char text[8];
  const char *kind = byte ? strchr(plain, byte) : NULL;
  if (kind) {
    snprintf(text, sizeof text, "\\%c", letters[kind - plain]);
  } else {
    snprintf(text, sizeof text, "\\u%04x", byte);
  }
  return hg_text_buffer_add_text(out, text);
}

// The length of the bytes from `at` that stand in a JSON string as they are.
static size_t plain_run(const char *at, size_t left) {
  size_t run = 0;
  while (run < left) {
    const unsigned char byte = (unsigned char)at[run];
    if (byte < 0x20 || byte == '"' || byte == '\\') break;
    const size_t bytes = byte < 0x80 ? 1 : hg_utf8_length(at + run, left - run);
    if (bytes == 0) break;
    run += bytes;
  }
  return run;
}

// As a JSON string; each byte that is no UTF-8 becomes U+FFFD.
static hg_err add_string(struct hg_text_buffer *out, const char *text, size_t len) {
  hg_err err = hg_text_buffer_reserve(out, len + 2);
  if (!err) err = hg_text_buffer_add_text(out, "\"");
  for (size_t at = 0; !err && at < len;) {
    const size_t run = plain_run(text + at, len - at);
    err = hg_text_buffer_add(out, text + at, run);
    at += run;
    if (err || at == len) continue;
    const unsigned char byte = (unsigned char)text[at++];
    err = byte < 0x80 ? add_escape(out, byte) : hg_text_buffer_add_text(out, "\xEF\xBF\xBD");
  }
  return err ? err : hg_text_buffer_add_text(out, "\"");
}

static hg_err add_text_or_null(struct hg_text_buffer *out, const char *text, size_t max) {
  return text ? add_string(out, text, strnlen(text, max)) : hg_text_buffer_add_text(out, "null");
}

// The length of the string that begins at text[0] == '"', in checked JSON.
static size_t string_length(const char *text) {
  size_t at = 1;
  while (text[at] != '"')
    at += text[at] == '\\' ? 2 : 1;
  return at + 1;
}

// Checked JSON without the white space between its parts.
static hg_err add_compact(struct hg_text_buffer *out, const char *text, size_t len) {
  const hg_err err = hg_text_buffer_reserve(out, len);
  if (err) return err;
  char *to = out->data + out->len;
  for (size_t at = 0; at < len;) {
    const char byte = text[at];
    if (byte == '"') {
      const size_t string_len = string_length(text + at);
      memcpy(to, text + at, string_len);
      to += string_len;
      at += string_len;
      continue;
    }
    if (byte != ' ' && byte != '\n' && byte != '\r' && byte != '\t') *to++ = byte;
    at++;
  }
  out->len = (size_t)(to - out->data);
  return HG_OK;
}

static hg_err add_body(struct hg_text_buffer *out, const struct hg_result *result) {
  if (!result->body || result->body_len == 0) return hg_text_buffer_add_text(out, "null");
  struct hg_json root;
  const bool json = result->body_is_json || !hg_json_check(result->body, result->body_len, &root, NULL);
  return json ? add_compact(out, result->body, result->body_len) : add_string(out, result->body, result->body_len);
}

static hg_err add_response(struct hg_text_buffer *out, const struct hg_result *result) {
  if (result->status == 0) return hg_text_buffer_add_text(out, ",\"response\":null");
  char head[64];
  snprintf(head, sizeof head, ",\"response\":{\"status_code\":%ld,\"request_id\":", result->status);
  hg_err err = hg_text_buffer_add_text(out, head);
  if (!err) err = add_text_or_null(out, result->request_id, HG_LABEL_MAX);
  if (!err) err = hg_text_buffer_add_text(out, ",\"body\":");
  if (!err) err = add_body(out, result);
  return err ? err : hg_text_buffer_add_text(out, "}");
}

static hg_err add_error(struct hg_text_buffer *out, const struct hg_result *result) {
  if (!result->error_code) return hg_text_buffer_add_text(out, ",\"error\":null");
  hg_err err = hg_text_buffer_add_text(out, ",\"error\":{\"code\":");
  if (!err) err = add_text_or_null(out, result->error_code, HG_LABEL_MAX);
  if (!err) err = hg_text_buffer_add_text(out, ",\"message\":");
  if (!err) err = add_text_or_null(out, result->error_message, HG_ERROR_TEXT_MAX);
  char line[40] = "";
  if (result->line_number) snprintf(line, sizeof line, ",\"line\":%llu", (unsigned long long)result->line_number);
  if (!err) err = hg_text_buffer_add_text(out, line);
  return err ? err : hg_text_buffer_add_text(out, "}");
}

static hg_err add_cost(struct hg_text_buffer *out, const struct hg_result *result) {
  if (!result->has_cost) return HG_OK;
  char text[80];
  snprintf(text, sizeof text, ",\"%s\":%lld%s",
           result->unit == HG_UNIT_NANODOLLARS ? "cost_nanodollars" : "used_tokens", (long long)result->cost,
           result->estimated ? ",\"estimated\":true" : "");
  return hg_text_buffer_add_text(out, text);
}

hg_err hg_result_line_print(struct hg_text_buffer *out, const struct hg_result *result) {
  if (result->body_len > HG_BODY_MAX) return HG_ERR_INVALID;
  const size_t before = out->len;
  char head[96];
  snprintf(head, sizeof head,
           "{\"id\":\"batch_req_%016llx%016llx%016llx\",\"custom_id\":", (unsigned long long)result->permit,
           (unsigned long long)result->request_hash, (unsigned long long)result->ledger);
  hg_err err = hg_text_buffer_add_text(out, head);
  if (!err) err = add_text_or_null(out, result->custom_id, HG_CUSTOM_ID_MAX);
  if (!err) err = add_response(out, result);
  if (!err) err = add_error(out, result);
  if (!err) err = add_cost(out, result);
  if (!err) err = hg_text_buffer_add_text(out, "}\n");
  if (err) out->len = before;
  return err;
}
