/* server.h: the HTTP side of llm-sim. One thread does everything: it waits, lets requests in, and sends the answers
 * that have become due. There is nothing to lock, and what the counters say is true at each moment. */
#ifndef LLM_SIM_SERVER_H
#define LLM_SIM_SERVER_H

#include "options.h"
#include "stats.h"

#include <stdint.h>

enum { SERVER_CONNECTIONS_MAX = 16384, SERVER_BODY_BYTES_MAX = 16 * 1024 * 1024 };

struct server;

/* Listens once it returns. NULL, with a message on stderr, when it can't. `options` must outlive it. */
struct server *server_start(const struct options *options);
uint16_t server_port(const struct server *server);
/* Readable when server_run has something to do; it also has when server_wait_ms have passed (-1 = without end). */
int server_fd(const struct server *server);
int server_wait_ms(const struct server *server);
void server_run(struct server *server);
void server_flush_log(struct server *server);
const struct stats *server_stats(const struct server *server);
/* Lets no more requests in and gives up those in flight; server_stats stays readable until server_destroy. */
void server_stop(struct server *server);
/* False when the log could not be written. */
bool server_destroy(struct server **server);

#endif
