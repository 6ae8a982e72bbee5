// SipHash-2-4.
#include "base/siphash.h"

#include <endian.h>
#include <string.h>

struct sip_state {
  uint64_t v0, v1, v2, v3;
};

static inline uint64_t rotate(uint64_t value, unsigned bits) {
  return value << bits | value >> (64 - bits);
}

static inline void sip_round(struct sip_state *s) {
  s->v0 += s->v1, s->v2 += s->v3;
  s->v1 = rotate(s->v1, 13) ^ s->v0;
  s->v3 = rotate(s->v3, 16) ^ s->v2;
  s->v0 = rotate(s->v0, 32);
  s->v2 += s->v1, s->v0 += s->v3;
  s->v1 = rotate(s->v1, 17) ^ s->v2;
  s->v3 = rotate(s->v3, 21) ^ s->v0;
  s->v2 = rotate(s->v2, 32);
}

static inline void sip_word(struct sip_state *s, uint64_t word) {
  s->v3 ^= word;
  sip_round(s);
  sip_round(s);
  s->v0 ^= word;
}

uint64_t hg_siphash(struct hg_hash_key key, const void *data, size_t len) {
  // The start values are the paper's.
  struct sip_state s = {key.k0 ^ UINT64_C(0x736f6d6570736575), key.k1 ^ UINT64_C(0x646f72616e646f6d),
                        key.k0 ^ UINT64_C(0x6c7967656e657261), key.k1 ^ UINT64_C(0x7465646279746573)};
  const unsigned char *bytes = data;
  uint64_t word;
  size_t at = 0;
  for (; len - at >= sizeof word; at += sizeof word) {
    memcpy(&word, bytes + at, sizeof word);
    sip_word(&s, le64toh(word));
  }
  word = (uint64_t)len << 56;
  for (unsigned shift = 0; at < len; at++, shift += 8)
    word |= (uint64_t)bytes[at] << shift;
  sip_word(&s, word);
  s.v2 ^= 0xFF;
  for (int i = 0; i < 4; i++)
    sip_round(&s);
  return s.v0 ^ s.v1 ^ s.v2 ^ s.v3;
}
