// msgpack as JSON: numbers, texts, nesting, and what has no JSON.
#include "unit/codec.h"

#include <math.h>

static char json[1024];

static const char *json_of(const void *data, size_t size) {
  uint8_t *exact = codec_exact(data, size);
  const size_t length = hg_outside_to_json(exact, size, json, sizeof json);
  CHECK_EQ(length, strlen(json));
  free(exact);
  return json;
}

#define JSON_OF(bytes) json_of(bytes, sizeof bytes - 1)

static const char *real(double number) {
  msgpack_sbuffer buffer;
  msgpack_packer packer;
  msgpack_sbuffer_init(&buffer);
  msgpack_packer_init(&packer, &buffer, msgpack_sbuffer_write);
  msgpack_pack_double(&packer, number);
  json_of(buffer.data, buffer.size);
  msgpack_sbuffer_destroy(&buffer);
  return json;
}

TEST(outside_json, reals_have_the_fewest_digits_that_read_back) {
  CHECK_STR(real(90.5), "90.5");
  CHECK_STR(real(33.33), "33.33");
  CHECK_STR(real(0.1), "0.1");
  CHECK_STR(real(100.0), "100.0"); // a real stays a real
  CHECK_STR(real(0.0), "0.0");
  CHECK_STR(real(-1e14), "-100000000000000.0");
  CHECK_STR(real(1e15), "1e+15");
  CHECK_STR(real(1.0000001), "1.0000001");
  CHECK_STR(real(0.00001), "0.00001");
  CHECK_STR(real(-0.25), "-0.25");
  CHECK_STR(real(1.0 / 3.0), "0.3333333333333333");
  CHECK_STR(real(0.1 + 0.2), "0.30000000000000004");
  CHECK_STR(real(1e300), "1e+300");
  CHECK_STR(real(5e-324), "5e-324");
  CHECK_STR(real(INFINITY), "null");
  CHECK_STR(real(-INFINITY), "null");
  CHECK_STR(real(NAN), "null");
  CHECK_STR(JSON_OF("\xca\x3f\x00\x00\x00"), "0.5");
}

TEST(outside_json, every_percent_is_written_as_people_write_it) {
  for (uint32_t hundredths = 0; hundredths <= 20000; hundredths++) {
    char wanted[16];
    const int length = snprintf(wanted, sizeof wanted, "%u.%02u", hundredths / 100, hundredths % 100);
    if (wanted[length - 1] == '0') wanted[length - 1] = '\0'; // 90.50 is 90.5, but 90.00 is 90.0
    CHECK(strcmp(real(hundredths / 100.0), wanted) == 0);
  }
}

TEST(outside_json, integers_are_whole) {
  CHECK_STR(JSON_OF("\x00"), "0");
  CHECK_STR(JSON_OF("\xe0"), "-32");
  CHECK_STR(JSON_OF("\xcf\xff\xff\xff\xff\xff\xff\xff\xff"), "18446744073709551615");
  CHECK_STR(JSON_OF("\xd3\x80\x00\x00\x00\x00\x00\x00\x00"), "-9223372036854775808");
  CHECK_STR(JSON_OF("\xd3\x7f\xff\xff\xff\xff\xff\xff\xff"), "9223372036854775807");
  CHECK_STR(JSON_OF("\xd0\x80"), "-128");
  CHECK_STR(JSON_OF("\xd1\xff\x7f"), "-129");
  CHECK_STR(JSON_OF("\xd2\x80\x00\x00\x00"), "-2147483648");
}

TEST(outside_json, texts_are_escaped) {
  CHECK_STR(JSON_OF("\xa0"), "\"\"");
  CHECK_STR(JSON_OF("\xa5\"\\\b\f\n"), "\"\\\"\\\\\\b\\f\\n\"");
  CHECK_STR(JSON_OF("\xa4\r\t\x01\x1f"), "\"\\r\\t\\u0001\\u001f\"");
  CHECK_STR(JSON_OF("\xa6"
                    "a\x7f\xc3\xa9/b"),
            "\"a\x7f\xc3\xa9/b\"");
}

TEST(outside_json, containers_nest) {
  CHECK_STR(JSON_OF("\x90"), "[]");
  CHECK_STR(JSON_OF("\x80"), "{}");
  CHECK_STR(JSON_OF("\x93\xc0\xc2\xc3"), "[null,false,true]");
  CHECK_STR(JSON_OF("\x82\xa1"
                    "a\x91\x01\xa1"
                    "b\x81\xa1"
                    "c\x02"),
            "{\"a\":[1],\"b\":{\"c\":2}}");
  CHECK_STR(JSON_OF("\x82\x05\xc0\xff\xc0"), "{\"5\":null,\"-1\":null}");
  CHECK_STR(JSON_OF("\x92\xc4\x02\x0a\xff\xd4\x01\x7f"), "[\"0aff\",\"7f\"]");
  CHECK_STR(JSON_OF("\x91\x91\x91\x91\x91\x91\x91\x90"), "[[[[[[[[]]]]]]]]");
}

TEST(outside_json, what_has_no_json_is_nothing) {
  CHECK_STR(JSON_OF(""), "");
  CHECK_STR(JSON_OF("\xc1"), "");
  CHECK_STR(JSON_OF("\x00\x00"), ""); // two values
  CHECK_STR(JSON_OF("\x92\x00"), ""); // not whole
  CHECK_STR(JSON_OF("\xa2"
                    "a"),
            "");
  CHECK_STR(JSON_OF("\xdd\x10\x00\x00\x00"), "");
  CHECK_STR(JSON_OF("\xa1\xff"), "");                             // not UTF-8
  CHECK_STR(JSON_OF("\x81\xc0\x00"), "");                         // a key that is nil
  CHECK_STR(JSON_OF("\x81\x90\x00"), "");                         // a key that is a list
  CHECK_STR(JSON_OF("\x91\x91\x91\x91\x91\x91\x91\x91\x90"), ""); // too deep
  CHECK_EQ(hg_outside_to_json(NULL, 0, json, sizeof json), 0);
  CHECK_EQ(hg_outside_to_json((const uint8_t *)"\x00", 1, json, 0), 0);
}

TEST(outside_json, what_does_not_fit_is_nothing) {
  static const char data[] = "\x83\xa1"
                             "a\x93\x01\xcb\x40\x56\xa0\x00\x00\x00\x00\x00\xc3\xa1"
                             "b\xa2\n\"\xa1"
                             "c\xc4\x01\x7f";
  const char *whole = JSON_OF(data);
  CHECK_STR(whole, "{\"a\":[1,90.5,true],\"b\":\"\\n\\\"\",\"c\":\"7f\"}");
  const size_t length = strlen(whole);
  for (size_t room = 1; room <= length + 1; room++) {
    char *exact = malloc(room);
    CHECK(exact != NULL);
    CHECK_EQ(hg_outside_to_json((const uint8_t *)data, sizeof data - 1, exact, room), room > length ? length : 0);
    CHECK_EQ(strlen(exact), room > length ? length : 0);
    free(exact);
  }
}
