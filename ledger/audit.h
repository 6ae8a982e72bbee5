// What an audit of the ledger found. It compares what is stored beside the journal (totals, permits, topics, latches)
// with what the rows of the journal, and the sums of those that were folded, say.
#ifndef HG_AUDIT_H
#define HG_AUDIT_H

#include "schemas/limits.h"

#include <stdint.h>

enum hg_audit_check {
  HG_AUDIT_USED,     // total_used of a budget: fold and journal along the tree
  HG_AUDIT_RESERVED, // reserved of a budget: fold and journal along the tree
  HG_AUDIT_HELD,     // reserved of a budget: its open and kept reservations along the tree
  HG_AUDIT_PERMIT,   // a reservation: the rows of its permit
  HG_AUDIT_SEQUENCE, // rows are numbered without a gap
  HG_AUDIT_CHAIN,    // each row names the one before it of its topic
  HG_AUDIT_TOPIC,    // the newest row of a topic
  HG_AUDIT_LATCH,    // THROTTLED and RESTORED alternate, and the last of them is the stored latch
  HG_AUDIT_BUDGET,   // rows of a budget that the ledger does not have
  HG_AUDIT_DETAIL,   // details of a row that is not in the journal
  HG_AUDIT_CHECKS
};
const char *hg_audit_check_name(enum hg_audit_check check); // "used", "reserved", …

#define HG_AUDIT_TEXT_MAX 255
#define HG_AUDIT_LISTED_MAX (HG_AUDIT_CHECKS * 8) // differences that are told one by one; all are counted

struct hg_audit_difference {
  char check[16];                       // its name
  char subject[HG_BUDGET_NAME_MAX + 1]; // the budget or topic; "": none
  uint64_t permit, seq;                 // 0: none
  int64_t stored, summed;
  char text[HG_AUDIT_TEXT_MAX + 1]; // the same as a sentence
};

struct hg_audit_report {
  uint64_t seq;           // the newest row: what came after it was not looked at
  uint64_t rows, permits; // compared
  uint64_t differences;
  uint32_t listed;
  struct hg_audit_difference list[HG_AUDIT_LISTED_MAX];
};

#endif
