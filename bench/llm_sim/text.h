/* text.h: a growing piece of text, used for request bodies and answers. Running out of memory is remembered in `failed`
 * and asked for once, at the end, not after each append. */
#ifndef LLM_SIM_TEXT_H
#define LLM_SIM_TEXT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct text {
  char *data;
  size_t length, capacity;
  bool failed;
};

void text_append(struct text *text, const char *bytes, size_t length);
void text_string(struct text *text, const char *string);
void text_number(struct text *text, uint64_t number);
void text_hex(struct text *text, uint64_t number);        /* 16 digits */
void text_escaped(struct text *text, const char *string); /* as the inside of a JSON string */
/* Empties it; keeps the memory for the next use when that is no more than keep_bytes. */
void text_reset(struct text *text, size_t keep_bytes);
void text_free(struct text *text);

#endif
