// Binding outward endpoints with the checks that libzmq does not make.
#include "bus/outward.h"

#include "schemas/fail.h"

#include <errno.h>
#include <stdio.h>
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
  if (hg_link_bind(link, endpoint) == HG_OK) return HG_OK;
  return hg_fail(why, HG_ERR_SYSTEM, "cannot bind %s: %s", endpoint, strerror(errno));
}

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
