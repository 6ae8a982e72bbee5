// Amounts of money: nano-dollars (10^-9 US dollars) in whole numbers, so that sums are exact. Read and written without
// floating point. Pure.
#ifndef HG_MONEY_H
#define HG_MONEY_H

#include "headgate.h"

#define HG_NANODOLLARS INT64_C(1000000000) // in a dollar
#define HG_MONEY_DECIMALS 9                // that a dollar can have
#define HG_MONEY_TEXT_MAX 24               // "-$9007199.254740991" and a NUL fit

// "tokens", "nanodollars": as configurations' ledgers and messages say them.
const char *hg_unit_name(hg_unit unit);
bool hg_unit_of_name(const char *name, size_t len, hg_unit *out);
// Of somebody who may not say it: tokens then.
hg_unit hg_unit_said(const char *name, size_t len);
// "tokens", "dollars": for people.
const char *hg_unit_words(hg_unit unit);

// Dollars such as 20, 12.50 or 0.000000001, exactly. False: not written so (a sign, an exponent, more than nine
// decimals), 0, or over HG_TOKENS_MAX nano-dollars.
bool hg_money_parse(const char *text, size_t len, int64_t *out);
// Exactly: "$20.00", "-$0.000000001"; two decimals at least.
void hg_money_print(int64_t nanodollars, char out[HG_MONEY_TEXT_MAX]);
// For people: rounded half up to four decimals, or, under a dollar, to four significant digits.
void hg_money_round(int64_t nanodollars, char out[HG_MONEY_TEXT_MAX]);

#endif
