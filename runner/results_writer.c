// The thread behind it sleeps on a condition; an eventfd tells the loop.
#include "runner/results_writer.h"

#include <assert.h>
#include <pthread.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/eventfd.h>
#include <unistd.h>

struct hg_results_writer {
  struct hg_batch *batch;
  pthread_t thread;
  pthread_mutex_t lock;
  pthread_cond_t changed;
  enum { IDLE, TO_WRITE, WRITTEN, LEAVING } state;
  hg_err err;
  hg_error why;
  int fd;
};

static void *work(void *argument) {
  struct hg_results_writer *writer = argument;
  pthread_mutex_lock(&writer->lock);
  for (;;) {
    while (writer->state != TO_WRITE && writer->state != LEAVING)
      pthread_cond_wait(&writer->changed, &writer->lock);
    if (writer->state == LEAVING) break;
    pthread_mutex_unlock(&writer->lock);
    hg_error why = HG_ERROR_INIT;
    const hg_err err = hg_batch_write(writer->batch, &why);
    pthread_mutex_lock(&writer->lock);
    writer->err = err;
    writer->why = why;
    writer->state = WRITTEN;
    pthread_cond_broadcast(&writer->changed);
    (void)eventfd_write(writer->fd, 1);
  }
  pthread_mutex_unlock(&writer->lock);
  return NULL;
}

// Signals are the loop's.
static bool start_thread(struct hg_results_writer *writer) {
  sigset_t all, before;
  sigfillset(&all);
  pthread_sigmask(SIG_SETMASK, &all, &before);
  const bool started = pthread_create(&writer->thread, NULL, work, writer) == 0;
  pthread_sigmask(SIG_SETMASK, &before, NULL);
  if (started) (void)pthread_setname_np(writer->thread, "hg-results");
  return started;
}

hg_err hg_results_writer_new(struct hg_batch *batch, struct hg_results_writer **out) {
  struct hg_results_writer *writer = calloc(1, sizeof *writer);
  if (!writer) return HG_ERR_NO_MEMORY;
  writer->batch = batch;
  pthread_mutex_init(&writer->lock, NULL);
  pthread_cond_init(&writer->changed, NULL);
  writer->fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
  if (writer->fd >= 0 && start_thread(writer)) {
    *out = writer;
    return HG_OK;
  }
  if (writer->fd >= 0) close(writer->fd);
  pthread_cond_destroy(&writer->changed);
  pthread_mutex_destroy(&writer->lock);
  free(writer);
  return HG_ERR_SYSTEM;
}

void hg_results_writer_destroy(struct hg_results_writer **writer) {
  struct hg_results_writer *old = *writer;
  if (!old) return;
  hg_err err;
  (void)hg_results_writer_ended(old, true, &err, NULL);
  pthread_mutex_lock(&old->lock);
  old->state = LEAVING;
  pthread_cond_broadcast(&old->changed);
  pthread_mutex_unlock(&old->lock);
  pthread_join(old->thread, NULL);
  close(old->fd);
  pthread_cond_destroy(&old->changed);
  pthread_mutex_destroy(&old->lock);
  free(old);
  *writer = NULL;
}

hg_err hg_results_writer_begin(struct hg_results_writer *writer, hg_error *why) {
  const hg_err err = hg_batch_seal(writer->batch, why);
  if (err) return err;
  pthread_mutex_lock(&writer->lock);
  assert(writer->state == IDLE);
  writer->state = TO_WRITE;
  pthread_cond_broadcast(&writer->changed);
  pthread_mutex_unlock(&writer->lock);
  return HG_OK;
}

int hg_results_writer_fd(const struct hg_results_writer *writer) {
  return writer->fd;
}

bool hg_results_writer_ended(struct hg_results_writer *writer, bool wait, hg_err *err, hg_error *why) {
  eventfd_t ignored;
  pthread_mutex_lock(&writer->lock);
  while (wait && writer->state == TO_WRITE)
    pthread_cond_wait(&writer->changed, &writer->lock);
  const bool ended = writer->state == WRITTEN;
  if (ended) {
    writer->state = IDLE;
    *err = writer->err;
    if (why) *why = writer->why;
    (void)eventfd_read(writer->fd, &ignored);
  }
  pthread_mutex_unlock(&writer->lock);
  if (ended) hg_batch_written(writer->batch);
  return ended;
}
