// A C++ program with the header: every HG_..._INIT is one there too, and a call finds the library.
#include <headgate.h>

#include <cstdio>
#include <cstring>

template <typename T> static int is_sized(const T &value) {
  return value.size == sizeof value;
}

int main() {
  hg_error error = HG_ERROR_INIT;
  hg_counter counter = HG_COUNTER_INIT;
  hg_usage_report report = HG_USAGE_REPORT_INIT;
  hg_request request = HG_REQUEST_INIT;
  hg_grant grant = HG_GRANT_INIT;
  hg_usage usage = HG_USAGE_INIT;
  hg_queue queue = HG_QUEUE_INIT;
  hg_waiting waiting = HG_WAITING_INIT;
  hg_orphan orphan = HG_ORPHAN_INIT;
  hg_completion completion = HG_COMPLETION_INIT;
  hg_task task = HG_TASK_INIT;
  hg_filter filter = HG_FILTER_INIT;
  hg_event event = HG_EVENT_INIT;
  const int sized = is_sized(error) + is_sized(counter) + is_sized(report) + is_sized(request) + is_sized(grant) +
                    is_sized(usage) + is_sized(queue) + is_sized(waiting) + is_sized(orphan) + is_sized(completion) +
                    is_sized(task) + is_sized(task.request) + is_sized(filter) + is_sized(event);
  hg_ticket ticket = HG_TICKET_OF_NUMBER(7);

  hg_runtime *runtime = nullptr;
  const char text[] = "{}";
  const hg_err err = hg_open_json(text, std::strlen(text), nullptr, &runtime, &error);
  std::printf("%s: %d sized, ticket %llx, %s\n", hg_version(), sized, static_cast<unsigned long long>(ticket.id),
              hg_err_name(err));
  return sized == 14 && err == HG_ERR_CONFIG && error.code == err ? 0 : 1;
}
