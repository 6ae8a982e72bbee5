// SipHash-2-4 (Aumasson and Bernstein, 2012): a 64-bit hash that nobody can make collide who does not know the key.
#ifndef HG_SIPHASH_H
#define HG_SIPHASH_H

#include <stddef.h>
#include <stdint.h>

struct hg_hash_key {
  uint64_t k0, k1; // the 16 bytes of the key, little-endian
};
uint64_t hg_siphash(struct hg_hash_key key, const void *data, size_t len);

#endif
