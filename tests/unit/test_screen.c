// links: program
// Whole screens of headgate watch as text.
#include "runner/progress.h"
#include "runner/screen.h"
#include "support/test.h"

static const char *const events[] = {"12:00:01.000 TASK_STARTED            default  taskId one",
                                     "12:00:02.000 TASK_FINISHED           default  taskId one",
                                     "12:00:03.000 USAGE_RECORDED          default  taskId zwölf  usedDelta +5"};

static struct hg_screen calm(void) {
  struct hg_screen screen = {.title = "runs/headgate.db", .utf8 = true, .has_usage = true, .has_queue = true};
  screen.usage = (hg_usage)HG_USAGE_INIT;
  screen.queue = (hg_queue)HG_QUEUE_INIT;
  screen.usage.used = 124000;
  screen.usage.reserved = 8000;
  screen.usage.hard_limit = 200000;
  screen.usage.available = 68000;
  screen.usage.usage_percent_hundredths = 6200;
  screen.usage.throttle_percent = 90;
  screen.queue.max_concurrency = screen.queue.effective_concurrency = 4;
  screen.queue.running = 3;
  screen.queue.waiting = 12;
  screen.seq = 1234;
  screen.lines = events;
  screen.line_count = 3;
  return screen;
}

static void sample(struct hg_screen *screen, unsigned count, uint32_t concurrency) {
  for (unsigned i = 0; i < count; i++)
    screen->samples[screen->sample_count++ % HG_SCREEN_SECONDS] = concurrency;
}

static const char *drawn(const struct hg_screen *screen, unsigned columns, unsigned rows) {
  static char picture[HG_SCREEN_BYTES];
  struct hg_text_line out = {picture, 0, sizeof picture};
  picture[0] = '\0';
  hg_screen_draw(screen, columns, rows, &out);
  return picture;
}

TEST(screen, a_calm_one) {
  struct hg_screen screen = calm();
  sample(&screen, 200, 4);
  CHECK_STR(drawn(&screen, 60, 12), "row 1,234 · headgate watch runs/headgate.db\n"
                                    "███████████████████████████████▒▒░░░░░░░░░░░░░│░░░░░ 62.00 %\n"
                                    "used 124,000 · reserved 8,000 · limit 200,000 · free 68,000\n"
                                    "concurrency 4 of 4 · 3 running · 12 waiting\n"
                                    "  5 min▏                  ██████████████████████████████████\n"
                                    "────────────────────────────────────────────────────────────\n"
                                    "\n"
                                    "\n"
                                    "\n"
                                    "12:00:01.000 TASK_STARTED            default  taskId one\n"
                                    "12:00:02.000 TASK_FINISHED           default  taskId one\n"
                                    "12:00:03.000 USAGE_RECORDED          default  taskId zwölf  ");
}

TEST(screen, a_throttled_one_shows_the_drop_and_its_trouble) {
  struct hg_screen screen = calm();
  sample(&screen, 100, 4);
  sample(&screen, 2, 1);
  sample(&screen, 20, HG_SCREEN_UNKNOWN);
  sample(&screen, 100, 3);
  screen.queue.effective_concurrency = 1;
  screen.queue.throttled = true;
  strcpy(screen.queue.waits_for, "default");
  screen.trouble = "the ledger can't be written";
  screen.line_count = 0;
  CHECK_STR(drawn(&screen, 68, 16), "row 1,234 · headgate watch runs/headgate.db\n"
                                    "████████████████████████████████████▒▒░░░░░░░░░░░░░░░│░░░░░░ 62.00 %\n"
                                    "used 124,000 · reserved 8,000 · limit 200,000 · free 68,000\n"
                                    "concurrency 1 of 4 (throttled) · 3 running · 12 waiting for the thro\n"
                                    "      4▏               ████████████████████    ▂▂▂▂▂▂▂▂▂▂▂▂▂▂▂▂▂▂▂▂▂\n"
                                    "       ▏               ████████████████████    █████████████████████\n"
                                    "  5 min▏               ████████████████████▆   █████████████████████\n"
                                    "▲ the ledger can't be written\n"
                                    "\n\n\n\n\n\n\n");
}

static const char *queue_row(const struct hg_screen *screen, unsigned columns) {
  static char row[HG_SCREEN_BYTES];
  const char *from = drawn(screen, columns, 12);
  for (int i = 0; i < 3; i++)
    from = strchr(from, '\n') + 1;
  snprintf(row, sizeof row, "%.*s", (int)strcspn(from, "\n"), from);
  return row;
}

// 76,000 tokens are left, and 15 tasks run and wait.
TEST(screen, the_forecast_where_it_matters) {
  static const char calm_row[] = "concurrency 4 of 4 · 3 running · 12 waiting";
  struct hg_screen screen = calm();
  screen.usage.remaining = 76000;
  screen.usage.task_tokens = 5000;
  screen.usage.threshold_in_ms = 25 * 3600000; // neither within a day
  screen.usage.limit_in_ms = 30 * 3600000;
  CHECK_STR(queue_row(&screen, 80), calm_row);
  screen.usage.threshold_in_ms = 12 * 60000;
  screen.usage.limit_in_ms = 40 * 60000;
  CHECK_STR(queue_row(&screen, 80), "concurrency 4 of 4 · 3 running · 12 waiting · throttle in ~12 min");
  screen.usage.task_tokens = 6000;
  CHECK_STR(queue_row(&screen, 80), "concurrency 4 of 4 · 3 running · 12 waiting · throttle in ~12 min, ~12 more fit");
  CHECK_STR(queue_row(&screen, 78), calm_row); // whole or not at all
  screen.usage.throttled = true;
  CHECK_STR(queue_row(&screen, 80), "concurrency 4 of 4 · 3 running · 12 waiting · limit in ~40 min, ~12 more fit");
  screen.usage.remaining = -1;
  screen.usage.limit_in_ms = 0;
  CHECK_STR(queue_row(&screen, 80), "concurrency 4 of 4 · 3 running · 12 waiting · ~0 more fit");
  screen.trouble = "nothing is heard any more";
  CHECK_STR(queue_row(&screen, 80), calm_row);
}

TEST(screen, the_smallest_and_ascii) {
  struct hg_screen screen = calm();
  screen.utf8 = false;
  sample(&screen, 300, 4);
  sample(&screen, 30, 1);
  CHECK_STR(drawn(&screen, 40, 10), "row 1,234 - headgate watch runs/headgate\n"
                                    "###################+........|... 62.00 %\n"
                                    "124,000 + 8,000 of 200,000\n"
                                    "4 of 4 - 3 running - 12 waiting\n"
                                    "  5 min|  ###########################...\n"
                                    "----------------------------------------\n"
                                    "\n"
                                    "12:00:01.000 TASK_STARTED            def\n"
                                    "12:00:02.000 TASK_FINISHED           def\n"
                                    "12:00:03.000 USAGE_RECORDED          def");
}

TEST(screen, before_anything_is_known) {
  const struct hg_screen screen = {.title = "ipc://x", .utf8 = true, .trouble = "nothing is heard yet"};
  CHECK_STR(drawn(&screen, 40, 10), "headgate watch ipc://x\n"
                                    "usage is not known yet\n"
                                    "\n"
                                    "concurrency is not known yet\n"
                                    "  5 min▏                                \n"
                                    "▲ nothing is heard yet\n"
                                    "\n\n\n");
}

TEST(screen, colours_are_left_out_where_they_are_not_wanted) {
  struct hg_screen screen = calm();
  screen.trouble = "trouble";
  CHECK(strchr(drawn(&screen, 80, 24), '\x1b') == NULL);
  screen.colour = true;
  CHECK(strstr(drawn(&screen, 80, 24), "\x1b[1;31m▲ trouble\x1b[0m\n") != NULL);
}

// Whatever the size: so many rows, none too wide, with wide characters too.
TEST(screen, every_size_is_kept) {
  static const char *const wide[] = {"漢字漢字漢字漢字漢字漢字漢字漢字漢字漢字漢字", "e\xcc\x81tude \xf0\x9f\x98\x80"};
  struct hg_screen screen = calm();
  screen.lines = wide;
  screen.line_count = 2;
  sample(&screen, 1000, 2);
  for (unsigned columns = 20; columns <= HG_SCREEN_COLUMNS_MAX; columns += columns < 100 ? 1 : 50)
    for (unsigned rows = 1; rows <= HG_SCREEN_ROWS_MAX; rows += rows < 30 ? 1 : 40) {
      static char picture[HG_SCREEN_BYTES];
      strcpy(picture, drawn(&screen, columns, rows));
      unsigned count = 0;
      for (char *row = picture; row; count++) {
        char *end = strchr(row, '\n');
        if (end) *end = '\0';
        CHECK(hg_text_columns(row) <= columns);
        if (strncmp(row, wide[0], 3) == 0) CHECK(2 * hg_text_columns(row) <= columns);
        row = end ? end + 1 : NULL;
      }
      CHECK_EQ(count, rows);
    }
}
