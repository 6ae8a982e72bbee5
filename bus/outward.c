// Binding outward endpoints with the checks that libzmq does not make.
#include "bus/outward.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

__attribute__((format(printf, 2, 3))) static hg_err refuse(hg_error *why, const char *format, ...) {
  va_list arguments;
  va_start(arguments, format);
  why->code = HG_ERR_SYSTEM;
  vsnprintf(why->text, sizeof why->text, format, arguments);
  va_end(arguments);
  return HG_ERR_SYSTEM;
}

static hg_err make_folder(const char *path, hg_error *why) {
  char folder[HG_PATH_MAX + 1];
  const char *slash = strrchr(path, '/');
  if (!slash || slash == path) return HG_OK;
  snprintf(folder, sizeof folder, "%.*s", (int)(slash - path), path);
  if (mkdir(folder, 0700) == 0 || errno == EEXIST) return HG_OK;
  return refuse(why, "cannot make the folder %s of the endpoint ipc://%s: %s", folder, path, strerror(errno));
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

static hg_err check_path(const char *path, hg_error *why) {
  struct stat found;
  if (lstat(path, &found) != 0) return HG_OK;
  if (!S_ISSOCK(found.st_mode)) return refuse(why, "ipc://%s: something that is not a socket stands there; move it or name another path", path);
  if (somebody_listens(path)) return refuse(why, "ipc://%s: another process is listening there; stop it or name another path", path);
  return HG_OK;
}

hg_err hg_outward_bind(struct hg_link *link, const char *endpoint, hg_error *why) {
  hg_error local = HG_ERROR_INIT;
  if (!why) why = &local;
  if (strncmp(endpoint, "ipc://", 6) == 0) {
    hg_err err = make_folder(endpoint + 6, why);
    if (err == HG_OK) err = check_path(endpoint + 6, why);
    if (err != HG_OK) return err;
  }
  if (hg_link_bind(link, endpoint) == HG_OK) return HG_OK;
  return refuse(why, "cannot bind %s: %s", endpoint, strerror(errno));
}
