// What a service manager is told, and when it wants to hear from us: systemd's notification protocol (sd_notify(3)).
// With no service manager nothing happens.
#ifndef HG_SERVICE_H
#define HG_SERVICE_H

#include <stdint.h>

// Such as "READY=1"; several lines may be told at once. What can't be told is dropped.
void hg_service_tell(const char *state);
// How often it must be told WATCHDOG=1, microseconds; 0: it need not be. Half of what the manager waits for.
int64_t hg_service_watchdog_us(void);

#endif
