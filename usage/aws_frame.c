// Preludes, headers, payloads.
#include "usage/aws_frame.h"

#include "schemas/limits.h"
#include "base/json_scan.h"

#include <string.h>

#define CRC_BYTES 4
#define NAME_MAX_BYTES 64

// As in zlib and Ethernet, four bits at a time: events are short, and no library is needed for it.
uint32_t hg_crc32(const char *bytes, size_t len) {
  static const uint32_t table[16] = {0x00000000, 0x1db71064, 0x3b6e20c8, 0x26d930ac, 0x76dc4190, 0x6b6b51f4,
                                     0x4db26158, 0x5005713c, 0xedb88320, 0xf00f9344, 0xd6d6a3e8, 0xcb61b38c,
                                     0x9b64c2b0, 0x86d3d2d4, 0xa00ae278, 0xbdbdf21c};
  uint32_t crc = UINT32_MAX;
  for (size_t i = 0; i < len; i++) {
    crc ^= (uint8_t)bytes[i];
    crc = crc >> 4 ^ table[crc & 15];
    crc = crc >> 4 ^ table[crc & 15];
  }
  return ~crc;
}

static uint32_t big_endian(const char *at, size_t bytes) {
  uint32_t value = 0;
  for (size_t i = 0; i < bytes; i++)
    value = value << 8 | (uint8_t)at[i];
  return value;
}

// A fuzzer would never get behind a checksum; with libFuzzer's own switch everything behind it is reached.
static bool crc_is_good(const char *bytes, size_t len) {
#ifdef FUZZING_BUILD_MODE_UNSAFE_FOR_PRODUCTION
  (void)bytes, (void)len;
  return true;
#else
  return hg_crc32(bytes, len) == big_endian(bytes + len, CRC_BYTES);
#endif
}

hg_err hg_aws_frame_len(const char prelude[static HG_AWS_PRELUDE_BYTES], size_t *len, const char **fault) {
  const uint32_t total = big_endian(prelude, 4), headers = big_endian(prelude + 4, 4);
  const bool good = crc_is_good(prelude, HG_AWS_PRELUDE_BYTES - CRC_BYTES), too_long = good && total > HG_BODY_MAX;
  *len = total;
  *fault = !good      ? "a frame of the stream has a wrong checksum"
           : too_long ? "an event of the stream is over 16 MiB"
           : total < HG_AWS_PRELUDE_BYTES + CRC_BYTES || headers > total - HG_AWS_PRELUDE_BYTES - CRC_BYTES
               ? "a frame of the stream is shorter than what is in it"
               : NULL;
  return too_long ? HG_ERR_RANGE : *fault ? HG_ERR_PROTOCOL : HG_OK;
}

// ---------------------------------------------------------------------------------------------- headers

struct text {
  const char *at;
  size_t len;
};

// Those headers that say what a frame is; their names begin with a colon. NULL: not there.
struct headers {
  struct text event, exception, error, message;
};

// The bytes of a header's value, by its type; with a length before it where that differs. SIZE_MAX: no such type.
static size_t value_bytes(uint8_t type, const char *at, size_t left) {
  static const size_t fixed[] = {0, 0, 1, 2, 4, 8, 0, 0, 8, 16};
  if (type >= sizeof fixed / sizeof fixed[0]) return SIZE_MAX;
  if (type != 6 && type != 7) return fixed[type];
  return left < 2 ? SIZE_MAX : 2 + big_endian(at, 2);
}

static bool is(struct text name, const char *word) {
  return name.len == strlen(word) && memcmp(name.at, word, name.len) == 0;
}

static void keep(struct text name, struct text value, struct headers *out) {
  if (is(name, ":event-type")) out->event = value;
  else if (is(name, ":exception-type")) out->exception = value;
  else if (is(name, ":error-code")) out->error = value;
  else if (is(name, ":error-message")) out->message = value;
}

// False: they do not fit into each other.
static bool read_headers(const char *at, const char *end, struct headers *out) {
  *out = (struct headers){.event = {NULL, 0}};
  while (at < end) {
    const struct text name = {at + 1, (uint8_t)*at};
    if ((size_t)(end - name.at) <= name.len) return false;
    at = name.at + name.len;
    const uint8_t type = (uint8_t)*at++;
    const size_t bytes = value_bytes(type, at, (size_t)(end - at));
    if (bytes > (size_t)(end - at)) return false;
    if (type == 7) keep(name, (struct text){at + 2, bytes - 2}, out);
    at += bytes;
  }
  return true;
}

// ---------------------------------------------------------------------------------------------- events

// A name that is a JSON string as it stands.
static bool is_plain(struct text name) {
  for (size_t i = 0; i < name.len; i++)
    if ((uint8_t)name.at[i] <= ' ' || (uint8_t)name.at[i] >= 0x7f || strchr("\"\\", name.at[i])) return false;
  return name.len > 0 && name.len <= NAME_MAX_BYTES;
}

static hg_err add(struct hg_text_buffer *out, struct text name, struct text payload) {
  if (payload.len == 0) payload = (struct text){"{}", 2};
  hg_err err = hg_text_buffer_add(out, "{\"", 2);
  if (!err) err = hg_text_buffer_add(out, name.at, name.len);
  if (!err) err = hg_text_buffer_add(out, "\":", 2);
  if (!err) err = hg_text_buffer_add(out, payload.at, payload.len);
  return err ? err : hg_text_buffer_add(out, "}", 1);
}

static int sextet(char c) {
  static const char digits[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
  const char *at = c ? strchr(digits, c) : NULL;
  return at ? (int)(at - digits) : -1;
}

// False: it is no base64.
static bool decode(const struct hg_json *string, struct hg_text_buffer *out, hg_err *err) {
  const char *at = string->at + 1, *end = string->at + string->len - 1;
  while (end > at && end[-1] == '=')
    end--;
  uint32_t bits = 0;
  int held = 0;
  for (*err = HG_OK; at < end && !*err; at++) {
    if (at[0] == '\\' && at[1] == '/') continue; // some JSON writers escape it
    const int value = sextet(*at);
    if (value < 0) return false;
    bits = bits << 6 | (uint32_t)value;
    held += 6;
    if (held < 8) continue;
    held -= 8;
    *err = hg_text_buffer_add(out, &(char){(char)(bits >> held)}, 1);
  }
  return true;
}

// InvokeModelWithResponseStream hands on what the model's own API would send, in base64.
static hg_err add_chunk(struct hg_text_buffer *out, struct text name, struct text payload) {
  struct hg_json root;
  struct hg_json_field bytes = {.name = "bytes"};
  const size_t begun = out->len;
  hg_err err = HG_OK;
  if (hg_json_check(payload.at, payload.len, &root, NULL)) return add(out, name, payload);
  hg_json_pick(&root, &bytes, 1);
  if (bytes.value.type == HG_JSON_STRING && decode(&bytes.value, out, &err)) return err;
  out->len = begun;
  return add(out, name, payload);
}

// An error that is no event has its words in its headers, not in JSON: those that JSON could not hold are left out.
static hg_err add_error(struct hg_text_buffer *out, struct text words) {
  hg_err err = hg_text_buffer_add_text(out, "{\"error\":\"");
  for (size_t i = 0; i < words.len && !err; i++)
    if (is_plain((struct text){words.at + i, 1}) || words.at[i] == ' ') err = hg_text_buffer_add(out, words.at + i, 1);
  return err ? err : hg_text_buffer_add(out, "\"}", 2);
}

hg_err hg_aws_frame_read(const char *frame, size_t len, struct hg_text_buffer *out, bool *error, const char **fault) {
  const char *headers = frame + HG_AWS_PRELUDE_BYTES, *payload = headers + big_endian(frame + 4, 4);
  const struct text body = {payload, (size_t)(frame + len - CRC_BYTES - payload)};
  struct headers said;
  *error = false;
  *fault = !crc_is_good(frame, len - CRC_BYTES)             ? "a frame of the stream has a wrong checksum"
           : !read_headers(headers, payload, &said)         ? "a frame of the stream has headers that can't be read"
           : said.event.at && !is_plain(said.event)         ? "an event of the stream has no name"
           : said.exception.at && !is_plain(said.exception) ? "an exception of the stream has no name"
                                                            : NULL;
  if (*fault) return HG_ERR_PROTOCOL;
  *error = said.exception.at || said.error.at;
  if (said.exception.at) return add(out, said.exception, body);
  if (said.error.at) return add_error(out, said.message.len > 0 ? said.message : said.error);
  if (!said.event.at) return HG_OK;
  return is(said.event, "chunk") ? add_chunk(out, said.event, body) : add(out, said.event, body);
}
