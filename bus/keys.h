// Key files for endpoints that are open to the network (CURVE). A key is 40 characters (Z85). No key appears in an
// error, a log or an event.
#ifndef HG_KEYS_H
#define HG_KEYS_H

#include "headgate.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define HG_KEY_TEXT 41  // bytes of a key as text, with its NUL
#define HG_KEY_BYTES 32 // of a key as it is sent
#define HG_KEYS_ALLOWED_MAX 10000

// A fresh pair.
hg_err hg_keys_make(char public_key[HG_KEY_TEXT], char secret_key[HG_KEY_TEXT], hg_error *why);
// The public key that belongs to a secret one.
hg_err hg_keys_public(const char *secret_key, char public_key[HG_KEY_TEXT], hg_error *why);
bool hg_keys_valid(const char *key);

// A file with one secret key, which nobody but its owner may read. Clear `secret_key` after use (explicit_bzero).
hg_err hg_keys_read_secret(const char *file, char secret_key[HG_KEY_TEXT], hg_error *why);

// What a client shows an endpoint with keys. Clear it after use (explicit_bzero).
struct hg_client_keys {
  char server_key[HG_KEY_TEXT]; // public; empty: the endpoint has no keys
  char public_key[HG_KEY_TEXT], secret_key[HG_KEY_TEXT];
};
// From the public key of the server, a valid one, and the file of the client's secret key.
hg_err hg_keys_of_client(const char *server_key, const char *secret_key_file, struct hg_client_keys *out,
                         hg_error *why);

// Public keys, one a line; what follows a key is a remark, and so is a line that begins with '#'.
struct hg_allowed_keys {
  uint8_t (*keys)[HG_KEY_BYTES];
  size_t count;
};
hg_err hg_keys_read_allowed(const char *file, struct hg_allowed_keys *out, hg_error *why);
bool hg_keys_allow(const struct hg_allowed_keys *allowed, const uint8_t *key, size_t size);
void hg_keys_clear(struct hg_allowed_keys *allowed);

#endif
