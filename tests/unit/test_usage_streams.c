// The streams of tests/data/usage_streams.txt: each says the same in whatever pieces it comes, and cut off anywhere it
// never says another figure than the whole one. labels: budget
#include "support/test.h"
#include "support/usage_table.h"

#include "usage/assemble.h"
#include "usage/aws_frame.h"

#define STREAMS_MIN 40
#define TEXT_MAX 16384

struct stream_case {
  char name[128];
  struct usage_expected expected;
  char kind[16], type[64], answer[TEXT_MAX], words[128];
  bool ended, failed, broken, worked, cut;
  int64_t choices;
  char bytes[TEXT_MAX];
  size_t len;
};

// What came of a stream.
struct outcome {
  hg_err err;
  struct hg_streamed streamed;
  char answer[TEXT_MAX];
};

static const char *const kinds[] = {"other", "chat", "responses", "anthropic", "gemini", "bedrock", "ollama", "cohere"};

// ---------------------------------------------------------------------------------------------- the table

struct sending {
  bool crlf, cr, bom, bare, hex, frames;
};

static void read_words(char *rest, struct stream_case *to, struct sending *sending) {
  for (char *word; (word = strtok_r(rest, " ", &rest));) {
    if (strcmp(word, "ended") == 0) to->ended = true;
    else if (strcmp(word, "failed") == 0) to->failed = true;
    else if (strcmp(word, "broken") == 0) to->broken = true;
    else if (strcmp(word, "worked") == 0) to->worked = true;
    else if (strcmp(word, "cut") == 0) to->cut = true;
    else if (strcmp(word, "crlf") == 0) sending->crlf = true;
    else if (strcmp(word, "cr") == 0) sending->cr = true;
    else if (strcmp(word, "bom") == 0) sending->bom = true;
    else if (strcmp(word, "bare") == 0) sending->bare = true;
    else if (strcmp(word, "hex") == 0) sending->hex = true;
    else if (strcmp(word, "frames") == 0) sending->frames = true;
    else if (strncmp(word, "n=", 2) == 0) to->choices = atoi(word + 2);
    else if (strncmp(word, "type=", 5) == 0) snprintf(to->type, sizeof to->type, "%s", word + 5);
    else snprintf(to->kind, sizeof to->kind, "%s", word);
  }
}

static void add(struct stream_case *to, const char *text) {
  to->len += (size_t)snprintf(to->bytes + to->len, sizeof to->bytes - to->len, "%s", text);
}

static void add_bytes(struct stream_case *to, const void *bytes, size_t len) {
  CHECK(len <= sizeof to->bytes - to->len);
  memcpy(to->bytes + to->len, bytes, len);
  to->len += len;
}

static void add_hex(struct stream_case *to, const char *line) {
  for (unsigned byte; sscanf(line, "%2x", &byte) == 1; line += 2)
    add_bytes(to, &(char){(char)byte}, 1);
}

static void add_number(struct stream_case *to, size_t number, unsigned bytes) {
  while (bytes-- > 0)
    add_bytes(to, &(char){(char)(bytes < sizeof number ? number >> 8 * bytes : 0)}, 1);
}

static void add_header(struct stream_case *to, const char *name, const char *value, size_t len) {
  add_number(to, strlen(name), 1);
  add(to, name);
  add_number(to, 7, 1); // a string
  add_number(to, len, 2);
  add_bytes(to, value, len);
}

// As AWS's documentation of the event stream has it. What is no event has its name in another header.
static void add_frame(struct stream_case *to, const char *line) {
  const size_t begun = to->len, name = strcspn(line, " ");
  const char *payload = line + name + (line[name] == ' ');
  const bool error = line[0] == ':', exception = strstr(line, "Exception ") != NULL;
  const char *kind = error ? "error" : exception ? "exception" : "event";
  add_number(to, 0, 12);
  add_header(to, ":message-type", kind, strlen(kind));
  if (error) add_header(to, ":error-code", "internal", 8);
  if (error) add_header(to, ":error-message", payload, strlen(payload));
  else add_header(to, exception ? ":exception-type" : ":event-type", line, name);
  const size_t headers = to->len - begun - 12, end = to->len + (error ? 0 : strlen(payload));
  to->len = begun;
  add_number(to, end + 4 - begun, 4);
  add_number(to, headers, 4);
  add_number(to, hg_crc32(to->bytes + begun, 8), 4);
  to->len += headers;
  if (!error) add(to, payload);
  add_number(to, hg_crc32(to->bytes + begun, to->len - begun), 4);
}

static bool is_head(const char *line) {
  return strncmp(line, "exact ", 6) == 0 || strncmp(line, "missing", 7) == 0 ||
         (line[0] && strchr("?~!<", line[0]) && line[1] == ' ');
}

// The lines up to the next stream; the table has line feeds.
static char *read_case(char *rest, struct stream_case *to) {
  struct sending sending = {.crlf = false};
  bool head = true;
  while (rest && *rest && strncmp(rest, "=== ", 4) != 0) {
    char *line = strsep(&rest, "\n");
    head = head && is_head(line);
    if (!head && (sending.hex || sending.frames)) {
      if (sending.hex) add_hex(to, line);
      else if (line[0]) add_frame(to, line);
    } else if (!head) {
      add(to, line);
      if (*rest && strncmp(rest, "=== ", 4) != 0) add(to, sending.crlf ? "\r\n" : sending.cr ? "\r" : "\n");
      else if (!sending.bare) add(to, sending.crlf ? "\r\n" : sending.cr ? "\r" : "\n");
    } else if (line[0] == '?' || line[0] == '!') {
      read_words(line + 2, to, &sending);
      if (sending.bom && to->len == 0) add(to, "\xef\xbb\xbf");
    } else if (line[0] == '~') {
      snprintf(to->words, sizeof to->words, "%s", line + 2);
    } else if (line[0] == '<') {
      snprintf(to->answer, sizeof to->answer, "%s", line + 2);
    } else {
      usage_expected_read(line, &to->expected);
    }
  }
  return rest;
}

static unsigned for_each_case(void (*check)(const struct stream_case *of)) {
  char *table = usage_table_read(HG_SOURCE_DIR, "usage_streams.txt"), *rest = table;
  struct stream_case *of = malloc(sizeof *of);
  unsigned cases = 0;
  while (rest && *rest) {
    char *line = strsep(&rest, "\n");
    if (strncmp(line, "=== ", 4) != 0) continue; // the words at the top
    memset(of, 0, sizeof *of);
    of->choices = 1;
    snprintf(of->name, sizeof of->name, "%s", line + 4);
    rest = read_case(rest, of);
    check(of);
    cases++;
  }
  free(of);
  free(table);
  return cases;
}

// ---------------------------------------------------------------------------------------------- playing

// What the tree counts is what is there.
static void count_tree(const struct hg_merge_node *node, size_t *nodes, size_t *bytes) {
  *bytes += node->name.len + node->text.len;
  for (const struct hg_merge_node *child = node->first; child; child = child->next) {
    ++*nodes;
    count_tree(child, nodes, bytes);
  }
}

static void check_counted(const struct hg_merge *merge) {
  size_t nodes = 0, bytes = 0;
  count_tree(&merge->root, &nodes, &bytes);
  CHECK_EQ(merge->nodes, nodes);
  CHECK_EQ(merge->bytes, bytes);
}

// What is not the usage of the stream is none of the answer that is made of it, whoever reads that later.
static void check_forgotten(const struct stream_case *of, struct hg_assembly *assembly) {
  struct hg_text_buffer answer = {NULL, 0, 0};
  hg_usage_report later = HG_USAGE_REPORT_INIT;
  hg_assembly_forget_usage(assembly);
  CHECK_EQ(hg_assembly_print(assembly, &answer), HG_OK);
  const hg_err err = hg_usage_from_response(answer.data, answer.len, &later);
  if (err != HG_ERR_NO_USAGE)
    fprintf(stderr, "%s: %lld tokens are read out of %.*s\n", of->name, (long long)later.tokens, (int)answer.len,
            answer.data);
  CHECK_EQ(err, HG_ERR_NO_USAGE);
  CHECK(later.source == HG_SOURCE_MISSING && later.tokens == 0);
  hg_text_buffer_clear(&answer);
}

// The first `len` bytes, in pieces that end at `split` and then have `step` bytes each.
static void play(const struct stream_case *of, size_t len, size_t split, size_t step, bool whole, struct outcome *out) {
  struct hg_stream stream;
  struct hg_assembly assembly;
  struct hg_text_buffer answer = {NULL, 0, 0};
  hg_assembly_init(&assembly);
  hg_stream_init(&stream, of->type[0] ? of->type : NULL, of->choices, hg_assembly_take, &assembly);
  for (size_t at = 0, end = split; at < len; at = end, end += step) {
    if (end > len) end = len;
    char *piece = malloc(end - at + 1); // of its own, so that sanitizers see what is read beyond
    memcpy(piece, of->bytes + at, end - at);
    hg_stream_feed(&stream, piece, end - at);
    free(piece);
  }
  out->err = hg_stream_end(&stream, whole, &out->streamed);
  CHECK_EQ(hg_assembly_print(&assembly, &answer), HG_OK);
  check_counted(&assembly.merge);
  snprintf(out->answer, sizeof out->answer, "%.*s", (int)answer.len, answer.data);
  if (out->streamed.found.report.source != HG_SOURCE_EXACT) check_forgotten(of, &assembly);
  hg_text_buffer_clear(&answer);
  hg_assembly_clear(&assembly);
  hg_stream_clear(&stream);
}

static bool same_figures(const hg_usage_report *a, const hg_usage_report *b) {
  return a->source == b->source && a->tokens == b->tokens && a->input_tokens == b->input_tokens &&
         a->output_tokens == b->output_tokens && a->cached_tokens == b->cached_tokens &&
         a->cache_write_tokens == b->cache_write_tokens && a->reasoning_tokens == b->reasoning_tokens;
}

static bool same_label(const char *a, const char *b) {
  return (!a && !b) || (a && b && strcmp(a, b) == 0);
}

static void check_same(const struct stream_case *of, const struct outcome *a, const struct outcome *b, size_t split) {
  const hg_usage_report *x = &a->streamed.found.report, *y = &b->streamed.found.report;
  const bool same = a->err == b->err && same_figures(x, y) && same_label(x->response_id, y->response_id) &&
                    same_label(x->model, y->model) && a->streamed.ended == b->streamed.ended &&
                    a->streamed.failed == b->streamed.failed && a->streamed.broken == b->streamed.broken &&
                    a->streamed.worked == b->streamed.worked && a->streamed.kind == b->streamed.kind &&
                    strcmp(a->streamed.text, b->streamed.text) == 0 && strcmp(a->answer, b->answer) == 0 &&
                    a->streamed.found.reason == b->streamed.found.reason;
  if (!same) fprintf(stderr, "%s: cut at byte %zu it says something else\n", of->name, split);
  CHECK(same);
}

static void check_whole(const struct stream_case *of) {
  static struct outcome outcome;
  struct hg_answer answer;
  play(of, of->len, of->len, 1, true, &outcome);
  const struct hg_streamed *s = &outcome.streamed;
  const bool as_said =
      s->ended == of->ended && s->failed == of->failed && s->broken == of->broken &&
      (!s->failed || s->worked == of->worked) && strcmp(kinds[s->kind], of->kind) == 0 &&
      (!of->words[0] || strstr(s->found.reason ? s->found.reason : "", of->words) || strstr(s->text, of->words)) &&
      (!of->answer[0] || strcmp(of->answer, outcome.answer) == 0);
  const bool same = usage_is_as_expected(&s->found, &of->expected);
  if (!as_said || !same)
    fprintf(stderr, "%s: kind %s%s%s%s%s, reason %s, text %s\n  %s\n  %s\n", of->name, kinds[s->kind],
            s->ended ? " ended" : "", s->failed ? " failed" : "", s->broken ? " broken" : "",
            s->worked ? " worked" : "", s->found.reason ? s->found.reason : "-", s->text, outcome.answer, of->answer);
  CHECK(as_said && same);
  CHECK(s->ended || s->text[0]);
  CHECK(s->ended || s->found.report.source == HG_SOURCE_MISSING);
  hg_answer_read(outcome.answer, strlen(outcome.answer), &answer);
  CHECK(!answer.fault);
}

TEST(usage_streams, whole) {
  const unsigned streams = for_each_case(check_whole);
  fprintf(stderr, "%u streams\n", streams);
  CHECK(streams >= STREAMS_MIN);
}

static void check_splits(const struct stream_case *of) {
  static struct outcome whole, pieces;
  for (int sure = 0; sure < 2; sure++) {
    play(of, of->len, of->len, 1, sure, &whole);
    play(of, of->len, 1, 1, sure, &pieces);
    check_same(of, &whole, &pieces, 1);
    for (size_t split = 1; split < of->len; split++) {
      play(of, of->len, split, of->len, sure, &pieces);
      check_same(of, &whole, &pieces, split);
    }
  }
}

TEST(usage_streams, in_pieces_they_say_the_same) {
  for_each_case(check_splits);
}

// Where the connection broke, only the end that the stream itself has makes a figure exact. Where the transport says
// that nothing is lacking there may be streams that end early without anybody's knowing; but not with another figure.
static void check_cuts(const struct stream_case *of) {
  static struct outcome whole, part;
  play(of, of->len, of->len, 1, true, &whole);
  for (int sure = 0; sure < 2; sure++) {
    for (size_t len = 0; len < of->len; len++) {
      play(of, len, len ? len : 1, 1, sure, &part);
      if (part.streamed.found.report.source != HG_SOURCE_EXACT) {
        CHECK(part.streamed.found.report.tokens == 0 && part.err != HG_OK);
        continue;
      }
      if (sure && whole.streamed.found.report.source != HG_SOURCE_EXACT) continue;
      const bool same = same_figures(&part.streamed.found.report, &whole.streamed.found.report);
      if (!same) fprintf(stderr, "%s: cut off at byte %zu it says another figure\n", of->name, len);
      CHECK(same && part.streamed.ended);
    }
    play(of, of->len, of->len, 1, sure, &part);
    CHECK_EQ(part.streamed.ended, of->ended && (sure || !of->cut));
  }
}

TEST(usage_streams, cut_off_they_never_say_another_figure) {
  for_each_case(check_cuts);
}

// Byte by byte: nothing is decided before something is said, and then the same as of the whole.
static void check_look(const char *type, bool asked, const char *bytes, size_t len, size_t said,
                       enum hg_stream_look expected) {
  size_t blank = 0;
  for (size_t i = 0; i <= len; i++) {
    const enum hg_stream_look look = hg_stream_look(type, asked, bytes, i, &blank);
    CHECK_EQ(look, i <= said ? HG_STREAM_NOT_YET : expected);
    CHECK_EQ(blank, i < said ? blank : said);
  }
  blank = 0;
  CHECK_EQ(hg_stream_look(type, asked, bytes, len, &blank), len <= said ? HG_STREAM_NOT_YET : expected);
}

// Figures in two events of their own may be those of a choice each. (Not in the table: cut off between them, the first
// are those of the end.)
TEST(usage_streams, figures_of_their_own_come_once_for_several_choices) {
  static const char ended[] = "data: {\"choices\":[{\"index\":0,\"finish_reason\":\"stop\"},"
                              "{\"index\":1,\"finish_reason\":\"stop\"}]}\n\n";
  static const char usage[] = "data: {\"choices\":[],\"usage\":{\"prompt_tokens\":10,\"completion_tokens\":5}}\n\n";
  for (int times = 1; times <= 2; times++) {
    struct hg_stream stream;
    struct hg_streamed out;
    hg_stream_init(&stream, "text/event-stream", 2, NULL, NULL);
    CHECK_EQ(hg_stream_feed(&stream, ended, strlen(ended)), HG_OK);
    for (int i = 0; i < times; i++)
      CHECK_EQ(hg_stream_feed(&stream, usage, strlen(usage)), HG_OK);
    CHECK_EQ(hg_stream_feed(&stream, "data: [DONE]\n\n", 14), HG_OK);
    CHECK_EQ(hg_stream_end(&stream, true, &out), times == 1 ? HG_OK : HG_ERR_NO_USAGE);
    hg_stream_clear(&stream);
  }
}

TEST(usage_streams, what_an_answer_looks_like) {
  static const struct {
    const char *type;
    enum hg_stream_look events, frames, object, array, page; // begun with ':', NUL, '{', '[' and '<'
    enum hg_stream_look unasked[5];
  } rows[] = {
#define YES HG_STREAM_IT_IS
#define NO HG_STREAM_IT_IS_NOT
      {NULL, YES, YES, NO, YES, NO, {NO, NO, NO, NO, NO}},
      {"application/json", YES, YES, NO, YES, NO, {NO, NO, NO, NO, NO}},
      {"text/event-stream; charset=utf-8", YES, YES, YES, YES, NO, {YES, YES, NO, NO, NO}},
      {"application/vnd.amazon.eventstream", YES, YES, YES, YES, NO, {YES, YES, NO, NO, NO}},
      {"application/x-ndjson", YES, YES, YES, YES, NO, {YES, YES, YES, YES, NO}},
      {"application/stream+json", YES, YES, YES, YES, NO, {YES, YES, YES, YES, NO}},
      {"application/octet-stream", YES, YES, YES, YES, NO, {NO, NO, NO, NO, NO}},
  };
  for (size_t i = 0; i < sizeof rows / sizeof *rows; i++)
    for (size_t k = 0; k < 5; k++) {
      const enum hg_stream_look asked[] = {rows[i].events, rows[i].frames, rows[i].object, rows[i].array, rows[i].page};
      const char bytes[] = {"\xef\xbb\xbf \t\r\n:\0{[<"[7 + k], 'x'};
      char behind[16] = "\xef\xbb\xbf \t\r\n";
      memcpy(behind + 7, bytes, 2);
      check_look(rows[i].type, true, bytes, 2, 0, asked[k]);
      check_look(rows[i].type, true, behind, 9, 7, asked[k]);
      check_look(rows[i].type, false, behind, 9, 7, rows[i].unasked[k]);
    }
}

// ---------------------------------------------------------------------------------------------- bounds

static hg_err feed_much(struct hg_stream *stream, const char *begin, size_t bytes) {
  static char piece[1 << 16];
  memset(piece, 'x', sizeof piece);
  hg_err err = hg_stream_feed(stream, begin, strlen(begin));
  for (size_t fed = 0; fed < bytes && !err; fed += sizeof piece)
    err = hg_stream_feed(stream, piece, sizeof piece);
  return err;
}

static void check_too_long(const char *begin, size_t bytes, const char *words) {
  struct hg_stream stream;
  struct hg_streamed out;
  hg_stream_init(&stream, NULL, 1, NULL, NULL);
  CHECK_EQ(feed_much(&stream, begin, bytes), HG_ERR_RANGE);
  CHECK(stream.events.line.capacity <= 2 * HG_BODY_MAX && stream.events.data.capacity <= 2 * HG_BODY_MAX);
  CHECK_EQ(hg_stream_feed(&stream, "\n\ndata: [DONE]\n\n", 16), HG_ERR_RANGE);
  CHECK_EQ(hg_stream_end(&stream, true, &out), HG_ERR_RANGE);
  CHECK(out.found.report.source == HG_SOURCE_MISSING && !out.ended && strstr(out.text, words));
  hg_stream_clear(&stream);
}

TEST(usage_streams, checksum) {
  CHECK_EQ(hg_crc32("", 0), 0);
  CHECK_EQ(hg_crc32("123456789", 9), 0xcbf43926);
}

TEST(usage_streams, memory_is_bounded) {
  check_too_long("[{\"a\":\"", HG_BODY_MAX + 1, "a line of the stream is over 16 MiB");
  check_too_long("data: ", HG_BODY_MAX + 1, "a line of the stream is over 16 MiB");
  check_too_long("{\"a\":\"", HG_BODY_MAX + 1, "a line of the stream is over 16 MiB");
  struct hg_stream stream;
  struct hg_streamed out;
  hg_stream_init(&stream, NULL, 1, NULL, NULL);
  hg_err err = HG_OK; // short lines, all of one event
  for (size_t fed = 0; fed < HG_BODY_MAX && !err; fed += 1024)
    err = feed_much(&stream, "\ndata: ", 1024);
  CHECK_EQ(err, HG_ERR_RANGE);
  CHECK_EQ(hg_stream_end(&stream, true, &out), HG_ERR_RANGE);
  CHECK(strstr(out.text, "an event of the stream is over 16 MiB"));
  hg_stream_clear(&stream);
}

static void check_fed(const char *type, const char *bytes, size_t len, hg_err expected) {
  struct hg_stream stream;
  struct hg_streamed out;
  hg_stream_init(&stream, type, 1, NULL, NULL);
  CHECK_EQ(hg_stream_feed(&stream, bytes, len), expected);
  CHECK_EQ(hg_stream_end(&stream, true, &out), expected);
  CHECK(!out.ended);
  hg_stream_clear(&stream);
}

TEST(usage_streams, what_is_broken_is_not_too_long) {
  static const char frames[] = "application/vnd.amazon.eventstream";
  check_fed(NULL, "[{}{}]", 6, HG_ERR_PROTOCOL);
  check_fed(frames, "no frame at all", 15, HG_ERR_PROTOCOL);
  check_fed(frames, "\xff\xff\xff\xff\0\0\0\0\xff\xff\xff\xffx", 13, HG_ERR_RANGE); // 4 GiB are announced
}

TEST(usage_streams, behind_the_end_nothing_is_too_long) {
  static const char *const ends[] = {"data: [DONE]\n\n", "[]"};
  for (size_t i = 0; i < sizeof ends / sizeof *ends; i++) {
    struct hg_stream stream;
    struct hg_streamed out;
    hg_stream_init(&stream, NULL, 1, NULL, NULL);
    CHECK_EQ(feed_much(&stream, ends[i], HG_BODY_MAX + 1), HG_OK);
    CHECK_EQ(stream.events.line.len, 0);
    CHECK_EQ(hg_stream_end(&stream, true, &out), HG_ERR_NO_USAGE);
    CHECK_EQ(out.ended, i == 0);
    hg_stream_clear(&stream);
  }
}

static hg_err assemble(const char *format, unsigned count) {
  struct hg_stream stream;
  struct hg_assembly assembly;
  struct hg_text_buffer answer = {NULL, 0, 0};
  hg_assembly_init(&assembly);
  hg_stream_init(&stream, NULL, 1, hg_assembly_take, &assembly);
  char event[256];
  for (unsigned i = 0; i < count; i++) {
    const int len = snprintf(event, sizeof event, format, i, i);
    CHECK_EQ(hg_stream_feed(&stream, event, (size_t)len), HG_OK);
  }
  const hg_err err = hg_assembly_print(&assembly, &answer);
  check_counted(&assembly.merge);
  hg_text_buffer_clear(&answer);
  hg_assembly_clear(&assembly);
  check_counted(&assembly.merge);
  hg_stream_clear(&stream);
  return err;
}

TEST(usage_streams, what_is_made_of_them_is_bounded) {
  static const char choices[] = "data: {\"choices\":[{\"index\":%u,\"delta\":{\"content\":\"%u\"}}]}\n\n";
  static const char members[] = "data: {\"choices\":[],\"a%u\":%u}\n\n";
  static const char growing[] = "data: {\"choices\":[{\"index\":0,\"delta\":{\"content\":\"%0128u%u\"}}]}\n\n";
  static const char whole[] =
      "data: {\"choices\":[{\"index\":0,\"message\":{\"role\":\"assistant\",\"content\":\"%0128u%u\"}}]}\n\n";
  static const char forms[] =
      "data: {\"choices\":[],\"a\":{\"b\":[{\"c\":%u}]}}\n\ndata: {\"choices\":[],\"a\":[%u]}\n\n";
  CHECK_EQ(assemble(whole, HG_BODY_MAX / 128), HG_OK);
  CHECK_EQ(assemble(forms, HG_MERGE_NODES_MAX), HG_OK);
  CHECK_EQ(assemble(choices, HG_MERGE_SIBLINGS_MAX), HG_OK);
  CHECK_EQ(assemble(choices, HG_MERGE_SIBLINGS_MAX + 1), HG_ERR_RANGE);
  CHECK_EQ(assemble(members, HG_MERGE_SIBLINGS_MAX - 1), HG_OK);
  CHECK_EQ(assemble(members, HG_MERGE_SIBLINGS_MAX), HG_ERR_RANGE);
  CHECK_EQ(assemble(growing, 1000), HG_OK);
  CHECK_EQ(assemble(growing, HG_BODY_MAX / 128), HG_ERR_RANGE);
}
