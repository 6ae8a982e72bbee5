// Where each line belongs, then a copy in that order.
#include "batch/order.h"

#include "base/id_map.h"
#include "batch/line.h"
#include "batch/line_reader.h"
#include "base/fail.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>
#include <sys/stat.h>
#include <unistd.h>

#define COPY_BYTES ((size_t)1024 * 1024)

struct place {
  uint64_t position; // in the batch file; UINT64_MAX: not there
  uint64_t offset, size;
};

struct order {
  const char *input, *output;
  struct hg_hash_key key;
  struct hg_id_map positions; // by the hash of a custom_id: its position, plus 1
  struct place *places;
  size_t count, capacity;
  bool sorted;
  char temporary[HG_PATH_MAX + 16];
};

static hg_err fail(const char *path, hg_err err, hg_error *why) {
  return hg_fail(why, err, "%s: the results can't be put into the order of the input: %s", path,
                 err == HG_ERR_NO_MEMORY ? "no memory" : strerror(errno));
}

// ------------------------------------------------------------------------------------------------ the batch file

static hg_err note_line(struct order *order, const char *text, size_t len, uint64_t number) {
  struct hg_batch_line line;
  hg_error local = HG_ERROR_INIT;
  const hg_err err = hg_batch_line_parse(text, len, number, order->key, &line, &local);
  const uint64_t id = line.id_hash;
  hg_batch_line_clear(&line);
  if (err == HG_ERR_NO_MEMORY) return err;
  if (err) return HG_OK;                                  // has no result
  if (hg_id_map_get(&order->positions, id)) return HG_OK; // the first one counts
  return hg_id_map_put(&order->positions, id, (void *)(uintptr_t)(order->positions.count + 1)) ? HG_OK
                                                                                               : HG_ERR_NO_MEMORY;
}

// Without O_NONBLOCK a named pipe would keep the opening until somebody writes to it.
static hg_err open_input(const char *path, int *fd, hg_error *why) {
  struct stat found;
  *fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY);
  if (*fd < 0) return fail(path, HG_ERR_SYSTEM, why);
  hg_err err = HG_OK;
  if (fstat(*fd, &found) != 0) err = fail(path, HG_ERR_SYSTEM, why);
  else if (!S_ISREG(found.st_mode))
    err =
        hg_fail(why, HG_ERR_SYSTEM, "%s: the results can't be put into the order of the input, which is no file", path);
  if (err) close(*fd);
  return err;
}

static hg_err read_input(struct order *order, hg_error *why) {
  struct hg_line_reader reader;
  int fd;
  hg_err err = open_input(order->input, &fd, why);
  if (err) return err;
  hg_line_reader_init(&reader, fd, HG_RESULT_LINE_MAX);
  do {
    const char *text;
    size_t len;
    err = hg_line_reader_next(&reader, &text, &len);
    if (err == HG_OK) err = note_line(order, text, len, reader.line_number);
    else if (err == HG_ERR_RANGE) err = HG_OK;
  } while (err == HG_OK);
  hg_line_reader_clear(&reader);
  close(fd);
  return err == HG_ERR_EMPTY ? HG_OK : fail(order->input, err, why);
}

// ------------------------------------------------------------------------------------------------ the results

static bool add_place(struct order *order, struct place place) {
  if (order->count == order->capacity) {
    const size_t capacity = order->capacity ? 2 * order->capacity : 1024;
    struct place *longer = realloc(order->places, capacity * sizeof *longer);
    if (!longer) return false;
    order->places = longer;
    order->capacity = capacity;
  }
  if (order->count > 0 && order->places[order->count - 1].position > place.position) order->sorted = false;
  order->places[order->count++] = place;
  return true;
}

static uint64_t position_of(const struct order *order, const char *text, size_t len) {
  struct hg_result_line line;
  if (hg_result_line_parse(text, len, &line) != HG_OK) return UINT64_MAX;
  const void *position =
      line.custom_id ? hg_id_map_get(&order->positions, hg_id_hash(order->key, line.custom_id)) : NULL;
  hg_result_line_clear(&line);
  return position ? (uint64_t)(uintptr_t)position : UINT64_MAX;
}

static hg_err read_output(struct order *order, int fd, hg_error *why) {
  struct hg_line_reader reader;
  hg_line_reader_init(&reader, fd, HG_RESULT_LINE_MAX);
  hg_err err;
  do {
    const char *text;
    size_t len;
    err = hg_line_reader_next(&reader, &text, &len);
    if (err != HG_OK) break;
    const struct place place = {position_of(order, text, len), reader.line_offset, len};
    if (!add_place(order, place)) err = HG_ERR_NO_MEMORY;
  } while (err == HG_OK);
  hg_line_reader_clear(&reader);
  return err == HG_ERR_EMPTY ? HG_OK : fail(order->output, err, why);
}

static int compare(const void *a, const void *b) {
  const struct place *x = a, *y = b;
  if (x->position != y->position) return x->position < y->position ? -1 : 1;
  return (x->offset > y->offset) - (x->offset < y->offset);
}

// ------------------------------------------------------------------------------------------------ the copy

static hg_err copy_line(int from, const struct place *place, char *buffer, FILE *to) {
  for (uint64_t done = 0; done < place->size;) {
    const uint64_t left = place->size - done;
    const ssize_t got =
        pread(from, buffer, left < COPY_BYTES ? (size_t)left : COPY_BYTES, (off_t)(place->offset + done));
    if (got < 0 && errno == EINTR) continue;
    if (got <= 0) return HG_ERR_SYSTEM;
    if (fwrite(buffer, 1, (size_t)got, to) != (size_t)got) return HG_ERR_STORE;
    done += (uint64_t)got;
  }
  return fputc('\n', to) == EOF ? HG_ERR_STORE : HG_OK;
}

static hg_err copy_all(const struct order *order, int from, FILE *to) {
  char *buffer = malloc(COPY_BYTES);
  hg_err err = buffer ? HG_OK : HG_ERR_NO_MEMORY;
  for (size_t i = 0; err == HG_OK && i < order->count; i++)
    err = copy_line(from, &order->places[i], buffer, to);
  free(buffer);
  if (err == HG_OK && (fflush(to) != 0 || fsync(fileno(to)) != 0)) err = HG_ERR_STORE;
  return err;
}

static hg_err write_copy(struct order *order, int from, hg_error *why) {
  struct stat found;
  if (fstat(from, &found) != 0) return fail(order->output, HG_ERR_SYSTEM, why);
  (void)unlink(order->temporary); // of a run that died here
  const int fd = open(order->temporary, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC | O_NOFOLLOW, found.st_mode & 0777);
  FILE *to = fd >= 0 ? fdopen(fd, "w") : NULL;
  if (!to) {
    const hg_err err = fail(order->temporary, HG_ERR_STORE, why);
    if (fd >= 0) close(fd);
    return err;
  }
  hg_err err = copy_all(order, from, to);
  if (err != HG_OK) fail(order->temporary, err, why);
  if (fclose(to) != 0 && err == HG_OK) err = fail(order->temporary, HG_ERR_STORE, why);
  if (err == HG_OK && rename(order->temporary, order->output) != 0) err = fail(order->output, HG_ERR_STORE, why);
  if (err != HG_OK) (void)unlink(order->temporary);
  return err;
}

hg_err hg_order_results(const char *input, const char *output, bool *changed, hg_error *why) {
  struct order order = {.input = input, .output = output, .sorted = true};
  *changed = false;
  if (strlen(output) > HG_PATH_MAX) return hg_fail(why, HG_ERR_INVALID, "the name of the results is too long");
  snprintf(order.temporary, sizeof order.temporary, "%s.ordered", output);
  if (getrandom(&order.key, sizeof order.key, 0) != (ssize_t)sizeof order.key) return fail(output, HG_ERR_SYSTEM, why);
  const int fd = open(output, O_RDONLY | O_CLOEXEC | O_NOCTTY);
  if (fd < 0) return fail(output, HG_ERR_SYSTEM, why);
  hg_err err = read_input(&order, why);
  if (err == HG_OK) err = read_output(&order, fd, why);
  if (err == HG_OK && !order.sorted) {
    qsort(order.places, order.count, sizeof *order.places, compare);
    err = write_copy(&order, fd, why);
    *changed = err == HG_OK;
  }
  close(fd);
  hg_id_map_destroy(&order.positions);
  free(order.places);
  return err;
}
