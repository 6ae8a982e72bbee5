// A datagram to the socket that NOTIFY_SOCKET names.
#include "cli/service.h"

#include <stddef.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

void hg_service_tell(const char *state) {
  const char *path = getenv("NOTIFY_SOCKET");
  struct sockaddr_un address = {.sun_family = AF_UNIX};
  const size_t size = path ? strlen(path) : 0;
  if (size < 2 || size >= sizeof address.sun_path || (path[0] != '/' && path[0] != '@')) return;
  memcpy(address.sun_path, path, size);
  if (path[0] == '@') address.sun_path[0] = '\0'; // a name that is no file
  const int fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);
  if (fd < 0) return;
  (void)sendto(fd, state, strlen(state), MSG_NOSIGNAL, (const struct sockaddr *)&address,
               (socklen_t)(offsetof(struct sockaddr_un, sun_path) + size));
  close(fd);
}

int64_t hg_service_watchdog_us(void) {
  const char *period = getenv("WATCHDOG_USEC"), *pid = getenv("WATCHDOG_PID");
  if (!period || (pid && strtoll(pid, NULL, 10) != (long long)getpid())) return 0;
  const int64_t us = strtoll(period, NULL, 10);
  return us > 0 ? us / 2 : 0;
}
