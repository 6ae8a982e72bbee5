// A file of result lines: opened for one run at a time, repaired after a crash, read for a resume, written in groups
// that are durable as a whole.
#ifndef HG_RESULTS_FILE_H
#define HG_RESULTS_FILE_H

#include "batch/line.h"

// A group that holds this many bytes should be synced; one that holds eight times as many takes no more lines.
#define HG_GROUP_BYTES ((size_t)1024 * 1024)

// What reading a file for a resume tells. All but `context` may be NULL.
struct hg_results_visitor {
  // A result line; an error ends the opening with it.
  hg_err (*on_line)(void *context, const struct hg_result_line *line);
  // A sentence for a person: what was repaired, which lines are no result lines.
  void (*on_note)(void *context, const char *text);
  void *context;
};

struct hg_results_file; // never shared between threads

// Opens or creates PATH, locks it, reads its lines, and repairs its last one: a line that a crash tore is cut off, a
// whole one without its '\n' gets it. Other lines that are no result lines stay and are told. With `fresh` an existing
// file is moved to PATH.1 (or the first free number) when its lines were read.
// Errors, each with `why`: HG_ERR_BUSY (another run is writing to it), HG_ERR_INVALID (no regular file, or a file full
// of something else), HG_ERR_STORE (it can't be opened, read or written), HG_ERR_NO_MEMORY, or what on_line returned.
hg_err hg_results_file_open(const char *path, bool fresh, const struct hg_results_visitor *visitor,
                            struct hg_results_file **out, hg_error *why);
// Opens or creates PATH, locks it, reads its lines, and empties it: for the file of errors. A file that holds results,
// or something else than result lines, is refused (HG_ERR_INVALID) and left as it is.
hg_err hg_results_file_open_empty(const char *path, const struct hg_results_visitor *visitor,
                                  struct hg_results_file **out, hg_error *why);
// Only reads the lines of PATH, which need not be there: nothing is made, locked or changed.
hg_err hg_results_file_look(const char *path, const struct hg_results_visitor *visitor, hg_error *why);

// Standard output takes the lines instead: nothing is read, locked or kept for a resume. A sync writes what it takes
// without waiting (HG_ERR_BUSY: not all of the group yet); HG_ERR_CLOSED: nobody reads it any more.
// HG_ERR_INVALID with `why`: it is closed. HG_ERR_NO_MEMORY.
hg_err hg_results_stream_open(struct hg_results_file **out, hg_error *why);

// Adds a line to the group; nothing is written before the sync. HG_ERR_BUSY: the group is full, sync first.
hg_err hg_results_file_append(struct hg_results_file *file, const struct hg_result *result, hg_error *why);
// Whether the group holds HG_GROUP_BYTES or more.
bool hg_results_file_group_full(const struct hg_results_file *file);
// Writes the group and waits until it is on the disk (fdatasync); free of charge when it is empty. HG_ERR_STORE with
// `why`: the file was cut back to where the last sync left it, the group is kept, and another sync tries it again.
hg_err hg_results_file_sync(struct hg_results_file *file, hg_error *why);

// The bytes that are durable.
uint64_t hg_results_file_length(const struct hg_results_file *file);

// Gives up the lock; a group that was not synced is lost. With `remove_empty` an empty file is removed. NULLs *file.
void hg_results_file_close(struct hg_results_file **file, bool remove_empty);

// RESULTS.jsonl -> RESULTS.errors.jsonl; any other name gets .errors.jsonl behind it. malloc'd; NULL: no memory.
char *hg_errors_path(const char *results_path);

#endif
