#include "base/time.h"

#include <ctype.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

static int64_t clock_ms(clockid_t clock)
{
    struct timespec t;
    clock_gettime(clock, &t);
    return (int64_t)t.tv_sec * 1000 + t.tv_nsec / 1000000;
}

int64_t time_now_ms(void)
{
    return clock_ms(CLOCK_REALTIME);
}

int64_t time_mono_ms(void)
{
    return clock_ms(CLOCK_MONOTONIC);
}

struct date {
    int year, month, day;
};

/* Days since 1970-01-01 in the proleptic Gregorian calendar, counted from March so that the leap day ends the year. */
static int64_t days_from_date(struct date d)
{
    int64_t y = d.month > 2 ? d.year : d.year - 1;
    int64_t era = (y >= 0 ? y : y - 399) / 400;
    int64_t year_of_era = y - era * 400;
    int64_t day_of_year = (153 * (d.month + (d.month > 2 ? -3 : 9)) + 2) / 5 + d.day - 1;
    int64_t day_of_era = year_of_era * 365 + year_of_era / 4 - year_of_era / 100 + day_of_year;
    return era * 146097 + day_of_era - 719468;
}

static struct date date_from_days(int64_t days)
{
    days += 719468;
    int64_t era = (days >= 0 ? days : days - 146096) / 146097;
    int64_t day_of_era = days - era * 146097;
    int64_t year_of_era = (day_of_era - day_of_era / 1460 + day_of_era / 36524 - day_of_era / 146096) / 365;
    int64_t day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    int64_t month = (5 * day_of_year + 2) / 153; /* from March */
    struct date d = { .day = (int)(day_of_year - (153 * month + 2) / 5 + 1) };
    d.month = (int)(month < 10 ? month + 3 : month - 9);
    d.year = (int)(year_of_era + era * 400 + (d.month <= 2));
    return d;
}

static int64_t floor_div(int64_t a, int64_t b)
{
    return a / b - (a % b < 0);
}

void time_format_basic(int64_t unix_s, char ret[TIME_TEXT_SIZE])
{
    struct date d = date_from_days(floor_div(unix_s, 86400));
    int s = (int)(unix_s - floor_div(unix_s, 86400) * 86400);
    snprintf(ret, TIME_TEXT_SIZE, "%04d%02d%02dT%02d%02d%02dZ", d.year % 10000, d.month, d.day, s / 3600, s / 60 % 60,
             s % 60);
}

/* Writes "YYYY-MM-DDTHH:MM:SS" into a buffer of TIME_TEXT_SIZE and returns its length. */
static size_t format_seconds(int64_t unix_s, char *ret)
{
    int64_t day = floor_div(unix_s, 86400);
    struct date d = date_from_days(day);
    int s = (int)(unix_s - day * 86400);
    return (size_t)snprintf(ret, TIME_TEXT_SIZE, "%04d-%02d-%02dT%02d:%02d:%02d", d.year % 10000, d.month, d.day,
                            s / 3600, s / 60 % 60, s % 60);
}

void time_format_rfc3339(int64_t unix_ms, char ret[TIME_TEXT_SIZE])
{
    int64_t unix_s = floor_div(unix_ms, 1000);
    size_t len = format_seconds(unix_s, ret);
    snprintf(ret + len, TIME_TEXT_SIZE - len, ".%03dZ", (int)(unix_ms - unix_s * 1000));
}

void time_format_rfc3339_us(int64_t unix_us, char ret[TIME_TEXT_SIZE])
{
    int64_t unix_s = floor_div(unix_us, 1000000);
    size_t len = format_seconds(unix_s, ret);
    snprintf(ret + len, TIME_TEXT_SIZE - len, ".%06dZ", (int)(unix_us - unix_s * 1000000));
}

/* Reads exactly `n` digits and advances *at; -1: fewer digits. */
static int digits(const char **at, int n)
{
    int value = 0;
    for (int i = 0; i < n; i++, (*at)++) {
        if (!isdigit((unsigned char)**at))
            return -1;
        value = value * 10 + (**at - '0');
    }
    return value;
}

static bool skip(const char **at, char c)
{
    if (**at != c)
        return false;
    (*at)++;
    return true;
}

/* The fraction of a second after a '.', in microseconds. The seventh digit rounds; later digits are ignored. */
static bool parse_fraction(const char **at, int64_t *ret_us)
{
    *ret_us = 0;
    if (!skip(at, '.'))
        return true;
    if (!isdigit((unsigned char)**at))
        return false;
    int64_t unit_us = 100000;
    for (; isdigit((unsigned char)**at); (*at)++) {
        int digit = **at - '0';
        if (unit_us > 0)
            *ret_us += digit * unit_us;
        else if (unit_us == 0 && digit >= 5)
            (*ret_us)++;
        unit_us = unit_us > 0 ? unit_us / 10 : -1;
    }
    return true;
}

/* The parts of a date-time as written. */
struct parts {
    struct date date;
    int hour, minute, second;
    int64_t fraction_us;
    int offset_sign, offset_hours, offset_minutes;
};

/* Reads four digits. Signed and longer years, which ISO 8601 also allows, give a year that is out of range. */
static int parse_year(const char **at)
{
    enum { OUT_OF_RANGE = 12000 };
    bool is_signed = **at == '+' || **at == '-';
    size_t n = strspn(*at + is_signed, "0123456789");
    if (n < 4 || (n == 4 && **at != '-'))
        return digits(at, 4);
    *at += is_signed + n;
    return OUT_OF_RANGE;
}

static bool parse_date(const char **at, struct date *ret)
{
    ret->year = parse_year(at);
    if (ret->year < 0 || !skip(at, '-'))
        return false;
    ret->month = digits(at, 2);
    if (ret->month < 0 || !skip(at, '-'))
        return false;
    ret->day = digits(at, 2);
    return ret->day >= 0;
}

static bool parse_clock(const char **at, struct parts *ret)
{
    ret->hour = digits(at, 2);
    if (ret->hour < 0 || !skip(at, ':'))
        return false;
    ret->minute = digits(at, 2);
    if (ret->minute < 0 || !skip(at, ':'))
        return false;
    ret->second = digits(at, 2);
    return ret->second >= 0 && parse_fraction(at, &ret->fraction_us);
}

static bool parse_offset(const char **at, struct parts *ret)
{
    ret->offset_sign = ret->offset_hours = ret->offset_minutes = 0;
    if (skip(at, 'Z') || skip(at, 'z'))
        return true;
    ret->offset_sign = **at == '-' ? -1 : 1;
    if (!skip(at, '+') && !skip(at, '-'))
        return false;
    ret->offset_hours = digits(at, 2);
    if (ret->offset_hours < 0 || !skip(at, ':'))
        return false;
    ret->offset_minutes = digits(at, 2);
    return ret->offset_minutes >= 0;
}

/* The first part that no calendar or clock has. NULL: all parts are possible. */
static const char *impossible_part(const struct parts *parts)
{
    static const int lengths[] = { 31, 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31 };
    struct date d = parts->date;
    if (d.month < 1 || d.month > 12)
        return "month";
    bool leap = (d.year % 4 == 0 && d.year % 100 != 0) || d.year % 400 == 0;
    if (d.day < 1 || d.day > lengths[d.month - 1] + (d.month == 2 && leap))
        return "day";
    if (parts->hour > 23)
        return "hour";
    if (parts->minute > 59)
        return "minute";
    if (parts->second > 60)
        return "second";
    return parts->offset_hours > 23 || parts->offset_minutes > 59 ? "offset" : NULL;
}

enum time_reading time_read_rfc3339(const char *text, int64_t *ret_us, const char **ret_part)
{
    const char *at = text;
    struct parts p;
    if (!parse_date(&at, &p.date) || !(skip(&at, 'T') || skip(&at, 't') || skip(&at, ' ')) || !parse_clock(&at, &p) ||
        !parse_offset(&at, &p) || *at)
        return TIME_MALFORMED;
    const char *part = impossible_part(&p);
    if (part) {
        *ret_part = part;
        return TIME_IMPOSSIBLE;
    }
    int64_t offset_s = p.offset_sign * (p.offset_hours * 3600 + p.offset_minutes * 60);
    int64_t s = days_from_date(p.date) * 86400 + p.hour * 3600 + p.minute * 60 + p.second - offset_s;
    int64_t us = s * 1000000 + p.fraction_us;
    if (p.date.year == 0 || us < time_of_date(1, 1, 1) || us >= time_of_date(10000, 1, 1))
        return TIME_OUT_OF_RANGE;
    *ret_us = us;
    return TIME_READ;
}

bool time_parse_rfc3339(const char *text, int64_t *ret_us)
{
    const char *part = NULL;
    return time_read_rfc3339(text, ret_us, &part) == TIME_READ;
}

void time_year_month(int64_t unix_us, int *ret_year, int *ret_month)
{
    struct date d = date_from_days(floor_div(unix_us, (int64_t)86400 * 1000000));
    *ret_year = d.year;
    *ret_month = d.month;
}

int64_t time_of_date(int year, int month, int day)
{
    return days_from_date((struct date){ year, month, day }) * 86400 * 1000000;
}
