// One HTTP call: a libcurl handle that is set up once and used again and again.
#include "runner/http_private.h"
#include "base/clock.h"
#include "base/fail.h"
#include "base/json_scan.h"

#include <ctype.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#define KEPT_BODY_BYTES ((size_t)64 * 1024) // a longer buffer is given back after the call

static long status_of(const struct hg_http_call *call) {
  long status = 0;
  curl_easy_getinfo(call->easy, CURLINFO_RESPONSE_CODE, &status);
  return status;
}

static bool begin_stream(struct hg_http_call *call, const char *type) {
  call->stream = calloc(1, sizeof *call->stream);
  if (!call->stream) return false;
  hg_assembly_init(&call->stream->assembly);
  hg_stream_init(&call->stream->stream, type, call->choices, hg_assembly_take, &call->stream->assembly);
  return true;
}

// A line that is too long ends it; so does an answer that is, or has more parts than any answer. What is broken ends it
// too: nobody could read what comes behind.
static bool feed_stream(struct hg_http_call *call, const char *data, size_t len) {
  hg_err err = hg_stream_feed(&call->stream->stream, data, len);
  if (!err) err = call->stream->assembly.merge.err;
  call->no_memory = err == HG_ERR_NO_MEMORY;
  call->too_large = err == HG_ERR_RANGE;
  return !err;
}

static bool keep(struct hg_http_call *call, const char *data, size_t more) {
  call->too_large = more > HG_BODY_MAX - call->body_len;
  if (call->too_large) return false;
  if (call->body_len + more > call->body_capacity) {
    size_t capacity = call->body_capacity ? call->body_capacity : 4096;
    while (capacity < call->body_len + more)
      capacity *= 2;
    char *body = realloc(call->body, capacity);
    call->no_memory = !body;
    if (!body) return false;
    call->body = body;
    call->body_capacity = capacity;
  }
  if (more > 0) memcpy(call->body + call->body_len, data, more);
  call->body_len += more;
  return true;
}

// The events of a stream are many times as long as the answer that they make, and only that is bounded: so the length
// that an answer announces is looked at when it is known to be none.
static bool look(struct hg_http_call *call) {
  const char *type = NULL;
  const long status = status_of(call);
  curl_off_t announced = 0;
  curl_easy_getinfo(call->easy, CURLINFO_CONTENT_TYPE, &type);
  curl_easy_getinfo(call->easy, CURLINFO_CONTENT_LENGTH_DOWNLOAD_T, &announced);
  const enum hg_stream_look is = status < 200 || status > 299
                                     ? HG_STREAM_IT_IS_NOT
                                     : hg_stream_look(type, call->streams, call->body, call->body_len, &call->blank);
  call->looked = is != HG_STREAM_NOT_YET;
  call->too_large = is == HG_STREAM_IT_IS_NOT && announced > HG_BODY_MAX;
  if (is != HG_STREAM_IT_IS) return !call->too_large;
  call->no_memory = !begin_stream(call, type);
  if (call->no_memory || !feed_stream(call, call->body, call->body_len)) return false;
  call->body_len = 0;
  return true;
}

// The last status line is that of the answer. (libcurl's own times count from the request's body, where that is sent
// apart.)
static size_t on_header(char *line, size_t size, size_t count, void *context) {
  struct hg_http_call *call = context;
  if (size * count >= 5 && memcmp(line, "HTTP/", 5) == 0) call->headers_us = hg_clock_now().monotonic_us;
  return size * count;
}

static size_t on_body(char *data, size_t size, size_t count, void *context) {
  struct hg_http_call *call = context;
  const size_t more = size * count;
  const bool taken =
      call->stream ? feed_stream(call, data, more) : keep(call, data, more) && (call->looked || look(call));
  return taken ? more : CURL_WRITEFUNC_ERROR;
}

static bool was_sent(const struct hg_http_call *call) {
  long sent = 0;
  return curl_easy_getinfo(call->easy, CURLINFO_REQUEST_SIZE, &sent) != CURLE_OK || sent > 0;
}

// libcurl sends a request again by itself when a kept connection dies under it. The provider may have worked on the
// first copy, so a second one needs a reservation of its own: it is stopped here.
static int before_request(void *context, char *remote, char *local, int remote_port, int local_port) {
  (void)remote, (void)local, (void)remote_port, (void)local_port;
  struct hg_http_call *call = context;
  call->resent = call->starts > 0 && was_sent(call);
  if (call->resent) return CURL_PREREQFUNC_ABORT;
  call->starts++;
  return CURL_PREREQFUNC_OK;
}

// A key that may go to a loopback server in the clear must not go to a proxy in the clear.
char *hg_http_no_proxy(const char *environment) {
  static const char loopback[] = "localhost,127.0.0.1,::1";
  const char *more = environment ? environment + strspn(environment, " ") : "";
  if (more[0] == '*' && more[1 + strspn(more + 1, " ")] == '\0') return strdup("*"); // libcurl takes it alone only
  char *list = NULL;
  return asprintf(&list, "%s%s%s", loopback, more[0] ? "," : "", more) < 0 ? NULL : list;
}

// As libcurl looks for it.
static bool set_no_proxy(CURL *easy) {
  const char *environment = getenv("no_proxy");
  char *list = hg_http_no_proxy(environment ? environment : getenv("NO_PROXY"));
  const bool set = list && curl_easy_setopt(easy, CURLOPT_NOPROXY, list) == CURLE_OK;
  free(list);
  return set;
}

static bool set_common(struct hg_http_call *call, const struct hg_http_options *options) {
  CURL *easy = call->easy;
  char agent[48] = "headgate/";
  strncat(agent, hg_version(), sizeof agent - strlen(agent) - 1);
  return curl_easy_setopt(easy, CURLOPT_NOSIGNAL, 1L) == CURLE_OK &&
         curl_easy_setopt(easy, CURLOPT_POST, 1L) == CURLE_OK &&
         curl_easy_setopt(easy, CURLOPT_PRIVATE, call) == CURLE_OK &&
         curl_easy_setopt(easy, CURLOPT_USERAGENT, agent) == CURLE_OK &&
         curl_easy_setopt(easy, CURLOPT_ERRORBUFFER, call->detail) == CURLE_OK &&
         curl_easy_setopt(easy, CURLOPT_WRITEFUNCTION, on_body) == CURLE_OK &&
         curl_easy_setopt(easy, CURLOPT_WRITEDATA, call) == CURLE_OK &&
         curl_easy_setopt(easy, CURLOPT_HEADERFUNCTION, on_header) == CURLE_OK &&
         curl_easy_setopt(easy, CURLOPT_HEADERDATA, call) == CURLE_OK &&
         curl_easy_setopt(easy, CURLOPT_PREREQFUNCTION, before_request) == CURLE_OK &&
         curl_easy_setopt(easy, CURLOPT_PREREQDATA, call) == CURLE_OK &&
         curl_easy_setopt(easy, CURLOPT_FOLLOWLOCATION, 0L) == CURLE_OK && set_no_proxy(easy) &&
         // Some servers compress whatever is asked for; what is counted and bounded by HG_BODY_MAX is the text inside.
         curl_easy_setopt(easy, CURLOPT_ACCEPT_ENCODING, "") == CURLE_OK &&
         curl_easy_setopt(easy, CURLOPT_PROTOCOLS_STR, "http,https") == CURLE_OK &&
         curl_easy_setopt(easy, CURLOPT_HTTP_VERSION, (long)CURL_HTTP_VERSION_2TLS) == CURLE_OK &&
         curl_easy_setopt(easy, CURLOPT_TCP_KEEPALIVE, 1L) == CURLE_OK &&
         curl_easy_setopt(easy, CURLOPT_CONNECTTIMEOUT_MS, (long)options->connect_timeout_ms) == CURLE_OK;
}

struct hg_http_call *hg_http_call_new(const struct hg_http_options *options) {
  struct hg_http_call *call = calloc(1, sizeof *call);
  if (!call) return NULL;
  call->easy = curl_easy_init();
  call->timeout_ms = options->timeout_ms;
  if (call->easy && set_common(call, options)) return call;
  hg_http_call_destroy(call);
  return NULL;
}

static void drop_stream(struct hg_http_call *call) {
  if (!call->stream) return;
  hg_stream_clear(&call->stream->stream);
  hg_assembly_clear(&call->stream->assembly);
  hg_text_buffer_clear(&call->stream->answer);
  free(call->stream);
  call->stream = NULL;
}

void hg_http_call_destroy(struct hg_http_call *call) {
  if (!call) return;
  drop_stream(call);
  if (call->easy) curl_easy_cleanup(call->easy);
  free(call->url);
  free(call->body);
  free(call);
}

static hg_err refuse(hg_error *why, CURLcode code, const char *what) {
  const hg_err err = code == CURLE_OUT_OF_MEMORY ? HG_ERR_NO_MEMORY : HG_ERR_INVALID;
  return hg_fail(why, err, "libcurl refuses the %s: %s", what, curl_easy_strerror(code));
}

// Nearly all calls of a run go to the same URL, so it is set only when it changes.
static CURLcode set_url(struct hg_http_call *call, const char *url) {
  if (call->url && strcmp(call->url, url) == 0) return CURLE_OK;
  const size_t size = strlen(url) + 1;
  if (!call->url || size > call->url_capacity) {
    char *copy = realloc(call->url, size);
    if (!copy) return CURLE_OUT_OF_MEMORY;
    call->url = copy;
    call->url_capacity = size;
  }
  memcpy(call->url, url, size);
  // Waiting for a connection that others can share pays only where HTTP/2 can be agreed on.
  CURLcode code = curl_easy_setopt(call->easy, CURLOPT_PIPEWAIT, strncmp(url, "https:", 6) == 0 ? 1L : 0L);
  if (code == CURLE_OK) code = curl_easy_setopt(call->easy, CURLOPT_URL, url);
  if (code != CURLE_OK) call->url[0] = '\0';
  return code;
}

hg_err hg_http_call_prepare(struct hg_http_call *call, const struct hg_http_request *request,
                            const struct curl_slist *headers, hg_error *why) {
  CURLcode code = set_url(call, request->url);
  if (code != CURLE_OK) return refuse(why, code, "URL");
  if (call->headers != headers) code = curl_easy_setopt(call->easy, CURLOPT_HTTPHEADER, headers);
  if (code != CURLE_OK) return refuse(why, code, "headers");
  call->headers = headers;
  code = curl_easy_setopt(call->easy, CURLOPT_POSTFIELDSIZE_LARGE, (curl_off_t)request->body_len);
  if (code == CURLE_OK) code = curl_easy_setopt(call->easy, CURLOPT_POSTFIELDS, request->body);
  if (code != CURLE_OK) return refuse(why, code, "body");
  const uint32_t timeout_ms = request->timeout_ms ? request->timeout_ms : call->timeout_ms;
  code = curl_easy_setopt(call->easy, CURLOPT_TIMEOUT_MS, (long)timeout_ms);
  if (code != CURLE_OK) return refuse(why, code, "timeout");
  call->streams = request->streams;
  call->choices = request->choices > 0 ? request->choices : 1;
  call->tag = request->tag;
  return HG_OK;
}

bool hg_http_call_left(const struct hg_http_call *call) {
  return call->starts > 0;
}

void hg_http_call_rest(struct hg_http_call *call) {
  drop_stream(call);
  call->starts = 0;
  call->resent = call->looked = call->too_large = call->no_memory = false;
  call->blank = 0;
  call->headers_us = 0;
  call->detail[0] = '\0';
  call->tag = NULL;
  call->body_len = 0;
  if (call->body_capacity <= KEPT_BODY_BYTES) return;
  free(call->body);
  call->body = NULL;
  call->body_capacity = 0;
}

// ---------------------------------------------------------------------------------------------- the end

// A bad status says enough without its body.
static enum hg_http_kind kind_of(const struct hg_http_call *call, CURLcode code) {
  if (code == CURLE_OK) return call->too_large ? HG_HTTP_TOO_LARGE : HG_HTTP_ANSWERED;
  if (code == CURLE_BAD_CONTENT_ENCODING) return status_of(call) < 300 ? HG_HTTP_UNREADABLE : HG_HTTP_ANSWERED;
  if (call->too_large) return HG_HTTP_TOO_LARGE;
  if (code == CURLE_OPERATION_TIMEDOUT && call->starts > 0) return HG_HTTP_TIMED_OUT;
  return call->starts > 0 ? HG_HTTP_BROKEN : HG_HTTP_NO_CONNECTION;
}

static const char *header(const struct hg_http_call *call, const char *name) {
  struct curl_header *found = NULL;
  return curl_easy_header(call->easy, name, 0, CURLH_HEADER, -1, &found) == CURLHE_OK ? found->value : NULL;
}

static const char *header_of(const void *call, const char *name) {
  return header(call, name);
}

int64_t hg_retry_after_ms(const char *text, int64_t now) {
  if (isdigit((unsigned char)text[0])) {
    char *end = NULL;
    const double seconds = strtod(text, &end);
    while (*end == ' ')
      end++;
    if (*end || !(seconds >= 0)) return -1;
    return seconds < 1e9 ? (int64_t)(seconds * 1000) : INT64_C(1000000000000);
  }
  const time_t moment = curl_getdate(text, NULL);
  if (moment < 0) return -1;
  return (int64_t)moment > now ? ((int64_t)moment - now) * 1000 : 0;
}

static int64_t read_retry_after(const struct hg_http_call *call) {
  const char *milliseconds = header(call, "retry-after-ms");
  if (milliseconds && isdigit((unsigned char)milliseconds[0])) {
    const double value = strtod(milliseconds, NULL);
    return value < 1e12 ? (int64_t)value : INT64_C(1000000000000);
  }
  const char *seconds = header(call, "retry-after");
  return seconds ? hg_retry_after_ms(seconds, (int64_t)time(NULL)) : -1;
}

static void read_answer(const struct hg_http_call *call, const char *body, size_t body_len, struct hg_http_end *out) {
  out->status = status_of(call);
  const size_t mark = hg_json_mark(body, body_len);
  out->body = body_len > mark ? body + mark : NULL;
  out->body_len = body_len - mark;
  if (out->status >= 400) out->retry_after_ms = read_retry_after(call);
  const struct hg_now now = hg_clock_now();
  if (call->headers_us > 0) out->headers_ms_ago = (now.monotonic_us - call->headers_us) / 1000;
  hg_rate_headers_read(header_of, call, (now.utc_us / 1000 - out->headers_ms_ago) / 1000, &out->rates);
  const char *id = header(call, "x-request-id");
  if (!id) id = header(call, "request-id");
  if (id) strncat(out->request_id, id, sizeof out->request_id - 1);
}

// Whether the transport tells where a body ends. Where only the connection does, whoever closed it may have cut it off.
static bool tells_its_end(const struct hg_http_call *call) {
  long version = 0;
  curl_easy_getinfo(call->easy, CURLINFO_HTTP_VERSION, &version);
  const char *coding = header(call, "transfer-encoding");
  return version >= CURL_HTTP_VERSION_2_0 || header(call, "content-length") ||
         (coding && strcasestr(coding, "chunked"));
}

// A stream answers when it ended as its kind ends, whatever the connection did then, or when an error came in it. One
// of no known kind has no end of its own: it is taken as it came, with its usage missing, if its transport is whole.
static bool end_stream(struct hg_http_call *call, CURLcode code, struct hg_http_end *out) {
  struct hg_http_stream *stream = call->stream;
  const bool whole = code == CURLE_OK && tells_its_end(call);
  const hg_err err = hg_stream_end(&stream->stream, whole, &stream->streamed);
  const struct hg_streamed *streamed = &stream->streamed;
  const bool unknown = whole && streamed->kind == HG_STREAM_OTHER && !stream->stream.malformed;
  call->no_memory |= err == HG_ERR_NO_MEMORY;
  call->too_large |= err == HG_ERR_RANGE;
  const bool answered = streamed->ended || streamed->failed || unknown;
  if (call->no_memory || call->too_large || !answered) return false;
  if (streamed->found.report.source != HG_SOURCE_EXACT) hg_assembly_forget_usage(&stream->assembly);
  const hg_err made = hg_assembly_print(&stream->assembly, &stream->answer);
  call->no_memory = made == HG_ERR_NO_MEMORY;
  call->too_large = made == HG_ERR_RANGE;
  if (made) return false;
  out->kind = HG_HTTP_ANSWERED;
  out->streamed = streamed;
  read_answer(call, stream->answer.data, stream->answer.len, out);
  return true;
}

void hg_http_call_end(struct hg_http_call *call, CURLcode code, struct hg_http_end *out) {
  *out = (struct hg_http_end){.left = call->starts > 0, .retry_after_ms = -1, .rates = {{0, -1, 0}, {0, -1, 0}}};
  const bool broke_off = call->stream && !end_stream(call, code, out);
  if (out->streamed) return;
  out->kind = kind_of(call, code);
  if (broke_off && out->kind == HG_HTTP_ANSWERED) out->kind = HG_HTTP_BROKEN;
  if (out->kind == HG_HTTP_ANSWERED) {
    read_answer(call, call->body, code == CURLE_OK ? call->body_len : 0, out);
    return;
  }
  if (broke_off && (code == CURLE_OK || call->stream->stream.events.err))
    snprintf(call->detail, sizeof call->detail, "%.159s", call->stream->streamed.text);
  const char *detail = call->detail[0] ? call->detail : curl_easy_strerror(code);
  if (call->resent) detail = "a kept connection ended before an answer came";
  if (call->no_memory) detail = "no memory for the answer";
  snprintf(out->detail, sizeof out->detail, "%.159s", detail);
}
