// Threads.
#ifndef HG_THREAD_H
#define HG_THREAD_H

#include "headgate.h"

#include <pthread.h>

// Starts a thread with all signals blocked. HG_ERR_SYSTEM: the system has no thread left.
hg_err hg_thread_start(pthread_t *out, void *(*body)(void *), void *argument);

#endif
