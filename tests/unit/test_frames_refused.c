// The inside codec against what it must refuse: truncated, hostile, mutated frames, wrong types, numbers out of range.
#include "bus/frame_reader.h"
#include "unit/codec.h"

static uint8_t frame[HG_FRAME_MAX + 64];

static size_t encode(const struct hg_message *message) {
  const size_t size = hg_frame_encode(message, frame, sizeof frame);
  CHECK(size > 0);
  return size;
}

static hg_err decode_exact(const void *from, size_t size) {
  return codec_decode_exact(hg_frame_decode, from, size);
}

// The header of a frame says how many fields it has, so no beginning of a frame is a frame.
TEST(frames_refused, every_truncation_is_refused) {
  uint64_t seed = hg_test_seed("every_truncation_is_refused");
  char scratch[CODEC_SCRATCH];
  const struct hg_kind_info *info;
  for (unsigned i = 0; (info = hg_kind_at(i)) != NULL; i++)
    for (unsigned round = 0; round < 20; round++) {
      struct hg_message message;
      hg_message_random(&message, info->kind, &seed, scratch, sizeof scratch);
      const size_t size = encode(&message);
      for (size_t cut = 0; cut < size; cut++)
        CHECK_EQ(decode_exact(frame, cut), HG_ERR_PROTOCOL);
    }
}

// A frame being written by hand.
struct draft {
  msgpack_sbuffer buffer;
  msgpack_packer packer;
};

static void draft_begin(struct draft *draft, size_t elements, unsigned code) {
  msgpack_sbuffer_init(&draft->buffer);
  msgpack_packer_init(&draft->packer, &draft->buffer, msgpack_sbuffer_write);
  msgpack_pack_array(&draft->packer, elements);
  msgpack_pack_uint32(&draft->packer, code);
}

static hg_err draft_decode(struct draft *draft) {
  const hg_err err = decode_exact(draft->buffer.data, draft->buffer.size);
  msgpack_sbuffer_destroy(&draft->buffer);
  return err;
}

static void pack_default(msgpack_packer *packer, enum hg_field_type type) {
  if (type == HG_FIELD_flag) msgpack_pack_false(packer);
  else if (type == HG_FIELD_text) msgpack_pack_str(packer, 0);
  else if (type == HG_FIELD_body || type == HG_FIELD_bytes) msgpack_pack_bin(packer, 0);
  else msgpack_pack_int(packer, 0);
}

static bool is_number(enum hg_field_type type) {
  return type != HG_FIELD_flag && type != HG_FIELD_text && type != HG_FIELD_body && type != HG_FIELD_bytes;
}

// Values of every msgpack type, and numbers around every bound.
enum sample {
  NIL,
  FLAG,
  TEXT,
  BYTES,
  ARRAY,
  MAP,
  EXTENSION,
  REAL,
  MINUS_ONE,
  MINUS_TWO,
  LOWEST,
  ZERO,
  THREE,
  BUDGETS,
  U32,
  OVER_U32,
  TOKENS,
  OVER_TOKENS,
  I64,
  OVER_I64,
  U64,
  SAMPLES
};

static void pack_sample(msgpack_packer *packer, enum sample sample) {
  static const uint64_t numbers[SAMPLES] = {[THREE] = 3,
                                            [BUDGETS] = HG_BUDGETS_MAX,
                                            [U32] = UINT32_MAX,
                                            [OVER_U32] = UINT64_C(1) << 32,
                                            [TOKENS] = HG_TOKENS_MAX,
                                            [OVER_TOKENS] = HG_TOKENS_MAX + 1,
                                            [I64] = INT64_MAX,
                                            [OVER_I64] = UINT64_C(1) << 63,
                                            [U64] = UINT64_MAX};
  if (sample == NIL) msgpack_pack_nil(packer);
  else if (sample == FLAG) msgpack_pack_true(packer);
  else if (sample == TEXT) msgpack_pack_str_with_body(packer, "1", 1);
  else if (sample == BYTES) msgpack_pack_bin_with_body(packer, "1", 1);
  else if (sample == ARRAY) msgpack_pack_array(packer, 0);
  else if (sample == MAP) msgpack_pack_map(packer, 0);
  else if (sample == EXTENSION) msgpack_pack_ext_with_body(packer, "1", 1, 5);
  else if (sample == REAL) msgpack_pack_double(packer, 1.0);
  else if (sample == MINUS_ONE) msgpack_pack_int(packer, -1);
  else if (sample == MINUS_TWO) msgpack_pack_int(packer, -2);
  else if (sample == LOWEST) msgpack_pack_int64(packer, INT64_MIN);
  else msgpack_pack_uint64(packer, numbers[sample]);
}

static bool takes(enum hg_field_type type, enum sample sample) {
  switch (type) {
  case HG_FIELD_flag: return sample == FLAG;
  case HG_FIELD_text: return sample == TEXT;
  case HG_FIELD_body:
  case HG_FIELD_bytes: return sample == BYTES;
  case HG_FIELD_u32:
  case HG_FIELD_percent: return sample >= ZERO && sample <= U32;
  case HG_FIELD_budget: return sample == ZERO || sample == THREE;
  case HG_FIELD_source: return sample == ZERO;
  case HG_FIELD_u64:
  case HG_FIELD_id: return sample >= ZERO;
  case HG_FIELD_tokens: return sample >= ZERO && sample <= TOKENS;
  case HG_FIELD_opt:
  case HG_FIELD_amount: return sample == MINUS_ONE || (sample >= ZERO && sample <= TOKENS);
  case HG_FIELD_num:
  case HG_FIELD_time: return sample >= MINUS_ONE && sample <= I64;
  }
  return false;
}

TEST(frames_refused, wrong_types_and_values_out_of_range_are_refused) {
  const struct hg_kind_info *info;
  for (unsigned i = 0; (info = hg_kind_at(i)) != NULL; i++)
    for (uint32_t n = 0; n < info->frame_field_count; n++)
      for (unsigned sample = 0; sample < SAMPLES; sample++) {
        struct draft draft;
        draft_begin(&draft, n + 2, info->kind);
        for (uint32_t before = 0; before < n; before++)
          pack_default(&draft.packer, info->frame_fields[before].type);
        pack_sample(&draft.packer, (enum sample)sample);
        const bool taken = takes(info->frame_fields[n].type, (enum sample)sample);
        CHECK_EQ(draft_decode(&draft), taken ? HG_OK : HG_ERR_PROTOCOL);
      }
}

TEST(frames_refused, numbers_of_any_width_are_the_same) {
  const struct hg_kind_info *info;
  for (unsigned i = 0; (info = hg_kind_at(i)) != NULL; i++)
    for (unsigned width = 0; width < 8; width++) {
      struct draft draft;
      draft_begin(&draft, info->frame_field_count + 1, info->kind);
      for (uint32_t n = 0; n < info->frame_field_count; n++) {
        msgpack_packer *packer = &draft.packer;
        if (!is_number(info->frame_fields[n].type)) pack_default(packer, info->frame_fields[n].type);
        else if (width == 0) msgpack_pack_fix_uint8(packer, 2);
        else if (width == 1) msgpack_pack_fix_uint16(packer, 2);
        else if (width == 2) msgpack_pack_fix_uint32(packer, 2);
        else if (width == 3) msgpack_pack_fix_uint64(packer, 2);
        else if (width == 4) msgpack_pack_fix_int8(packer, 2);
        else if (width == 5) msgpack_pack_fix_int16(packer, 2);
        else if (width == 6) msgpack_pack_fix_int32(packer, 2);
        else msgpack_pack_fix_int64(packer, 2);
      }
      struct hg_message back;
      CHECK_EQ(hg_frame_decode((const uint8_t *)draft.buffer.data, draft.buffer.size, &back), HG_OK);
      for (uint32_t n = 0; n < info->frame_field_count; n++)
        if (is_number(info->frame_fields[n].type)) CHECK_EQ(((char *)&back)[info->frame_fields[n].offset], 2);
      msgpack_sbuffer_destroy(&draft.buffer);
    }
}

// What a later version appends.
TEST(frames_refused, unknown_fields_at_the_end_are_skipped_unless_they_nest) {
  const struct hg_kind_info *info;
  for (unsigned i = 0; (info = hg_kind_at(i)) != NULL; i++)
    for (unsigned sample = 0; sample < SAMPLES; sample++) {
      struct draft draft;
      draft_begin(&draft, info->frame_field_count + 2, info->kind);
      for (uint32_t n = 0; n < info->frame_field_count; n++)
        pack_default(&draft.packer, info->frame_fields[n].type);
      pack_sample(&draft.packer, (enum sample)sample);
      CHECK_EQ(draft_decode(&draft), sample == ARRAY || sample == MAP ? HG_ERR_PROTOCOL : HG_OK);
    }
}

TEST(frames_refused, bytes_after_the_end_are_refused) {
  struct hg_message message;
  hg_message_init(&message, HG_CANCEL);
  message.as.cancel.request = 7;
  const size_t size = encode(&message);
  frame[size] = 0xc0;
  CHECK_EQ(decode_exact(frame, size), HG_OK);
  CHECK_EQ(decode_exact(frame, size + 1), HG_ERR_PROTOCOL);
}

TEST(frames_refused, unknown_kinds_are_refused) {
  for (unsigned code = 0; code < 0x400; code++) {
    struct draft draft;
    draft_begin(&draft, 1, code);
    CHECK_EQ(draft_decode(&draft), hg_kind_info(code) ? HG_OK : HG_ERR_PROTOCOL);
  }
  struct draft draft;
  draft_begin(&draft, 1, UINT32_MAX);
  CHECK_EQ(draft_decode(&draft), HG_ERR_PROTOCOL);
}

#define HOSTILE(bytes)                                                                                                 \
  { bytes, sizeof bytes - 1 }

TEST(frames_refused, hostile_headers_are_refused) {
  static const struct {
    const char *data;
    size_t size;
  } frames[] = {
      HOSTILE(""),
      HOSTILE("\x90"),         // no code
      HOSTILE("\x23"),         // a bare number
      HOSTILE("\x81\x23\x01"), // a map
      HOSTILE("\xc1"),         // in no use
      HOSTILE("\x91\xc1"),
      HOSTILE("\x91\xff"),                                 // a negative code
      HOSTILE("\x91\xa1#"),                                // a code of text
      HOSTILE("\x91\xcf\x00\x00\x00\x01\x00\x00\x00\x23"), // 2^32 + a code
      HOSTILE("\xdd\x10\x00\x00\x00"),                     // 2^28 elements
      HOSTILE("\xdd\x10\x00\x00\x00\x23\x01"),
      HOSTILE("\xdd\xff\xff\xff\xff\x23\x01"),
      HOSTILE("\xdc\xff\xff\x23\x01"),
      HOSTILE("\x93\x63\x01\xdb\xff\xff\xff\xff"
              "abc"), // a text of 4 GiB
      HOSTILE("\x93\x63\x01\xda\xff\xff"
              "abc"),
      HOSTILE("\x93\x63\x01\xd9\x04"
              "abc"),
      HOSTILE("\x93\x63\x01\xa4"
              "abc"),
      HOSTILE("\x94\x50\x01\x01\xc6\xff\xff\xff\xff"
              "abc"),                              // bytes of 4 GiB
      HOSTILE("\x93\x23\x01\xdd\x10\x00\x00\x00"), // an unknown field with 2^28 elements
      HOSTILE("\x93\x23\x01\xdf\x80\x00\x00\x00"),
      HOSTILE("\x93\x23\x01\xc9\xff\xff\xff\xff\x01"
              "abc"),                                          // an extension of 4 GiB
      HOSTILE("\x93\x23\x01\x91\x91\x91\x91\x91\x91\x91\x01"), // nesting
      HOSTILE("\x93\x63\x01\xa1\x80"),                         // not UTF-8
      HOSTILE("\x93\x63\x01\xa2\xc0\x80"),
      HOSTILE("\x93\x63\x01\xa3\xed\xa0\x80"),
      HOSTILE("\x93\x63\x01\xa2\xe2\x82"),
      HOSTILE("\x93\x63\x01\xa1\x00"),
  };
  for (size_t i = 0; i < sizeof frames / sizeof *frames; i++)
    CHECK_EQ(decode_exact(frames[i].data, frames[i].size), HG_ERR_PROTOCOL);
  struct hg_message message;
  CHECK_EQ(hg_frame_decode(NULL, 0, &message), HG_ERR_PROTOCOL);
}

// Each element is a byte at least and each pair two: a header that claims more than there are bytes left lies.
TEST(frames_refused, no_count_over_the_bytes_left_is_believed) {
  for (uint8_t left = 0; left < 8; left++)
    for (uint8_t claimed = 0; claimed < 8; claimed++) {
      const uint8_t data[16] = {0xdd, 0, 0, 0, claimed}, pairs_data[16] = {0xdf, 0, 0, 0, claimed};
      struct hg_reader array = hg_reader_of(data, (size_t)5 + left), map = hg_reader_of(pairs_data, (size_t)5 + left);
      uint32_t count = 99;
      CHECK_EQ(hg_read_array(&array, &count), claimed <= left);
      CHECK_EQ(hg_read_map(&map, &count), 2 * claimed <= left);
    }
}

TEST(frames_refused, frames_and_texts_have_a_greatest_size) {
  static uint8_t events[HG_FRAME_MAX];
  struct hg_message message, back;
  hg_message_init(&message, HG_FACTS);
  message.as.facts.events = (struct hg_bytes){events, sizeof events - 8};
  const size_t size = encode(&message); // 1 + 1 + 1 + 1 + 5 + the events: one too many
  CHECK_EQ(size, HG_FRAME_MAX + 1);
  CHECK_EQ(hg_frame_decode(frame, size, &back), HG_ERR_PROTOCOL);
  message.as.facts.events.size--;
  CHECK_EQ(hg_frame_decode(frame, encode(&message), &back), HG_OK);
  struct draft draft;
  draft_begin(&draft, 3, HG_STOPPED);
  msgpack_pack_int(&draft.packer, 0);
  msgpack_pack_str(&draft.packer, HG_TEXT_MAX + 1);
  for (int i = 0; i < HG_TEXT_MAX + 1; i++)
    msgpack_pack_str_body(&draft.packer, "x", 1);
  CHECK_EQ(draft_decode(&draft), HG_ERR_PROTOCOL);
}

// ------------------------------------------------------------------------------------------------ mutations

static void mutate(uint8_t *bytes, size_t *size, uint64_t *seed) {
  for (uint64_t times = 1 + codec_random(seed) % 4; times > 0; times--) {
    const size_t at = codec_random(seed) % *size;
    const uint64_t way = codec_random(seed) % 4;
    if (way == 0) bytes[at] = (uint8_t)codec_random(seed);
    else if (way == 1) bytes[at] ^= (uint8_t)(1U << codec_random(seed) % 8);
    else if (way == 2) bytes[at] = (uint8_t)(0xc0 + codec_random(seed) % 32);
    else if (*size > 1) memmove(bytes + at, bytes + at + 1, --*size - at);
  }
}

TEST(frames_refused, what_we_accept_of_mutated_frames_msgpack_c_accepts) {
  uint64_t seed = hg_test_seed("mutated_frames");
  char scratch[CODEC_SCRATCH];
  const struct hg_kind_info *info;
  unsigned accepted = 0, refused = 0;
  for (unsigned i = 0; (info = hg_kind_at(i)) != NULL; i++)
    for (unsigned round = 0; round < CODEC_ROUNDS; round++) {
      struct hg_message message, back;
      hg_message_random(&message, info->kind, &seed, scratch, 64);
      size_t size = encode(&message);
      mutate(frame, &size, &seed);
      uint8_t *exact = codec_exact(frame, size);
      if (hg_frame_decode(exact, size, &message) == HG_OK) {
        accepted++;
        CHECK(oracle_accepts(exact, size));
        const size_t again = encode(&message); // what was read can be written, and reads the same
        CHECK_EQ(hg_frame_decode(frame, again, &back), HG_OK);
        CHECK(hg_message_equal(&message, &back));
      } else {
        refused++;
      }
      free(exact);
    }
  CHECK(accepted > CODEC_ROUNDS / 2 && refused > CODEC_ROUNDS / 2);
}
