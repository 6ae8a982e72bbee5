// Cutting a connection by a number that ZeroMQ named: what has that number now is cut only if it came in at one of our
// endpoints. labels: bus
#include "bus/outward.h"
#include "support/test.h"

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

// The accepted side of a connection to a listener of ours; the other side in `peer`.
static int connect_local(const char *path, int *peer) {
  struct sockaddr_un address = {.sun_family = AF_UNIX};
  snprintf(address.sun_path, sizeof address.sun_path, "%s", path);
  const int listener = socket(AF_UNIX, SOCK_STREAM, 0);
  CHECK(bind(listener, (const struct sockaddr *)&address, sizeof address) == 0 && listen(listener, 1) == 0);
  *peer = socket(AF_UNIX, SOCK_STREAM, 0);
  CHECK(connect(*peer, (const struct sockaddr *)&address, sizeof address) == 0);
  const int accepted = accept(listener, NULL, NULL);
  close(listener);
  unlink(path);
  return accepted;
}

static int connect_tcp(int family, unsigned *port, int *peer) {
  union {
    struct sockaddr any;
    struct sockaddr_in v4;
    struct sockaddr_in6 v6;
  } address = {{0}};
  socklen_t size = family == AF_INET ? sizeof address.v4 : sizeof address.v6;
  address.any.sa_family = (sa_family_t)family;
  if (family == AF_INET) address.v4.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  else address.v6.sin6_addr = in6addr_loopback;
  const int listener = socket(family, SOCK_STREAM, 0);
  CHECK(bind(listener, &address.any, size) == 0 && listen(listener, 1) == 0);
  CHECK(getsockname(listener, &address.any, &size) == 0);
  *port = ntohs(family == AF_INET ? address.v4.sin_port : address.v6.sin6_port);
  *peer = socket(family, SOCK_STREAM, 0);
  CHECK(connect(*peer, &address.any, size) == 0);
  const int accepted = accept(listener, NULL, NULL);
  close(listener);
  return accepted;
}

static bool is_open(int fd) {
  char byte;
  return recv(fd, &byte, 1, MSG_DONTWAIT) < 0 && errno == EAGAIN;
}

TEST(outward, only_what_came_in_at_our_endpoints_is_cut) {
  char folder[] = "/tmp/hg-outward-XXXXXX", ours[64], another[64], endpoint[80], tcp[64];
  CHECK(mkdtemp(folder) != NULL);
  snprintf(ours, sizeof ours, "%s/a.ipc", folder);
  snprintf(another, sizeof another, "%s/b.ipc", folder);
  snprintf(endpoint, sizeof endpoint, "ipc://%s", ours);
  int peers[4], pair[2];
  unsigned port, other_port;
  const int local = connect_local(ours, &peers[0]), foreign = connect_local(another, &peers[1]);
  const int v4 = connect_tcp(AF_INET, &port, &peers[2]), other = connect_tcp(AF_INET, &other_port, &peers[3]);
  CHECK(socketpair(AF_UNIX, SOCK_STREAM, 0, pair) == 0);
  snprintf(tcp, sizeof tcp, "tcp://0.0.0.0:%u", port);
  char *more[] = {tcp};
  const struct hg_outward_endpoints endpoints = {endpoint, more, 1};

  const int file = open("/dev/null", O_RDONLY);
  for (int i = 0; i < 2; i++)
    CHECK(!hg_outward_cut(pair[i], &endpoints, HG_CUT_AT_ONCE) &&
          !hg_outward_cut(peers[i], &endpoints, HG_CUT_AT_ONCE));
  CHECK(!hg_outward_cut(foreign, &endpoints, HG_CUT_AT_ONCE) && !hg_outward_cut(other, &endpoints, HG_CUT_AT_ONCE));
  CHECK(!hg_outward_cut(file, &endpoints, HG_CUT_AT_ONCE) && !hg_outward_cut(-1, &endpoints, HG_CUT_AT_ONCE) &&
        !hg_outward_cut(1 << 20, &endpoints, HG_CUT_AT_ONCE));
  CHECK(is_open(pair[0]) && is_open(pair[1]));
  for (int i = 0; i < 4; i++)
    CHECK(is_open(peers[i]));

  CHECK(hg_outward_cut(local, &endpoints, HG_CUT_AT_ONCE) && hg_outward_cut(v4, &endpoints, HG_CUT_AT_ONCE));
  CHECK(!is_open(peers[0]) && is_open(peers[1]) && !is_open(peers[2]) && is_open(peers[3]));
  const int all[] = {local, foreign, v4, other, file, pair[0], pair[1], peers[0], peers[1], peers[2], peers[3]};
  for (size_t i = 0; i < sizeof all / sizeof *all; i++)
    CHECK_EQ(close(all[i]), 0); // the numbers themselves are still theirs
  CHECK_EQ(rmdir(folder), 0);
}

TEST(outward, the_next_connection_with_a_descriptor_is_another_peer) {
  int pair[2], next[2];
  CHECK(socketpair(AF_UNIX, SOCK_STREAM, 0, pair) == 0);
  const hg_peer peer = hg_outward_peer(pair[0]);
  CHECK(peer != 0 && peer == hg_outward_peer(pair[0]) && peer != hg_outward_peer(pair[1]));
  CHECK_EQ(hg_outward_fd(peer), pair[0]);
  close(pair[0]);
  CHECK_EQ(hg_outward_fd(peer), -1);
  CHECK(socketpair(AF_UNIX, SOCK_STREAM, 0, next) == 0);
  CHECK_EQ(next[0], pair[0]);
  CHECK(hg_outward_peer(next[0]) != peer);
  CHECK_EQ(hg_outward_fd(peer), -1);
  CHECK(hg_outward_peer(-1) == 0 && hg_outward_fd(0) == -1);
  close(pair[1]);
  close(next[0]);
  close(next[1]);
}

// Whoever sends hears that nobody listens; what they are sent still arrives.
TEST(outward, input_alone_can_be_cut) {
  char folder[] = "/tmp/hg-outward-XXXXXX", path[64], endpoint[80], byte;
  CHECK(mkdtemp(folder) != NULL);
  snprintf(path, sizeof path, "%s/a.ipc", folder);
  snprintf(endpoint, sizeof endpoint, "ipc://%s", path);
  const struct hg_outward_endpoints endpoints = {endpoint, NULL, 0};
  int peer;
  const int accepted = connect_local(path, &peer);
  CHECK_EQ(send(peer, "abc", 3, MSG_NOSIGNAL), 3);
  CHECK(hg_outward_cut(accepted, &endpoints, HG_CUT_INPUT));
  CHECK_EQ(recv(accepted, &byte, 1, MSG_DONTWAIT), 0); // the end, and nothing of what came before
  CHECK(send(peer, "d", 1, MSG_NOSIGNAL) < 0 && errno == EPIPE);
  CHECK(is_open(peer));
  CHECK(send(accepted, "e", 1, MSG_NOSIGNAL) == 1 && recv(peer, &byte, 1, 0) == 1 && byte == 'e');
  close(accepted);
  close(peer);
  CHECK_EQ(rmdir(folder), 0);
}

TEST(outward, ipv6_connections_are_known_by_their_port) {
  unsigned port;
  int peer;
  const int accepted = connect_tcp(AF_INET6, &port, &peer);
  char endpoint[64];
  snprintf(endpoint, sizeof endpoint, "tcp://[::1]:%u", port);
  const struct hg_outward_endpoints none = {"ipc:///nowhere", NULL, 0}, endpoints = {endpoint, NULL, 0};
  CHECK(!hg_outward_cut(accepted, &none, HG_CUT_AT_ONCE) && is_open(peer));
  CHECK(hg_outward_cut(accepted, &endpoints, HG_CUT_AT_ONCE) && !is_open(peer));
  close(accepted);
  close(peer);
}

// What a bind of a dealer of its own says; `why` has the text.
static hg_err bind_at(void *context, const char *endpoint, hg_error *why) {
  struct hg_link link;
  CHECK_EQ(hg_link_open(context, HG_DEALER, (struct hg_link_limits){10, 10, 0}, &link), HG_OK);
  const hg_err err = hg_outward_bind(&link, endpoint, false, why);
  hg_link_close(&link);
  return err;
}

TEST(outward, what_stands_in_the_way_is_left_alone) {
  char folder[] = "/tmp/hg-outward-XXXXXX", file[64], endpoint[80], below[96];
  hg_error why = HG_ERROR_INIT;
  void *context;
  CHECK(mkdtemp(folder) != NULL);
  CHECK_EQ(hg_context_new(&context), HG_OK);
  snprintf(file, sizeof file, "%s/precious", folder);
  snprintf(endpoint, sizeof endpoint, "ipc://%s", file);
  const int fd = open(file, O_WRONLY | O_CREAT, 0600);
  CHECK(fd >= 0 && write(fd, "text", 4) == 4 && close(fd) == 0);
  CHECK_EQ(bind_at(context, endpoint, &why), HG_ERR_SYSTEM);
  CHECK(strstr(why.text, "something that is not a socket stands there") != NULL);
  CHECK_EQ(bind_at(context, endpoint, NULL), HG_ERR_SYSTEM); // whoever does not ask why
  snprintf(below, sizeof below, "%s/folder/a.ipc", endpoint);
  CHECK_EQ(bind_at(context, below, &why), HG_ERR_SYSTEM);
  CHECK(strstr(why.text, "cannot make the folder") != NULL);
  struct stat found;
  CHECK(stat(file, &found) == 0 && found.st_size == 4);
  CHECK_EQ(bind_at(context, "tcp://192.0.2.1:4000", &why), HG_ERR_SYSTEM); // no address of this machine
  CHECK(strstr(why.text, "cannot bind tcp://192.0.2.1:4000") != NULL);
  unlink(file);
  rmdir(folder);
  hg_context_destroy(context);
}
