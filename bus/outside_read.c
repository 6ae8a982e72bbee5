// The outside codec, inward: maps as any msgpack library writes them. Nothing in them is believed.
#include "bus/frame_reader.h"
#include "bus/frames.h"

#define PROTOCOL_VERSION 1

// A walk over the pairs of a map that fills a whole frame.
struct pairs {
  struct hg_reader reader;
  uint32_t left;
};

static bool open_map(struct pairs *pairs, const uint8_t *from, size_t size) {
  pairs->reader = hg_reader_of(from, size);
  return hg_read_map(&pairs->reader, &pairs->left);
}

// The next key and a reader of its value alone. A key that is no text is an unknown one: it comes out empty.
static bool next_pair(struct pairs *pairs, struct hg_text *key, struct hg_reader *value) {
  struct hg_token token;
  pairs->left--;
  if (!hg_read_token(&pairs->reader, &token) || token.type == HG_TOKEN_array || token.type == HG_TOKEN_map)
    return false;
  *key = (struct hg_text){NULL, 0};
  if (token.type == HG_TOKEN_text) *key = (struct hg_text){(const char *)token.as.body.data, token.as.body.size};
  value->at = pairs->reader.at;
  const bool whole = hg_read_skip(&pairs->reader, HG_NESTING_MAX - 1);
  value->end = pairs->reader.at;
  return whole && hg_text_valid(*key);
}

// ------------------------------------------------------------------------------------------------ values

// Languages without integers send 5.0 for 5.
static bool to_unsigned(const struct hg_token *token, uint64_t most, uint64_t *out) {
  if (token->type == HG_TOKEN_unsigned) {
    *out = token->as.positive;
  } else {
    if (token->type != HG_TOKEN_real || !(token->as.real >= 0.0 && token->as.real < 0x1p64)) return false;
    *out = (uint64_t)token->as.real;
    if ((double)*out != token->as.real) return false;
  }
  return *out <= most;
}

static bool to_signed(const struct hg_token *token, int64_t least, int64_t most, int64_t *out) {
  uint64_t positive;
  if (to_unsigned(token, INT64_MAX, &positive)) {
    *out = (int64_t)positive;
  } else if (token->type == HG_TOKEN_negative) {
    *out = token->as.negative;
  } else {
    if (token->type != HG_TOKEN_real || !(token->as.real >= -0x1p63 && token->as.real < 0.0)) return false;
    *out = (int64_t)token->as.real;
    if ((double)*out != token->as.real) return false;
  }
  return *out >= least && *out <= most;
}

static bool to_u32(const struct hg_token *token, uint32_t *out) {
  uint64_t number;
  if (!to_unsigned(token, UINT32_MAX, &number)) return false;
  *out = (uint32_t)number;
  return true;
}

static bool to_hundredths(const struct hg_token *token, uint32_t *out) {
  double percent;
  if (token->type == HG_TOKEN_real) percent = token->as.real;
  else if (token->type == HG_TOKEN_unsigned) percent = (double)token->as.positive;
  else return false;
  if (!(percent >= 0.0 && percent <= UINT32_MAX / 100.0)) return false;
  *out = (uint32_t)(percent * 100.0 + 0.5);
  return true;
}

static bool to_text(const struct hg_token *token, struct hg_text *out) {
  if (token->type != HG_TOKEN_text || token->as.body.size > HG_TEXT_MAX) return false;
  *out = (struct hg_text){(const char *)token->as.body.data, token->as.body.size};
  return hg_text_valid(*out);
}

static bool to_body(const struct hg_token *token, struct hg_bytes *out) {
  if (token->type != HG_TOKEN_text) return false;
  *out = (struct hg_bytes){token->as.body.data, token->as.body.size};
  return hg_text_valid((struct hg_text){(const char *)out->data, out->size});
}

static bool to_id(const struct hg_token *token, uint64_t *out) {
  if (token->type != HG_TOKEN_text || token->as.body.size == 0 || token->as.body.size > 16) return false;
  uint64_t id = 0;
  for (uint32_t i = 0; i < token->as.body.size; i++) {
    const uint8_t digit = token->as.body.data[i];
    if (digit >= '0' && digit <= '9') id = id << 4 | (uint64_t)(digit - '0');
    else if (digit >= 'a' && digit <= 'f') id = id << 4 | (uint64_t)(digit - 'a' + 10);
    else return false;
  }
  *out = id;
  return true;
}

static bool to_source(const struct hg_token *token, uint32_t *out) {
  struct hg_text name;
  return to_text(token, &name) && hg_source_by_name(name, out);
}

// A value of a field. nil says nothing: the default stays.
static bool read_value(struct hg_reader reader, enum hg_field_type type, void *to) {
  struct hg_token token;
  if (!hg_read_token(&reader, &token)) return false;
  if (token.type == HG_TOKEN_nil) return true;
  switch (type) {
  case HG_FIELD_flag:
    if (token.type == HG_TOKEN_flag) *(bool *)to = token.as.flag;
    return token.type == HG_TOKEN_flag;
  case HG_FIELD_u32: return to_u32(&token, to);
  case HG_FIELD_u64: return to_unsigned(&token, UINT64_MAX, to);
  case HG_FIELD_num:
  case HG_FIELD_time: return to_signed(&token, INT64_MIN, INT64_MAX, to);
  case HG_FIELD_tokens:
  case HG_FIELD_opt:
  case HG_FIELD_amount: return to_signed(&token, 0, HG_TOKENS_MAX, to);
  case HG_FIELD_percent: return to_hundredths(&token, to);
  case HG_FIELD_id: return to_id(&token, to);
  case HG_FIELD_source: return to_source(&token, to);
  case HG_FIELD_text: return to_text(&token, to);
  case HG_FIELD_body: return to_body(&token, to);
  case HG_FIELD_budget: // no control message has an index or bytes
  case HG_FIELD_bytes: return false;
  }
  return false;
}

// ------------------------------------------------------------------------------------------------ whole frames

static bool key_is(struct hg_text key, const char *name) {
  return hg_text_equal(key, hg_text_of(name));
}

// Walks the whole frame once: is it well-formed, of our version, and of which type?
static bool read_type(const uint8_t *from, size_t size, struct hg_text *type) {
  struct pairs pairs;
  struct hg_text key;
  struct hg_reader value;
  uint64_t version = PROTOCOL_VERSION;
  bool has_version = false, has_type = false;
  if (!open_map(&pairs, from, size)) return false;
  while (pairs.left) {
    if (!next_pair(&pairs, &key, &value)) return false;
    if (key_is(key, "v")) {
      if (has_version || !read_value(value, HG_FIELD_u64, &version)) return false;
      has_version = true;
    } else if (key_is(key, "type")) {
      if (has_type || !hg_read_text(&value, HG_TEXT_MAX, type)) return false;
      has_type = true;
    }
  }
  return has_type && version == PROTOCOL_VERSION && pairs.reader.at == pairs.reader.end;
}

static bool read_pair(const struct hg_kind_info *info, struct hg_text key, struct hg_reader value, uint64_t *seen,
                      struct hg_message *out) {
  for (uint32_t i = 0; i < info->field_count; i++) {
    const struct hg_field *field = &info->fields[i];
    if (!key_is(key, field->outside_name)) continue;
    const uint64_t bit = UINT64_C(1) << i;
    if (*seen & bit) return false; // said twice: which one was meant?
    *seen |= bit;
    return read_value(value, field->type, (char *)out + field->offset);
  }
  return true;
}

// An amount that is not said is told from 0.
static void unsay_amounts(const struct hg_kind_info *info, struct hg_message *out) {
  for (uint32_t i = 0; i < info->field_count; i++)
    if (info->fields[i].type == HG_FIELD_amount) *(int64_t *)((char *)out + info->fields[i].offset) = HG_UNKNOWN;
}

hg_err hg_outside_decode(const uint8_t *from, size_t size, struct hg_message *out) {
  struct hg_text type;
  if (size > HG_COMMAND_FRAME_MAX || !read_type(from, size, &type)) return HG_ERR_PROTOCOL;
  const struct hg_kind_info *info = hg_kind_by_name(type);
  if (!info || !hg_is_control(info->kind)) return HG_ERR_PROTOCOL;
  hg_message_init(out, info->kind);
  unsay_amounts(info, out);
  struct pairs pairs;
  struct hg_text key;
  struct hg_reader value;
  uint64_t seen = 0;
  bool good = open_map(&pairs, from, size);
  while (good && pairs.left)
    good = next_pair(&pairs, &key, &value) && read_pair(info, key, value, &seen, out);
  return good ? HG_OK : HG_ERR_PROTOCOL;
}

uint64_t hg_outside_read_request(const uint8_t *from, size_t size) {
  struct pairs pairs;
  struct hg_text key;
  struct hg_reader value;
  uint64_t request = 0;
  bool said = false;
  if (!open_map(&pairs, from, size)) return 0;
  while (pairs.left && next_pair(&pairs, &key, &value)) {
    if (!key_is(key, "request")) continue;
    if (said || !read_value(value, HG_FIELD_u64, &request)) return 0;
    said = true;
  }
  return request;
}

hg_err hg_outside_read_envelope(const uint8_t *from, size_t size, struct hg_event_envelope *out) {
  *out = (struct hg_event_envelope){.seq = 0};
  if (!read_type(from, size, &out->type)) return HG_ERR_PROTOCOL;
  struct pairs pairs;
  struct hg_text key;
  struct hg_reader value;
  bool good = open_map(&pairs, from, size);
  while (good && pairs.left) {
    good = next_pair(&pairs, &key, &value);
    if (!good) break;
    if (key_is(key, "budget")) good = read_value(value, HG_FIELD_text, &out->budget);
    else if (key_is(key, "ledgerId")) good = read_value(value, HG_FIELD_text, &out->ledger_id);
    else if (key_is(key, "seq")) good = read_value(value, HG_FIELD_u64, &out->seq);
    else if (key_is(key, "prev")) good = read_value(value, HG_FIELD_u64, &out->prev);
    else if (key_is(key, "at")) good = read_value(value, HG_FIELD_time, &out->at);
  }
  return good ? HG_OK : HG_ERR_PROTOCOL;
}

// ------------------------------------------------------------------------------------------------ heartbeats

static bool open_inner(struct pairs *pairs, struct hg_reader value) {
  return open_map(pairs, value.at, (size_t)(value.end - value.at));
}

static bool read_topics(struct hg_reader map, struct hg_beat *out) {
  struct pairs pairs;
  struct hg_text key;
  struct hg_reader value;
  if (!open_inner(&pairs, map)) return false;
  while (pairs.left) {
    uint64_t newest = 0;
    if (!next_pair(&pairs, &key, &value) || !read_value(value, HG_FIELD_u64, &newest)) return false;
    const struct hg_kind_info *info = hg_kind_by_name(key);
    if (info && info->is_event) out->topic_newest[(unsigned)info->kind - HG_EVENT_FIRST] = newest;
  }
  return true;
}

static bool read_beat(struct hg_reader map, struct hg_beat *out) {
  struct pairs pairs;
  struct hg_text key;
  struct hg_reader value;
  bool good = open_inner(&pairs, map);
  while (good && pairs.left) {
    good = next_pair(&pairs, &key, &value);
    if (!good) break;
    if (key_is(key, "newest")) good = read_value(value, HG_FIELD_u64, &out->newest);
    else if (key_is(key, "storeDegraded")) good = read_value(value, HG_FIELD_flag, &out->degraded);
    else if (key_is(key, "unheard")) good = read_value(value, HG_FIELD_u64, &out->unheard);
    else if (key_is(key, "topics")) good = read_topics(value, out);
  }
  return good;
}

hg_err hg_outside_read_beat(const uint8_t *from, size_t size, struct hg_beat *out) {
  struct hg_text type;
  struct pairs pairs;
  struct hg_text key;
  struct hg_reader value;
  *out = (struct hg_beat){.newest = 0};
  bool good = read_type(from, size, &type) && key_is(type, "HEARTBEAT") && open_map(&pairs, from, size);
  bool said = false;
  while (good && pairs.left) {
    good = next_pair(&pairs, &key, &value);
    if (!good || !key_is(key, "payload")) continue;
    good = !said && read_beat(value, out);
    said = true;
  }
  return good && said ? HG_OK : HG_ERR_PROTOCOL;
}
