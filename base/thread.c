// How every thread of the library is started.
#include "base/thread.h"

#include <signal.h>

hg_err hg_thread_start(pthread_t *out, void *(*body)(void *), void *argument) {
  sigset_t all, before;
  sigfillset(&all);
  pthread_sigmask(SIG_SETMASK, &all, &before);
  const int failed = pthread_create(out, NULL, body, argument);
  pthread_sigmask(SIG_SETMASK, &before, NULL);
  return failed ? HG_ERR_SYSTEM : HG_OK;
}
