#include "base/num.h"

#include <ctype.h>
#include <errno.h>
#include <float.h>
#include <inttypes.h>
#include <math.h>
#include <string.h>

#include "base/buf.h"

struct unit {
    const char *name;
    int64_t factor;
};

/* Largest first: printing uses the first that divides the value. */
static const struct unit durations[] = {
    { "d", 86400000 }, { "h", 3600000 }, { "m", 60000 }, { "s", 1000 }, { "ms", 1 }
};
static const struct unit sizes[] = {
    { "TiB", INT64_C(1) << 40 }, { "GiB", 1 << 30 }, { "MiB", 1 << 20 }, { "KiB", 1 << 10 }, { "B", 1 }
};

/* The leading integer of `text`; *ret_rest is what follows it. */
static bool leading_i64(const char *text, int64_t *ret, const char **ret_rest)
{
    const char *digits = *text == '-' ? text + 1 : text;
    if (!isdigit((unsigned char)*digits))
        return false;
    char *end = NULL;
    errno = 0;
    *ret = strtoll(text, &end, 10);
    *ret_rest = end;
    return errno == 0;
}

int num_parse_i64(const char *text, int64_t min, int64_t max, int64_t *ret, struct err *err)
{
    int64_t value = 0;
    const char *rest = NULL;
    if (!leading_i64(text, &value, &rest) || *rest)
        return err_never(err, "bad_number", "expected a whole number, got \"%.64s\"", text);
    if (value < min || value > max)
        return err_never(err, "bad_number", "%" PRId64 " is not in the range %" PRId64 " to %" PRId64, value, min, max);
    *ret = value;
    return 0;
}

static void print_with_unit(int64_t value, const struct unit *units, size_t n, struct buf *ret)
{
    size_t i = 0;
    while (i + 1 < n && (value == 0 || value % units[i].factor != 0))
        i++;
    buf_printf(ret, "%" PRId64 "%s", value / units[i].factor, units[i].name);
}

void num_print_duration(int64_t ms, struct buf *ret)
{
    if (ms == 0)
        buf_puts(ret, "0s");
    else
        print_with_unit(ms, durations, N_ELEMENTS(durations), ret);
}

void num_print_size(int64_t bytes, struct buf *ret)
{
    print_with_unit(bytes, sizes, N_ELEMENTS(sizes), ret);
}

static int64_t unit_factor(const char *name, const struct unit *units, size_t n)
{
    for (size_t i = 0; i < n; i++)
        if (strcmp(name, units[i].name) == 0)
            return units[i].factor;
    return 0;
}

int num_parse_duration(const char *text, int64_t min_ms, int64_t max_ms, int64_t *ret_ms, struct err *err)
{
    int64_t value = 0;
    const char *rest = NULL;
    int64_t factor = 0;
    if (leading_i64(text, &value, &rest))
        factor = unit_factor(*rest ? rest : "s", durations, N_ELEMENTS(durations));
    if (factor == 0 || __builtin_mul_overflow(value, factor, &value))
        return err_never(err, "bad_number", "expected a duration like 250ms, 60s, 5m or 12h, got \"%.64s\"", text);
    if (value < min_ms || value > max_ms) {
        auto_buf struct buf range = BUF_INIT;
        num_print_duration(min_ms, &range);
        buf_puts(&range, " to ");
        num_print_duration(max_ms, &range);
        return err_never(err, "bad_number", "%.64s is not in the range %s", text, buf_str(&range));
    }
    *ret_ms = value;
    return 0;
}

int num_parse_size(const char *text, int64_t min, int64_t max, int64_t *ret, struct err *err)
{
    int64_t value = 0;
    const char *rest = NULL;
    int64_t factor = 0;
    if (leading_i64(text, &value, &rest))
        factor = unit_factor(*rest ? rest : "B", sizes, N_ELEMENTS(sizes));
    if (factor == 0 || __builtin_mul_overflow(value, factor, &value))
        return err_never(err, "bad_number", "expected a size like 512KiB, 6MiB or 1GiB, got \"%.64s\"", text);
    if (value < min || value > max) {
        auto_buf struct buf range = BUF_INIT;
        num_print_size(min, &range);
        buf_puts(&range, " to ");
        num_print_size(max, &range);
        return err_never(err, "bad_number", "%.64s is not in the range %s", text, buf_str(&range));
    }
    *ret = value;
    return 0;
}

/* The significant digits of a decimal, without leading or trailing zeros, times ten to the `exponent`. */
struct decimal {
    bool negative;
    const char *first, *last; /* digits in the text, perhaps with a point between them; NULL for zero */
    long exponent;            /* of the last digit */
};

static struct decimal decimal_of(const char *text)
{
    struct decimal d = { .negative = *text == '-' };
    const char *s = text + d.negative;
    const char *point = NULL;
    const char *end = s;
    for (; isdigit((unsigned char)*end) || *end == '.'; end++) {
        if (*end == '.') {
            point = end;
        } else if (*end != '0') {
            if (!d.first)
                d.first = end;
            d.last = end;
        }
    }
    if (!d.first)
        return (struct decimal){ .negative = false }; /* -0 is 0 */
    if (!point)
        point = end;
    d.exponent = point > d.last ? (long)(point - d.last - 1) : (long)(point - d.last);
    if (*end == 'e' || *end == 'E')
        d.exponent += strtol(end + 1, NULL, 10);
    return d;
}

bool num_equal(const char *a, const char *b)
{
    struct decimal x = decimal_of(a), y = decimal_of(b);
    if (!x.first || !y.first)
        return x.first == y.first;
    if (x.negative != y.negative || x.exponent != y.exponent)
        return false;
    while (x.first <= x.last && y.first <= y.last) {
        if (*x.first == '.')
            x.first++;
        else if (*y.first == '.')
            y.first++;
        else if (*x.first++ != *y.first++)
            return false;
    }
    return x.first > x.last && y.first > y.last;
}

/*
 * dividend / divisor, rounded once. If both are exact as doubles, one division rounds correctly (Clinger, "How to read
 * floating point numbers accurately", 1990). Otherwise: a quotient of 63 or 64 bits, whose last bit is also set for a
 * remainder.
 */
static double divide(uint64_t dividend, uint64_t divisor)
{
    if (dividend < UINT64_C(1) << DBL_MANT_DIG)
        return (double)dividend / (double)divisor;
    int up = __builtin_clzll(dividend), down = __builtin_clzll(divisor);
    unsigned __int128 wide = (unsigned __int128)(dividend << up) << 63;
    uint64_t quotient = (uint64_t)(wide / (divisor << down));
    quotient |= wide % (divisor << down) != 0;
    return ldexp((double)quotient, down - up - 63);
}

double num_nearest_double(const char *text, const char **ret_end)
{
    enum { DIGITS_MAX = 19 }; /* fit into 64 bits, and so does their power of ten; strtod reads longer numbers */
    bool is_negative = *text == '-', in_fraction = false;
    const char *first = text + is_negative, *at = first;
    uint64_t digits = 0, power = 1;
    for (; (*at >= '0' && *at <= '9') || *at == '.'; at++) {
        if (*at == '.') {
            in_fraction = true;
        } else {
            digits = digits * 10 + (uint64_t)(*at - '0');
            power *= in_fraction ? 10 : 1;
        }
    }
    double value;
    if (*at == 'e' || *at == 'E' || at - first - in_fraction > DIGITS_MAX) {
        char *end = NULL;
        value = strtod(text, &end);
        at = end;
    } else {
        value = divide(digits, power);
        value = is_negative ? -value : value;
    }
    if (ret_end)
        *ret_end = at;
    return value;
}
