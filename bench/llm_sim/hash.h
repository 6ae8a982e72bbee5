/* hash.h: the only source of chance in llm-sim. Everything that looks random (how long an answer takes, how many tokens
 * it has, whether it fails) is drawn from the hash of the request and the seed, so that a run can be repeated. */
#ifndef LLM_SIM_HASH_H
#define LLM_SIM_HASH_H

#include <stddef.h>
#include <stdint.h>
#include <string.h>

#define HASH_ODD UINT64_C(0x9e3779b97f4a7c15)

/* What a number is drawn for, so that two draws of one request are independent. */
enum draw {
  DRAW_FAULT,
  DRAW_OUTPUT,
  DRAW_CACHE,
  DRAW_TEXT,
  DRAW_VECTOR,
  DRAW_LATENCY,
  DRAW_LATENCY_ANGLE,
  DRAW_COUNT_FAULT
};

static inline uint64_t hash_mix(uint64_t x) {
  x = (x ^ (x >> 30)) * UINT64_C(0xbf58476d1ce4e5b9);
  x = (x ^ (x >> 27)) * UINT64_C(0x94d049bb133111eb);
  return x ^ (x >> 31);
}

static inline uint64_t hash_bytes(uint64_t start, const void *bytes, size_t length) {
  const unsigned char *at = bytes;
  uint64_t hash = hash_mix(start ^ (length * HASH_ODD));
  for (size_t left = length; left > 0;) {
    uint64_t word = 0;
    const size_t step = left < sizeof word ? left : sizeof word;
    if (step == sizeof word) memcpy(&word, at, sizeof word);
    else memcpy(&word, at, step);
    hash = (hash ^ word) * HASH_ODD;
    hash ^= hash >> 32;
    at += step;
    left -= step;
  }
  return hash_mix(hash);
}

static inline uint64_t hash_draw(uint64_t hash, uint64_t seed, enum draw what, uint64_t which) {
  return hash_mix(hash_mix(hash ^ (seed * HASH_ODD)) + (which * 16 + (uint64_t)what) * HASH_ODD);
}

/* The same as a fraction, 0 <= x < 1. */
static inline double hash_fraction(uint64_t hash, uint64_t seed, enum draw what, uint64_t which) {
  return (double)(hash_draw(hash, seed, what, which) >> 11) * 0x1p-53;
}

#endif
