// The outside codec, inward: maps as other libraries write them, what must be refused of them, and msgpack as JSON.
#include "bus/frame_reader.h"
#include "config/config.h"
#include "unit/codec.h"

#include <jansson.h>
#include <math.h>

static uint8_t frame[HG_OUTSIDE_FRAME_MAX];

static hg_err decode_exact(const void *from, size_t size) {
  return codec_decode_exact(hg_outside_decode, from, size);
}

TEST(outside_read, every_control_message_round_trips) {
  uint64_t seed = hg_test_seed("every_control_message_round_trips");
  char scratch[CODEC_SCRATCH];
  for (unsigned code = 0; (code = codec_next_control(code));)
    for (unsigned round = 0; round < CODEC_ROUNDS; round++) {
      struct hg_message message, back;
      hg_message_random(&message, (enum hg_kind)code, &seed, scratch, sizeof scratch);
      const size_t size = hg_outside_encode(&message, frame, sizeof frame);
      CHECK(size > 0);
      CHECK_EQ(hg_outside_decode(frame, size, &back), HG_OK);
      CHECK(hg_message_equal(&message, &back));
    }
}

// What a command says, said shorter: of an empty text nothing, so that it comes out as one that nobody gave.
TEST(outside_read, a_command_says_no_empty_text) {
  uint64_t seed = hg_test_seed("a_command_says_no_empty_text");
  char scratch[CODEC_SCRATCH];
  for (unsigned code = 0; (code = codec_next_control(code));)
    for (unsigned round = 0; round < CODEC_ROUNDS; round++) {
      struct hg_message message, back;
      hg_message_random(&message, (enum hg_kind)code, &seed, scratch, sizeof scratch);
      if (round == 0) hg_message_init(&message, (enum hg_kind)code);
      const size_t size = hg_outside_encode_command(&message, frame, sizeof frame);
      CHECK(size > 0 && size <= hg_outside_encode(&message, (uint8_t[HG_OUTSIDE_FRAME_MAX]){0}, HG_OUTSIDE_FRAME_MAX));
      CHECK_EQ(hg_outside_decode(frame, size, &back), HG_OK);
      CHECK(hg_message_equal(&message, &back));
      const struct hg_kind_info *info = hg_kind_info(message.kind);
      for (uint32_t i = 0; i < info->field_count; i++) {
        if (info->fields[i].type != HG_FIELD_text) continue;
        const struct hg_text *text = (const struct hg_text *)((const char *)&back + info->fields[i].offset);
        CHECK_EQ(text->data != NULL, text->size > 0);
      }
    }
}

// ------------------------------------------------------------------------------------------------ as others write

// A map being written by hand.
struct draft {
  msgpack_sbuffer buffer;
  msgpack_packer packer;
};

static void draft_begin(struct draft *draft, size_t pairs) {
  msgpack_sbuffer_init(&draft->buffer);
  msgpack_packer_init(&draft->packer, &draft->buffer, msgpack_sbuffer_write);
  msgpack_pack_map(&draft->packer, pairs);
}

static msgpack_packer *key(struct draft *draft, const char *name) {
  msgpack_pack_str_with_body(&draft->packer, name, strlen(name));
  return &draft->packer;
}

static void text(struct draft *draft, const char *name, const char *value) {
  msgpack_pack_str_with_body(key(draft, name), value, strlen(value));
}

static hg_err draft_decode(struct draft *draft, struct hg_message *out) {
  const hg_err err = hg_outside_decode((const uint8_t *)draft->buffer.data, draft->buffer.size, out);
  CHECK_EQ(decode_exact(draft->buffer.data, draft->buffer.size), err);
  msgpack_sbuffer_destroy(&draft->buffer);
  return err;
}

static void pack_nested(msgpack_packer *packer, int depth) {
  for (int i = 0; i < depth; i++)
    msgpack_pack_array(packer, 1);
  msgpack_pack_nil(packer);
}

// Packs an integer in one of the ways in which some library may.
static void pack_somehow(msgpack_packer *packer, uint64_t way, const msgpack_object *value) {
  const bool is_small = value->type == MSGPACK_OBJECT_POSITIVE_INTEGER && value->via.u64 < (UINT64_C(1) << 53);
  if (is_small && way % 3 == 0) msgpack_pack_double(packer, (double)value->via.u64);
  else if (is_small && way % 3 == 1) msgpack_pack_fix_int64(packer, (int64_t)value->via.u64);
  else msgpack_pack_object(packer, *value);
}

// The pairs of the map in another order, with numbers of other widths, and with fields that we do not know.
static void rewrite(struct draft *draft, size_t size, uint64_t *seed) {
  msgpack_unpacked whole;
  msgpack_unpacked_init(&whole);
  CHECK_EQ(msgpack_unpack_next(&whole, (const char *)frame, size, NULL), MSGPACK_UNPACK_SUCCESS);
  const msgpack_object_map *map = &whole.data.via.map;
  const uint32_t first = (uint32_t)(codec_random(seed) % map->size);
  draft_begin(draft, (size_t)map->size + 3);
  for (uint32_t i = 0; i < map->size; i++) {
    const msgpack_object_kv *pair = &map->ptr[(first + i * (map->size - 1)) % map->size]; // backwards from the first
    msgpack_pack_object(&draft->packer, pair->key);
    pack_somehow(&draft->packer, codec_random(seed), &pair->val);
    if (i == 0) pack_nested(key(draft, "unknown"), 7);
    if (i == 1) msgpack_pack_int(&draft->packer, 5), msgpack_pack_nil(&draft->packer); // a key that is no text
    if (i == 2) msgpack_pack_map(key(draft, "another"), 0);
  }
  msgpack_unpacked_destroy(&whole);
}

TEST(outside_read, order_and_width_do_not_matter) {
  uint64_t seed = hg_test_seed("order_and_width_do_not_matter");
  char scratch[CODEC_SCRATCH];
  for (unsigned code = 0; (code = codec_next_control(code));)
    for (unsigned round = 0; round < CODEC_ROUNDS; round++) {
      struct hg_message message, back;
      struct draft draft;
      hg_message_random(&message, (enum hg_kind)code, &seed, scratch, sizeof scratch);
      rewrite(&draft, hg_outside_encode(&message, frame, sizeof frame), &seed);
      CHECK_EQ(hg_outside_decode((const uint8_t *)draft.buffer.data, draft.buffer.size, &back), HG_OK);
      CHECK(hg_message_equal(&message, &back));
      msgpack_sbuffer_destroy(&draft.buffer);
    }
}

TEST(outside_read, what_is_missing_or_nil_has_its_default) {
  struct draft draft;
  struct hg_message message;
  draft_begin(&draft, 1);
  text(&draft, "type", "STATUS");
  CHECK_EQ(draft_decode(&draft, &message), HG_OK);
  CHECK(message.kind == HG_STATUS && message.as.status.request == 0 && message.as.status.budget.size == 0);
  draft_begin(&draft, 4);
  text(&draft, "type", "LIMIT");
  msgpack_pack_nil(key(&draft, "budget"));
  msgpack_pack_nil(key(&draft, "v"));
  msgpack_pack_double(key(&draft, "tokens"), 5e5);
  CHECK_EQ(draft_decode(&draft, &message), HG_OK);
  CHECK(message.kind == HG_LIMIT && message.as.limit.tokens == 500000 && message.as.limit.budget.size == 0);
}

// ------------------------------------------------------------------------------------------------ refusals

TEST(outside_read, other_types_and_versions_are_refused) {
  static const char *const types[] = {"", "status", "STATUS ", "RECORD_USAGE", "STOP", "HEARTBEAT", "TOKENS_RESERVED"};
  struct draft draft;
  struct hg_message message;
  for (size_t i = 0; i < sizeof types / sizeof *types; i++) {
    draft_begin(&draft, 1);
    text(&draft, "type", types[i]);
    CHECK_EQ(draft_decode(&draft, &message), HG_ERR_PROTOCOL);
  }
  for (int version = 0; version <= 3; version++) {
    draft_begin(&draft, 2);
    text(&draft, "type", "STATUS");
    msgpack_pack_int(key(&draft, "v"), version);
    CHECK_EQ(draft_decode(&draft, &message), version == 1 ? HG_OK : HG_ERR_PROTOCOL);
  }
  draft_begin(&draft, 1);
  msgpack_pack_int(key(&draft, "request"), 1);
  CHECK_EQ(draft_decode(&draft, &message), HG_ERR_PROTOCOL);
}

TEST(outside_read, a_field_said_twice_is_refused) {
  static const char *const twice[] = {"tokens", "request", "budget", "v", "type", "unknown"};
  for (size_t i = 0; i < sizeof twice / sizeof *twice; i++) {
    struct draft draft;
    struct hg_message message;
    draft_begin(&draft, 3);
    text(&draft, "type", "LIMIT");
    for (int n = 0; n < 2; n++)
      if (strcmp(twice[i], "type") == 0) text(&draft, n ? "more" : "type", "LIMIT");
      else if (strcmp(twice[i], "budget") == 0) text(&draft, "budget", "a");
      else msgpack_pack_int(key(&draft, twice[i]), 1);
    CHECK_EQ(draft_decode(&draft, &message), strcmp(twice[i], "unknown") ? HG_ERR_PROTOCOL : HG_OK);
  }
}

// Of what is refused for another reason; 0 only where nobody could say which number was meant.
TEST(outside_read, the_request_of_a_refused_frame) {
  static const struct {
    const char *what;
    uint64_t request;
  } cases[] = {{"wrong text", 7}, {"version", 7}, {"no type", 7}, {"cut off", 7}, {"more", 7}, {"integral", 7},
               {"twice", 0},      {"text", 0},    {"nested", 0},  {"real", 0},    {"nil", 0},  {"none", 0}};
  for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
    const char *what = cases[i].what;
    struct draft draft;
    struct hg_message message;
    const bool is_none = strcmp(what, "none") == 0, is_more = strcmp(what, "more") == 0;
    draft_begin(&draft, is_none ? 1 : strcmp(what, "cut off") == 0 ? 4 : 3);
    if (strcmp(what, "no type") == 0) text(&draft, "budget", "a");
    else text(&draft, "type", is_none ? "NO" : "STATUS");
    if (strcmp(what, "wrong text") == 0) msgpack_pack_str_with_body(key(&draft, "budget"), "\xff\0", 2);
    else if (strcmp(what, "twice") == 0) msgpack_pack_int(key(&draft, "request"), 7);
    else if (strcmp(what, "nested") == 0) pack_nested(key(&draft, "unknown"), HG_NESTING_MAX);
    else if (!is_none) msgpack_pack_int(key(&draft, "v"), is_more || cases[i].request == 7 ? 2 : 1);
    if (strcmp(what, "text") == 0) text(&draft, "request", "7");
    else if (strcmp(what, "real") == 0) msgpack_pack_double(key(&draft, "request"), 7.5);
    else if (strcmp(what, "integral") == 0) msgpack_pack_double(key(&draft, "request"), 7.0);
    else if (strcmp(what, "nil") == 0) msgpack_pack_nil(key(&draft, "request"));
    else if (!is_none) msgpack_pack_int(key(&draft, "request"), 7);
    if (is_more) msgpack_pack_nil(&draft.packer);
    const uint64_t request = hg_outside_read_request((const uint8_t *)draft.buffer.data, draft.buffer.size);
    if (request != cases[i].request) printf("%s\n", what);
    CHECK_EQ(request, cases[i].request);
    CHECK_EQ(draft_decode(&draft, &message), strcmp(what, "nil") ? HG_ERR_PROTOCOL : HG_OK);
  }
  CHECK_EQ(hg_outside_read_request(NULL, 0), 0);
  CHECK_EQ(hg_outside_read_request((const uint8_t *)"\x93\x01\x02\x03", 4), 0);
}

// LIMIT.tokens is from 0 to 2^53 - 1.
TEST(outside_read, numbers_out_of_range_are_refused) {
  static const struct {
    double real;
    hg_err wanted;
  } reals[] = {{0.0, HG_OK},
               {-0.0, HG_OK},
               {9007199254740991.0, HG_OK},
               {9007199254740992.0, HG_ERR_PROTOCOL},
               {-1.0, HG_ERR_PROTOCOL},
               {0.5, HG_ERR_PROTOCOL},
               {1e300, HG_ERR_PROTOCOL},
               {-1e300, HG_ERR_PROTOCOL},
               {0x1p63, HG_ERR_PROTOCOL},
               {0x1p64, HG_ERR_PROTOCOL},
               {-0x1p63, HG_ERR_PROTOCOL},
               {INFINITY, HG_ERR_PROTOCOL},
               {-INFINITY, HG_ERR_PROTOCOL},
               {NAN, HG_ERR_PROTOCOL}};
  for (size_t i = 0; i < sizeof reals / sizeof *reals; i++) {
    struct draft draft;
    struct hg_message message;
    draft_begin(&draft, 2);
    text(&draft, "type", "LIMIT");
    msgpack_pack_double(key(&draft, "tokens"), reals[i].real);
    CHECK_EQ(draft_decode(&draft, &message), reals[i].wanted);
  }
  static const struct {
    uint64_t number;
    hg_err wanted;
  } numbers[] = {{HG_TOKENS_MAX, HG_OK}, {HG_TOKENS_MAX + 1, HG_ERR_PROTOCOL}, {UINT64_MAX, HG_ERR_PROTOCOL}};
  for (size_t i = 0; i < sizeof numbers / sizeof *numbers; i++) {
    struct draft draft;
    struct hg_message message;
    draft_begin(&draft, 2);
    text(&draft, "type", "LIMIT");
    msgpack_pack_uint64(key(&draft, "tokens"), numbers[i].number);
    CHECK_EQ(draft_decode(&draft, &message), numbers[i].wanted);
  }
}

// A number where a text belongs, and the other way round.
TEST(outside_read, wrong_types_are_refused) {
  for (unsigned code = 0; (code = codec_next_control(code));) {
    const struct hg_kind_info *info = hg_kind_info(code);
    for (uint32_t i = 0; i < info->field_count; i++)
      for (int way = 0; way < 4; way++) {
        struct draft draft;
        struct hg_message message;
        draft_begin(&draft, 2);
        msgpack_packer *packer = key(&draft, info->fields[i].outside_name);
        const bool is_text = info->fields[i].type == HG_FIELD_text || info->fields[i].type == HG_FIELD_body ||
                             info->fields[i].type == HG_FIELD_id;
        if (way == 0 && is_text) msgpack_pack_int(packer, 1);
        else if (way == 0) msgpack_pack_str_with_body(packer, "1", 1);
        else if (way == 1) msgpack_pack_bin_with_body(packer, "1", 1);
        else if (way == 2) msgpack_pack_array(packer, 0);
        else if (info->fields[i].type == HG_FIELD_flag) msgpack_pack_int(packer, 1);
        else msgpack_pack_true(packer);
        text(&draft, "type", info->name);
        CHECK_EQ(draft_decode(&draft, &message), HG_ERR_PROTOCOL);
      }
  }
}

TEST(outside_read, nesting_is_bounded) {
  for (int depth = 0; depth < 40; depth++) {
    struct draft draft;
    struct hg_message message;
    draft_begin(&draft, 2);
    pack_nested(key(&draft, "unknown"), depth);
    text(&draft, "type", "STATUS");
    CHECK_EQ(draft_decode(&draft, &message), depth <= 7 ? HG_OK : HG_ERR_PROTOCOL); // the map is the eighth
  }
}

#define HOSTILE(bytes)                                                                                                 \
  { bytes, sizeof bytes - 1 }

TEST(outside_read, hostile_frames_are_refused) {
  static const struct {
    const char *data;
    size_t size;
  } frames[] = {
      HOSTILE(""),
      HOSTILE("\xc0"),
      HOSTILE("\x80"),
      HOSTILE("\x91\x80"),
      HOSTILE("\xdf\x10\x00\x00\x00"),
      HOSTILE("\xdf\xff\xff\xff\xff\xa4type\xa6STATUS"),
      HOSTILE("\x82\xa4type\xa6STATUS"),                          // a pair too few
      HOSTILE("\x81\xa4type\xa6STATUS\xc0"),                      // bytes after the end
      HOSTILE("\x82\xa4type\xa6STATUS\xa1x\xdd\x10\x00\x00\x00"), // 2^28 elements
      HOSTILE("\x82\xa4type\xa6STATUS\xa1x\xdb\xff\xff\xff\xff"), // 4 GiB
      HOSTILE("\x82\xa4type\xa6STATUS\xa1x\xc1"),
      HOSTILE("\x82\xa4type\xa6STATUS\x90\x01"), // a list as a key
      HOSTILE("\x82\xa4type\xa6STATUS\x80\x01"),
      HOSTILE("\x82\xa4type\xa6STATUS\xa1\xff\x01"), // a key that is not UTF-8
      HOSTILE("\x82\xa4type\xa6STATUS\xa6"
              "budget\xa2\xc0\x80"),
      HOSTILE("\x82\xa4type\xa6STATUS\xa6"
              "budget\xa1\x00"),
      HOSTILE("\x81\xa4type\x01"),
      HOSTILE("\x81\xc4\x04type\xa6STATUS"), // the key is bytes
  };
  struct hg_event_envelope envelope;
  for (size_t i = 0; i < sizeof frames / sizeof *frames; i++) {
    uint8_t *exact = codec_exact(frames[i].data, frames[i].size);
    CHECK_EQ(decode_exact(exact, frames[i].size), HG_ERR_PROTOCOL);
    CHECK_EQ(hg_outside_read_envelope(exact, frames[i].size, &envelope), HG_ERR_PROTOCOL);
    free(exact);
  }
  struct hg_message message;
  CHECK_EQ(hg_outside_decode(NULL, 0, &message), HG_ERR_PROTOCOL);
  CHECK_EQ(hg_outside_read_envelope(NULL, 0, &envelope), HG_ERR_PROTOCOL);
}

TEST(outside_read, oversized_frames_are_refused) {
  for (size_t over = 0; over < 2; over++) {
    static uint8_t rest[HG_COMMAND_FRAME_MAX];
    struct draft draft;
    struct hg_message message;
    draft_begin(&draft, 2);
    text(&draft, "type", "STATUS");
    key(&draft, "x");
    const size_t room = HG_COMMAND_FRAME_MAX - draft.buffer.size - 3 + over;
    msgpack_pack_bin_with_body(&draft.packer, rest, room);
    CHECK_EQ(draft.buffer.size, HG_COMMAND_FRAME_MAX + over);
    CHECK_EQ(draft_decode(&draft, &message), over ? HG_ERR_PROTOCOL : HG_OK);
  }
}

TEST(outside_read, truncated_frames_are_refused) {
  uint64_t seed = hg_test_seed("truncated_frames_are_refused");
  char scratch[CODEC_SCRATCH];
  for (unsigned code = 0; (code = codec_next_control(code));)
    for (unsigned round = 0; round < 20; round++) {
      struct hg_message message;
      hg_message_random(&message, (enum hg_kind)code, &seed, scratch, sizeof scratch);
      const size_t size = hg_outside_encode(&message, frame, sizeof frame);
      for (size_t cut = 0; cut < size; cut++)
        CHECK_EQ(decode_exact(frame, cut), HG_ERR_PROTOCOL);
    }
}

TEST(outside_read, what_we_accept_of_mutated_frames_msgpack_c_accepts) {
  uint64_t seed = hg_test_seed("mutated_frames");
  char scratch[CODEC_SCRATCH];
  static char json[8 * HG_OUTSIDE_FRAME_MAX];
  unsigned accepted = 0, refused = 0, code = 0;
  for (unsigned round = 0; round < 20 * CODEC_ROUNDS; round++) {
    struct hg_message message, back;
    code = codec_next_control(code);
    if (!code) code = codec_next_control(code);
    hg_message_random(&message, (enum hg_kind)code, &seed, scratch, 64);
    const size_t size = hg_outside_encode(&message, frame, sizeof frame);
    frame[codec_random(&seed) % size] = (uint8_t)codec_random(&seed);
    if (codec_random(&seed) & 1) frame[codec_random(&seed) % size] ^= (uint8_t)(1U << codec_random(&seed) % 8);
    uint8_t *exact = codec_exact(frame, size);
    if (hg_outside_decode(exact, size, &message) == HG_OK) {
      accepted++;
      CHECK(oracle_accepts(exact, size));
      const size_t again = hg_outside_encode(&message, frame, sizeof frame);
      CHECK_EQ(hg_outside_decode(frame, again, &back), HG_OK);
      CHECK(hg_message_equal(&message, &back));
    } else {
      refused++;
    }
    if (hg_outside_to_json(exact, size, json, sizeof json)) {
      CHECK(oracle_accepts(exact, size));
      json_t *root = json_loads(json, JSON_DECODE_ANY | JSON_DECODE_INT_AS_REAL, NULL);
      CHECK(root != NULL);
      json_decref(root);
    }
    free(exact);
  }
  CHECK(accepted > CODEC_ROUNDS / 2 && refused > CODEC_ROUNDS / 2);
}

// ------------------------------------------------------------------------------------------------ heartbeats

static void draft_beat(struct draft *draft, size_t fields) {
  draft_begin(draft, 2);
  text(draft, "type", "HEARTBEAT");
  msgpack_pack_map(key(draft, "payload"), fields);
}

static hg_err read_beat(struct draft *draft, struct hg_beat *beat) {
  uint8_t *exact = codec_exact(draft->buffer.data, draft->buffer.size);
  const hg_err err = hg_outside_read_beat(exact, draft->buffer.size, beat);
  free(exact);
  msgpack_sbuffer_destroy(&draft->buffer);
  return err;
}

TEST(outside_read, a_heartbeat_is_read_with_topics_of_later_versions) {
  struct draft draft;
  struct hg_beat beat;
  draft_beat(&draft, 4);
  msgpack_pack_map(key(&draft, "topics"), 4);
  msgpack_pack_double(key(&draft, "USAGE_RECORDED"), 42);
  msgpack_pack_uint64(key(&draft, "TASK_FAILED"), 7);
  msgpack_pack_uint64(key(&draft, "OF_A_LATER_VERSION"), 50);
  msgpack_pack_uint64(key(&draft, "STATUS"), 60); // no event
  msgpack_pack_uint64(key(&draft, "newest"), UINT64_MAX);
  msgpack_pack_true(key(&draft, "storeDegraded"));
  msgpack_pack_nil(key(&draft, "later"));
  CHECK_EQ(read_beat(&draft, &beat), HG_OK);
  CHECK(beat.newest == UINT64_MAX && beat.degraded);
  for (unsigned i = 0; i < HG_EVENT_KINDS; i++)
    CHECK_EQ(beat.topic_newest[i], HG_EVENT_FIRST + i == HG_USAGE_RECORDED ? 42
                                   : HG_EVENT_FIRST + i == HG_TASK_FAILED  ? 7
                                                                           : 0);
}

TEST(outside_read, what_is_no_heartbeat_is_refused) {
  struct draft draft;
  struct hg_beat beat;
  draft_begin(&draft, 1);
  text(&draft, "type", "HEARTBEAT");
  CHECK_EQ(read_beat(&draft, &beat), HG_ERR_PROTOCOL);
  draft_begin(&draft, 2);
  text(&draft, "type", "TASK_FAILED");
  msgpack_pack_map(key(&draft, "payload"), 0);
  CHECK_EQ(read_beat(&draft, &beat), HG_ERR_PROTOCOL);
  draft_begin(&draft, 2);
  text(&draft, "type", "HEARTBEAT");
  msgpack_pack_uint64(key(&draft, "payload"), 5);
  CHECK_EQ(read_beat(&draft, &beat), HG_ERR_PROTOCOL);
  draft_beat(&draft, 1);
  msgpack_pack_int64(key(&draft, "newest"), -1);
  CHECK_EQ(read_beat(&draft, &beat), HG_ERR_PROTOCOL);
  draft_beat(&draft, 1);
  msgpack_pack_uint64(key(&draft, "topics"), 5);
  CHECK_EQ(read_beat(&draft, &beat), HG_ERR_PROTOCOL);
  draft_beat(&draft, 1);
  msgpack_pack_map(key(&draft, "topics"), 1);
  text(&draft, "TASK_FAILED", "seven");
  CHECK_EQ(read_beat(&draft, &beat), HG_ERR_PROTOCOL);
}

TEST(outside_read, mutated_heartbeats_are_read_within_their_bytes) {
  uint64_t seed = hg_test_seed("mutated_heartbeats");
  unsigned accepted = 0, refused = 0;
  for (unsigned round = 0; round < 20 * CODEC_ROUNDS; round++) {
    struct draft draft;
    struct hg_beat beat;
    draft_beat(&draft, 2);
    msgpack_pack_map(key(&draft, "topics"), 2);
    msgpack_pack_uint64(key(&draft, "USAGE_RECORDED"), codec_random(&seed));
    msgpack_pack_uint64(key(&draft, "TASK_FAILED"), 7);
    msgpack_pack_uint64(key(&draft, "newest"), codec_random(&seed));
    draft.buffer.data[codec_random(&seed) % draft.buffer.size] = (char)codec_random(&seed);
    draft.buffer.size -= codec_random(&seed) % 8 == 0;
    *(read_beat(&draft, &beat) == HG_OK ? &accepted : &refused) += 1;
  }
  CHECK(accepted > CODEC_ROUNDS / 2 && refused > CODEC_ROUNDS / 2);
}
