// Random valid messages, for property tests and simulations. Small and extreme values are as likely as those between.
#include "schemas/message.h"

#include <string.h>

// splitmix64 (Steele, Lea, Flood: Fast Splittable Pseudorandom Number Generators, 2014).
static uint64_t next_random(uint64_t *seed) {
  uint64_t z = *seed += UINT64_C(0x9e3779b97f4a7c15);
  z = (z ^ (z >> 30)) * UINT64_C(0xbf58476d1ce4e5b9);
  z = (z ^ (z >> 27)) * UINT64_C(0x94d049bb133111eb);
  return z ^ (z >> 31);
}

// From 0 to `most`; every width in bits is as likely, and the two ends are frequent.
static uint64_t random_number(uint64_t *seed, uint64_t most) {
  const uint64_t choice = next_random(seed) % 8;
  if (choice == 0) return 0;
  if (choice == 1) return most;
  const uint64_t number = next_random(seed) >> (next_random(seed) % 64);
  return most == UINT64_MAX ? number : number % (most + 1);
}

static int64_t random_signed(uint64_t *seed) {
  const uint64_t size = random_number(seed, INT64_MAX);
  return next_random(seed) & 1 ? (int64_t)size : -(int64_t)size - 1;
}

// The unused rest of the scratch buffer.
struct scratch {
  char *at;
  size_t room;
};

static uint32_t random_size(uint64_t *seed, const struct scratch *scratch, uint32_t most) {
  if (most > scratch->room) most = (uint32_t)scratch->room;
  return (uint32_t)random_number(seed, next_random(seed) & 1 && most > 24 ? 24 : most);
}

static struct hg_text random_text(uint64_t *seed, struct scratch *scratch) {
  static const char *const characters[] = {"a", "Z", "7", "-", " ", "\"", "\\", "\n", "\x7f", "é", "€", "漢", "🙂"};
  const struct hg_text whole = {scratch->at, random_size(seed, scratch, HG_TEXT_MAX)};
  uint32_t used = 0;
  while (used < whole.size) {
    const char *character = characters[next_random(seed) % (sizeof characters / sizeof *characters)];
    const uint32_t size = (uint32_t)strlen(character);
    if (size > whole.size - used) character = "x";
    memcpy(scratch->at + used, character, size > whole.size - used ? 1 : size);
    used += size > whole.size - used ? 1 : size;
  }
  scratch->at += used;
  scratch->room -= used;
  return whole;
}

static struct hg_bytes random_bytes(uint64_t *seed, struct scratch *scratch) {
  const struct hg_bytes bytes = {(uint8_t *)scratch->at, random_size(seed, scratch, 1024)};
  for (uint32_t i = 0; i < bytes.size; i++)
    scratch->at[i] = (char)next_random(seed);
  scratch->at += bytes.size;
  scratch->room -= bytes.size;
  return bytes;
}

static void random_field(const struct hg_field *field, void *to, uint64_t *seed, struct scratch *scratch) {
  switch (field->type) {
  case HG_FIELD_flag: *(bool *)to = next_random(seed) & 1; break;
  case HG_FIELD_u32:
  case HG_FIELD_percent: *(uint32_t *)to = (uint32_t)random_number(seed, UINT32_MAX); break;
  case HG_FIELD_budget: *(uint32_t *)to = (uint32_t)random_number(seed, HG_BUDGETS_MAX - 1); break;
  case HG_FIELD_source: *(uint32_t *)to = (uint32_t)random_number(seed, HG_SOURCE_MISSING); break;
  case HG_FIELD_u64:
  case HG_FIELD_id: *(uint64_t *)to = random_number(seed, UINT64_MAX); break;
  case HG_FIELD_num:
  case HG_FIELD_time: *(int64_t *)to = random_signed(seed); break;
  case HG_FIELD_tokens: *(int64_t *)to = (int64_t)random_number(seed, HG_TOKENS_MAX); break;
  case HG_FIELD_opt:
  case HG_FIELD_amount: *(int64_t *)to = (int64_t)random_number(seed, HG_TOKENS_MAX + 1) - 1; break;
  case HG_FIELD_text: *(struct hg_text *)to = random_text(seed, scratch); break;
  case HG_FIELD_body: {
    const struct hg_text text = random_text(seed, scratch);
    *(struct hg_bytes *)to = (struct hg_bytes){(const uint8_t *)text.data, text.size};
    break;
  }
  case HG_FIELD_bytes: *(struct hg_bytes *)to = random_bytes(seed, scratch); break;
  }
}

static char *put_number(char *to, uint8_t header, unsigned width, uint64_t number) {
  *to++ = (char)header;
  for (unsigned i = width; i-- > 0;)
    *to++ = (char)(number >> (8 * i));
  return to;
}

// What a heartbeat carries is itself msgpack: [code, seq, code, seq, …].
static struct hg_bytes random_topics(uint64_t *seed, struct scratch *scratch) {
  const size_t header = 3, pair = 3 + 9;
  if (scratch->room < header) return (struct hg_bytes){NULL, 0};
  const size_t fit = (scratch->room - header) / pair;
  const size_t count = (size_t)random_number(seed, fit < HG_EVENT_KINDS ? fit : HG_EVENT_KINDS);
  char *at = put_number(scratch->at, 0xdc, 2, 2 * count);
  for (size_t i = 0; i < count; i++) {
    at = put_number(at, 0xcd, 2, HG_EVENT_FIRST + i);
    at = put_number(at, 0xcf, 8, random_number(seed, UINT64_MAX));
  }
  const struct hg_bytes topics = {(uint8_t *)scratch->at, (uint32_t)(at - scratch->at)};
  scratch->room -= topics.size;
  scratch->at = at;
  return topics;
}

void hg_message_random(struct hg_message *message, enum hg_kind kind, uint64_t *seed, char *scratch, size_t room) {
  const struct hg_kind_info *info = hg_kind_info(kind);
  assert(info);
  struct scratch rest = {scratch, room};
  hg_message_init(message, kind);
  // Half of the messages end in defaults, which frames leave out.
  uint64_t filled = info->frame_field_count;
  if (next_random(seed) & 1) filled = next_random(seed) % (filled + 1);
  for (uint64_t i = 0; i < filled; i++)
    random_field(&info->frame_fields[i], (char *)message + info->frame_fields[i].offset, seed, &rest);
  if (kind == HG_HEARTBEAT && message->as.heartbeat.topics.size)
    message->as.heartbeat.topics = random_topics(seed, &rest);
}
