// The writes of a WAL, gathered: a VFS over the default one. SQLite writes each page of a transaction in two pieces,
// and nothing of it counts before the sync: so the pieces wait here and go to the system together.
#ifndef HG_WAL_BUFFER_H
#define HG_WAL_BUFFER_H

// Of each open WAL; what is written beyond goes out before its sync. SQLite's own VFS takes less than 128 KiB at once.
#define HG_WAL_BUFFER_BYTES (124 * 1024)

// For sqlite3_open_v2. Any thread, any number of times; the VFS that is the default at the first call stays below it.
// NULL: it could not be registered, and SQLite's own way remains.
const char *hg_wal_buffer_vfs(void);

#endif
