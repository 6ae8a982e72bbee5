// Binding outward endpoints with the checks that libzmq does not make.
#include "bus/outward.h"

#include "base/fail.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/tcp.h> // that of libc does not know tcpi_bytes_acked
#include <netinet/in.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

static hg_err make_folder(const char *path, hg_error *why) {
  char folder[HG_PATH_MAX + 1];
  const char *slash = strrchr(path, '/');
  if (!slash || slash == path) return HG_OK;
  snprintf(folder, sizeof folder, "%.*s", (int)(slash - path), path);
  if (mkdir(folder, 0700) == 0 || errno == EEXIST) return HG_OK;
  return hg_fail(why, HG_ERR_SYSTEM, "cannot make the folder %s of the endpoint ipc://%s: %s", folder, path,
                 strerror(errno));
}

// A socket that nobody listens on is left over from a process that died.
static bool somebody_listens(const char *path) {
  struct sockaddr_un address = {.sun_family = AF_UNIX};
  if (strlen(path) >= sizeof address.sun_path) return false;
  memcpy(address.sun_path, path, strlen(path) + 1);
  const int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
  if (fd < 0) return false;
  const bool alive = connect(fd, (const struct sockaddr *)&address, sizeof address) == 0 || errno == EAGAIN;
  close(fd);
  return alive;
}

static hg_err check_path(const char *path, bool is_ours, hg_error *why) {
  struct stat found;
  if (lstat(path, &found) != 0) return HG_OK;
  if (!S_ISSOCK(found.st_mode))
    return hg_fail(why, HG_ERR_SYSTEM,
                   "ipc://%s: something that is not a socket stands there; move it or name another path", path);
  if (!is_ours && somebody_listens(path))
    return hg_fail(why, HG_ERR_SYSTEM, "ipc://%s: another process is listening there; stop it or name another path",
                   path);
  return HG_OK;
}

static const char *path_of(const char *endpoint) {
  return strncmp(endpoint, "ipc://", 6) == 0 ? endpoint + 6 : NULL;
}

hg_err hg_outward_bind(struct hg_link *link, const char *endpoint, bool is_ours, hg_error *why) {
  hg_error local = HG_ERROR_INIT;
  if (!why) why = &local;
  const char *path = path_of(endpoint);
  hg_err err = path ? make_folder(path, why) : HG_OK;
  if (path && err == HG_OK) err = check_path(path, is_ours, why);
  if (err != HG_OK) return err;
  if (!path) (void)hg_link_use_ipv6(link, strchr(endpoint, '[') != NULL);
  if (hg_link_bind(link, endpoint) == HG_OK) return HG_OK;
  return hg_fail(why, HG_ERR_SYSTEM, "cannot bind %s: %s", endpoint, strerror(errno));
}

// ------------------------------------------------------------------------------------------------ connections

union address {
  struct sockaddr any;
  struct sockaddr_un unix;
  struct sockaddr_in v4;
  struct sockaddr_in6 v6;
};

// `own` is our side of a connection: whether it came in at the endpoint. A port is enough, whatever address it has.
static bool came_in_at(const union address *own, const char *endpoint) {
  const char *path = path_of(endpoint), *colon = strrchr(endpoint, ':');
  if (path) return own->any.sa_family == AF_UNIX && strncmp(own->unix.sun_path, path, sizeof own->unix.sun_path) == 0;
  const unsigned long port = strtoul(colon + 1, NULL, 10);
  if (own->any.sa_family == AF_INET) return ntohs(own->v4.sin_port) == port;
  return own->any.sa_family == AF_INET6 && ntohs(own->v6.sin6_port) == port;
}

// What has come already is taken away, so that ZeroMQ finds the end next. Were its output cut too, it would give up the
// connection with its input half read; a ping in the rest of that aborts the process (libzmq 4.3.4).
static void end_input(int fd) {
  char dropped[4096];
  (void)shutdown(fd, SHUT_RD);
  while (recv(fd, dropped, sizeof dropped, MSG_DONTWAIT) > 0) {}
}

bool hg_outward_cut(int fd, const struct hg_outward_endpoints *endpoints, enum hg_cut how) {
  // A descriptor of our own: what was looked at is what is cut.
  const int held = fcntl(fd, F_DUPFD_CLOEXEC, 0);
  union address own = {{0}};
  socklen_t size = sizeof own;
  bool ours = false;
  if (held < 0) return false;
  if (getsockname(held, &own.any, &size) == 0) {
    ours = came_in_at(&own, endpoints->first);
    for (size_t i = 0; !ours && i < endpoints->more_count; i++)
      ours = came_in_at(&own, endpoints->more[i]);
  }
  if (ours && how == HG_CUT_INPUT && own.any.sa_family == AF_UNIX) end_input(held);
  else if (ours) (void)shutdown(held, SHUT_RDWR);
  close(held);
  return ours;
}

#define FD_BITS 24 // of a peer; above are those of the cookie, a count of the system's sockets

hg_peer hg_outward_peer(int fd) {
  uint64_t cookie = 0;
  socklen_t size = sizeof cookie;
  if (fd < 0 || fd >= (1 << FD_BITS) - 1) return 0;
  if (getsockopt(fd, SOL_SOCKET, SO_COOKIE, &cookie, &size) != 0 && errno != ENOPROTOOPT) return 0;
  return cookie << FD_BITS | (hg_peer)(fd + 1);
}

int hg_outward_fd(hg_peer peer) {
  const int fd = (int)(peer & ((1 << FD_BITS) - 1)) - 1;
  return hg_outward_peer(fd) == peer ? fd : -1;
}

uint64_t hg_outward_taken(int fd) {
  struct tcp_info info = {0};
  socklen_t size = sizeof info;
  const bool known = getsockopt(fd, IPPROTO_TCP, TCP_INFO, &info, &size) == 0 &&
                     size >= offsetof(struct tcp_info, tcpi_bytes_acked) + sizeof info.tcpi_bytes_acked;
  return known ? info.tcpi_bytes_acked : UINT64_MAX;
}

// ------------------------------------------------------------------------------------------------ files

void hg_outward_note(const char *endpoint, struct hg_outward_file *out) {
  struct stat found;
  const char *path = path_of(endpoint);
  *out = (struct hg_outward_file){0};
  if (path && lstat(path, &found) == 0) *out = (struct hg_outward_file){found.st_dev, found.st_ino};
}

void hg_outward_remove(const char *endpoint, const struct hg_outward_file *file) {
  struct hg_outward_file now;
  hg_outward_note(endpoint, &now);
  if (now.inode != 0 && now.inode == file->inode && now.device == file->device) (void)unlink(path_of(endpoint));
}
