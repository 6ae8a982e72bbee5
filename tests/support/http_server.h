// A small HTTP server in a thread of the test, which answers, breaks, hangs and floods as the path says.
#ifndef HG_TEST_HTTP_SERVER_H
#define HG_TEST_HTTP_SERVER_H

#include <pthread.h>
#include <semaphore.h>
#include <stdatomic.h>

#define HTTP_CONNECTIONS_MAX 128

struct http_connection {
  int fd;
  unsigned requests; // so far
};

struct http_server {
  int listener, stop[2];
  unsigned port;
  pthread_t thread;
  sem_t go_on; // what is held is sent when it is posted
  atomic_uint connections, requests;
  void (*on_request)(void *context); // before a request is answered, in the server's thread; set after the start
  void *context;
  struct http_connection open[HTTP_CONNECTIONS_MAX];
  unsigned open_count;
};

void http_server_start(struct http_server *server);
void http_server_stop(struct http_server *server);
// A bound socket on which nobody listens; its port.
unsigned http_listen_somewhere(int *fd);

#endif
