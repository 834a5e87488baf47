/* time: the clocks, and the date-time formats of AWS and STAC. All are UTC and independent of the locale. */
#ifndef BASE_TIME_H
#define BASE_TIME_H

#include "base/base.h"

int64_t time_now_ms(void);  /* wall clock, since 1970 */
int64_t time_mono_ms(void); /* monotonic: for deadlines and durations */

enum { TIME_TEXT_SIZE = 64 };

void time_format_basic(int64_t unix_s, char ret[TIME_TEXT_SIZE]);       /* 20150830T123600Z, as SigV4 wants it */
void time_format_rfc3339(int64_t unix_ms, char ret[TIME_TEXT_SIZE]);    /* 2015-08-30T12:36:00.000Z */
void time_format_rfc3339_us(int64_t unix_us, char ret[TIME_TEXT_SIZE]); /* 2015-08-30T12:36:00.000000Z */

enum time_reading {
    TIME_READ,
    TIME_MALFORMED,    /* not an RFC 3339 date-time, or without a zone */
    TIME_IMPOSSIBLE,   /* 31 April, hour 24, second 61, offset +24:00 */
    TIME_OUT_OF_RANGE, /* outside the years 0001 to 9999, as written or in UTC after rounding */
};

/*
 * Reads an RFC 3339 date-time such as "2021-01-01T00:00:00Z":
 * - a fraction of any length, rounded to the microsecond as PostgreSQL does
 * - any offset; t or T or a blank between date and time; z or Z
 * - second 60 is second 0 of the next minute
 * TIME_READ sets *ret_us, in microseconds since 1970. TIME_IMPOSSIBLE sets *ret_part: "month", "day", "hour",
 * "minute", "second" or "offset".
 */
enum time_reading time_read_rfc3339(const char *text, int64_t *ret_us, const char **ret_part) must_check;
/* The same, true for TIME_READ. */
bool time_parse_rfc3339(const char *text, int64_t *ret_us);

/* The UTC year and month (1 to 12) of a time in microseconds since 1970. */
void time_year_month(int64_t unix_us, int *ret_year, int *ret_month);
/* The first instant of a UTC day, in microseconds since 1970; month 1 to 12. */
int64_t time_of_date(int year, int month, int day);

#endif
