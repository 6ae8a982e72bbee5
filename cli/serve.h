// headgate serve, and what it takes up of a configuration that is read again.
#ifndef HG_SERVE_H
#define HG_SERVE_H

#include "bus/door.h"
#include "bus/keys.h"
#include "config/config.h"

struct hg_serve {
  const char *config_file; // NULL: there is none to read again
  struct hg_config *said;  // what the file said last
  hg_runtime *runtime;
  hg_client *client;
  struct hg_metrics_server *metrics;
  unsigned long drain_s;
  char public_keys[HG_GATE_COUNT][HG_KEY_TEXT]; // of the secret keys at the start; empty: none
};

__attribute__((format(printf, 1, 2))) void hg_serve_say(const char *format, ...);
// SIGTERM or SIGINT, which are blocked, wait.
bool hg_serve_is_told_to_end(void);

// Once the runtime is open, and at each SIGHUP. A file that can't be read changes nothing.
void hg_serve_note_keys(struct hg_serve *serve);
void hg_serve_read_again(struct hg_serve *serve);

#endif
