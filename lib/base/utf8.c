#include "base/utf8.h"

#include <string.h>

static size_t sequence_length(unsigned char lead)
{
    if (lead < 0x80)
        return 1;
    if (lead >= 0xc2 && lead <= 0xdf)
        return 2;
    if (lead >= 0xe0 && lead <= 0xef)
        return 3;
    if (lead >= 0xf0 && lead <= 0xf4)
        return 4;
    return 0;
}

/* Some lead bytes restrict the next byte; this excludes overlong forms and surrogates. */
static bool first_continuation_ok(unsigned char lead, unsigned char next)
{
    unsigned char low = 0x80, high = 0xbf;
    if (lead == 0xe0)
        low = 0xa0;
    else if (lead == 0xed)
        high = 0x9f;
    else if (lead == 0xf0)
        low = 0x90;
    else if (lead == 0xf4)
        high = 0x8f;
    return next >= low && next <= high;
}

size_t utf8_next(const char *text, size_t len, uint32_t *ret_code_point)
{
    const unsigned char *s = (const unsigned char *)text;
    if (len == 0)
        return 0;
    size_t n = sequence_length(s[0]);
    if (n == 0 || n > len)
        return 0;
    if (n == 1) {
        *ret_code_point = s[0];
        return 1;
    }
    if (!first_continuation_ok(s[0], s[1]))
        return 0;
    uint32_t c = s[0] & (0x7fU >> n);
    for (size_t i = 1; i < n; i++) {
        if ((s[i] & 0xc0) != 0x80)
            return 0;
        c = c << 6 | (s[i] & 0x3fU);
    }
    *ret_code_point = c;
    return n;
}

bool utf8_is_cut(const char *text, size_t len)
{
    const unsigned char *s = (const unsigned char *)text;
    if (len == 0 || sequence_length(s[0]) <= len)
        return false;
    if (len > 1 && !first_continuation_ok(s[0], s[1]))
        return false;
    for (size_t i = 1; i < len; i++)
        if ((s[i] & 0xc0) != 0x80)
            return false;
    return true;
}

size_t utf8_valid_prefix(const char *text, size_t len)
{
    size_t at = 0;
    while (at < len) {
        /* Eight ASCII bytes at a time: most of a STAC item is ASCII. */
        uint64_t word;
        if (len - at >= sizeof(word)) {
            memcpy(&word, text + at, sizeof(word));
            if ((word & 0x8080808080808080U) == 0) {
                at += sizeof(word);
                continue;
            }
        }
        uint32_t c;
        size_t n = utf8_next(text + at, len - at, &c);
        if (n == 0)
            break;
        at += n;
    }
    return at;
}
