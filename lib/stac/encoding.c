#include "stac/encoding.h"

#include <string.h>

static const char unpack[] = "unpack it first", convert[] = "convert it to UTF-8 first";

#define MAGIC(bytes) bytes, sizeof(bytes) - 1

/* Formats by their first bytes, longer ones first. JSON cannot begin with any of them. */
static const struct {
    const char *magic;
    size_t len;
    const char *name, *hint;
} kinds[] = {
    { MAGIC("\x1f\x8b"), "gzip-compressed data", unpack },
    { MAGIC("H4sI"), "gzip-compressed data in base64", unpack },
    { MAGIC("\x1f\xc2\x8b"), "gzip-compressed data that was sent as text", unpack },
    { MAGIC("\x1f\xef\xbf\xbd"), "gzip-compressed data that was sent as text", unpack },
    { MAGIC("\x28\xb5\x2f\xfd"), "zstd-compressed data", unpack },
    { MAGIC("BZh"), "bzip2-compressed data", unpack },
    { MAGIC("\xfd"
            "7zXZ"),
      "xz-compressed data", unpack },
    { MAGIC("\x04\x22\x4d\x18"), "lz4-compressed data", unpack },
    { MAGIC("\x1f\x9d"), "data compressed by compress", unpack },
    { MAGIC("\x78\x01"), "zlib-compressed data", unpack },
    { MAGIC("\x78\x9c"), "zlib-compressed data", unpack },
    { MAGIC("\x78\xda"), "zlib-compressed data", unpack },
    { MAGIC("PK\x03\x04"), "a zip archive", unpack },
    { MAGIC("PK\x05\x06"), "a zip archive", unpack },
    { MAGIC("7z\xbc\xaf"), "a 7-Zip archive", unpack },
    { MAGIC("\xff\xfe\0\0"), "UTF-32 text", convert },
    { MAGIC("\0\0\xfe\xff"), "UTF-32 text", convert },
    { MAGIC("\xff\xfe"), "UTF-16 text", convert },
    { MAGIC("\xfe\xff"), "UTF-16 text", convert },
    { MAGIC("PAR1"), "a Parquet file", NULL },
    { MAGIC("ARROW1"), "an Arrow file", NULL },
    { MAGIC("Obj\x01"), "an Avro file", NULL },
    { MAGIC("fgb\x03"), "a FlatGeobuf file", NULL },
    { MAGIC("SQLite format 3"), "an SQLite database, like a GeoPackage", NULL },
    { MAGIC("\x89HDF"), "an HDF5 file", NULL },
    { MAGIC("\x89PNG"), "a PNG image", NULL },
    { MAGIC("\xff\xd8\xff"), "a JPEG image", NULL },
    { MAGIC("II*\0"), "a TIFF image", NULL },
    { MAGIC("MM\0*"), "a TIFF image", NULL },
    { MAGIC("%PDF"), "a PDF document", NULL },
};

static bool begins_with(const char *data, size_t len, const char *magic, size_t magic_len)
{
    return len >= magic_len && memcmp(data, magic, magic_len) == 0;
}

/* JSON, XML and HTML begin with one of these. */
static bool begins_text(char c)
{
    return c && strchr(" \t\r\n{[\"<", c);
}

/* UTF-16 and UTF-32 without a mark have zeros between their first characters. NULL: it is neither. */
static const char *wide_text(const char *data, size_t len)
{
    static const char zeros[3];
    if (len >= 4 && ((begins_text(data[0]) && memcmp(data + 1, zeros, 3) == 0) ||
                     (begins_text(data[3]) && memcmp(data, zeros, 3) == 0)))
        return "UTF-32 text";
    bool is_wide = len >= 4 && ((begins_text(data[0]) && data[1] == 0 && data[2] && data[3] == 0) ||
                                (data[0] == 0 && begins_text(data[1]) && data[2] == 0 && data[3]));
    return is_wide ? "UTF-16 text" : NULL;
}

static bool is_markup(const char *data, size_t len)
{
    size_t at = 0;
    while (at < len && data[at] && strchr(" \t\r\n", data[at]))
        at++;
    return at < len && data[at] == '<';
}

/* For speed: nearly all inputs begin with an object or an array. */
static bool is_plain(const char *data, size_t len)
{
    return len >= 2 && (data[0] == '{' || data[0] == '[') && data[1];
}

struct encoding encoding_of(const char *data, size_t len, bool is_end)
{
    static const char mark[] = "\xef\xbb\xbf";
    if (is_plain(data, len))
        return (struct encoding){ .kind = ENCODING_TEXT };
    if (len < ENCODING_LOOK && !is_end)
        return (struct encoding){ .kind = ENCODING_UNDECIDED };
    for (size_t i = 0; i < N_ELEMENTS(kinds); i++)
        if (begins_with(data, len, kinds[i].magic, kinds[i].len))
            return (struct encoding){ .kind = i == 0 ? ENCODING_GZIP : ENCODING_OTHER,
                                      .name = kinds[i].name,
                                      .hint = kinds[i].hint };
    if (wide_text(data, len))
        return (struct encoding){ .kind = ENCODING_OTHER, .name = wide_text(data, len), .hint = convert };
    size_t mark_len = begins_with(data, len, mark, strlen(mark)) ? strlen(mark) : 0;
    if (is_markup(data + mark_len, len - mark_len))
        return (struct encoding){ .kind = ENCODING_OTHER, .name = "XML or HTML" };
    return (struct encoding){ .kind = ENCODING_TEXT, .mark_len = mark_len };
}

int encoding_refuse(const struct encoding *encoding, struct err *err)
{
    return err_never(err, "wrong_encoding", "this is %s, not JSON in UTF-8%s%s", encoding->name,
                     encoding->hint ? ": " : "", encoding->hint ? encoding->hint : "");
}
