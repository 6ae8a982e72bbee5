// Keys that providers repeat in what they say about them.
#ifndef HG_SECRETS_H
#define HG_SECRETS_H

#include "providers/endpoint.h"

// A shorter credential is a placeholder for a server that wants none; hiding every "x" of a text would only garble it.
#define HG_SECRET_LEAST 4 // bytes

// Whether a "Name: value" header has this name.
bool hg_header_has_name(const char *header, const char *name);
// Whether a "Name: value" header carries a credential.
bool hg_is_credential(const char *header);

// Covers every credential among the target's headers with '*', as it is or as JSON escapes it; JSON stays JSON. *out is
// a copy (of `len` bytes, the caller's to free), or NULL where there was nothing to cover. HG_ERR_NO_MEMORY.
hg_err hg_target_hide_keys(const struct hg_target *target, const char *text, size_t len, char **out);

#endif
