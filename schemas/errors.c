// The names and sentences of the error codes, from schemas/errors.def.
#include "headgate.h"

#include <assert.h>

#define ERROR(name, number, text)                                                                                      \
  static_assert(HG_##name == (number), "headgate.h and errors.def number " #name " alike");
#include "schemas/errors.def"
#undef ERROR

const char *hg_err_name(hg_err code) {
  switch (code) {
#define ERROR(name, number, text)                                                                                      \
  case HG_##name:                                                                                                      \
    return "HG_" #name;
#include "schemas/errors.def"
#undef ERROR
  }
  return "HG_ERR_?";
}

const char *hg_err_text(hg_err code) {
  switch (code) {
#define ERROR(name, number, text)                                                                                      \
  case HG_##name:                                                                                                      \
    return text;
#include "schemas/errors.def"
#undef ERROR
  }
  return "unknown error";
}

const char *hg_version(void) {
  return HG_VERSION;
}
