#include "base/time.h"

#include <ctype.h>
#include <stdio.h>
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

/* "YYYY-MM-DDTHH:MM:SS" of a second, into a buffer of TIME_TEXT_SIZE; its length. */
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

/* Reads exactly `n` digits at *at and moves it on; -1 where there are fewer. */
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

static bool parse_date(const char **at, struct date *ret)
{
    ret->year = digits(at, 4);
    if (ret->year < 1 || !skip(at, '-'))
        return false;
    ret->month = digits(at, 2);
    if (ret->month < 1 || ret->month > 12 || !skip(at, '-'))
        return false;
    ret->day = digits(at, 2);
    static const int lengths[] = { 31, 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31 };
    bool leap = (ret->year % 4 == 0 && ret->year % 100 != 0) || ret->year % 400 == 0;
    int length = lengths[ret->month - 1] + (ret->month == 2 && leap);
    return ret->day >= 1 && ret->day <= length;
}

/* The fraction of a second behind a '.', in microseconds; the seventh digit rounds, further ones change nothing. */
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

static bool parse_offset(const char **at, int64_t *ret_s)
{
    *ret_s = 0;
    if (skip(at, 'Z') || skip(at, 'z'))
        return true;
    int sign = **at == '-' ? -1 : 1;
    if (!skip(at, '+') && !skip(at, '-'))
        return false;
    int hours = digits(at, 2);
    if (hours < 0 || hours > 23 || !skip(at, ':'))
        return false;
    int minutes = digits(at, 2);
    if (minutes < 0 || minutes > 59)
        return false;
    *ret_s = sign * (hours * 3600 + minutes * 60);
    return true;
}

bool time_parse_rfc3339(const char *text, int64_t *ret_us)
{
    const char *at = text;
    struct date date;
    if (!parse_date(&at, &date) || !(skip(&at, 'T') || skip(&at, 't') || skip(&at, ' ')))
        return false;
    int hour = digits(&at, 2);
    if (hour < 0 || hour > 23 || !skip(&at, ':'))
        return false;
    int minute = digits(&at, 2);
    if (minute < 0 || minute > 59 || !skip(&at, ':'))
        return false;
    int second = digits(&at, 2);
    int64_t fraction_us = 0, offset_s = 0;
    if (second < 0 || second > 60 || !parse_fraction(&at, &fraction_us) || !parse_offset(&at, &offset_s) || *at)
        return false;

    int64_t s = days_from_date(date) * 86400 + hour * 3600 + minute * 60 + second - offset_s;
    int64_t us = s * 1000000 + fraction_us;
    int64_t first = days_from_date((struct date){ 1, 1, 1 }) * 86400 * 1000000;
    int64_t end = days_from_date((struct date){ 10000, 1, 1 }) * 86400 * 1000000;
    if (us < first || us >= end)
        return false;
    *ret_us = us;
    return true;
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
