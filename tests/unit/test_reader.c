/* Inputs of every encoding, compressed and not, in pieces of any size. */
#include "stac/reader.h"
#include "test.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <zlib.h>

#define TEXT(literal) literal, sizeof(literal) - 1
#define MARK "\xef\xbb\xbf"

struct run {
    const char *data;
    size_t len, piece;
    struct reader_options options;
    struct buf found;
    struct split_position last_end; /* of the document that was found last */
    int result;
    struct err err;
};

static int read_pieces(struct run *run, struct reader *reader)
{
    for (size_t at = 0;;) {
        size_t piece = run->len - at < run->piece ? run->len - at : run->piece;
        /* A copy of this size, so that ASan reports a read beyond it. */
        auto_free char *copy = malloc(piece + 1);
        if (!copy)
            return -ENOMEM;
        memcpy(copy, run->data + at, piece);
        struct split_input input = { .data = copy, .len = piece, .end = at + piece == run->len };
        at += piece;
        for (bool found = true; found;) {
            cleanup(split_document_clear) struct split_document document = { .text = BUF_INIT };
            int r = reader_next(reader, &input, &document, &found, &run->err);
            if (r != 0)
                return r;
            if (!found)
                break;
            CHECK(document.index == document.end.documents - 1);
            if (!document.is_damaged)
                run->last_end = document.end;
            buf_printf(&run->found, "%lld%c%s|", (long long)document.line, document.is_damaged ? '!' : ':',
                       buf_str(&document.text));
        }
        CHECK(input.len == 0);
        if (input.end)
            return 0;
    }
}

static void read_all(struct run *run)
{
    struct reader reader;
    reader_init(&reader, &run->options);
    run->result = read_pieces(run, &reader);
    reader_clear(&reader);
}

static void run_clear(struct run *run)
{
    buf_clear(&run->found);
}

/* ---------------------------------------------------------------- encodings */

static const struct {
    const char *data;
    size_t len;
    const char *found; /* the documents; NULL: none, and */
    const char *error; /* a part of the error */
} inputs[] = {
    { TEXT(""), "", NULL },
    { TEXT(" \n"), "", NULL },
    { TEXT("{}"), "1:{}|", NULL },
    { TEXT("{"), "1!{|", NULL },
    { TEXT("[]"), "", NULL },
    { TEXT("x"), "1!x|", NULL },
    { TEXT(MARK), "", NULL },
    { TEXT(MARK "{}\n{}"), "1:{}|2:{}|", NULL },
    { TEXT(MARK "\n[{},\n{\"a\":1}]"), "2:{}|3:{\"a\":1}|", NULL },
    { TEXT(MARK MARK "{}"), "1!" MARK "{}|", NULL },
    { TEXT("{}\n" MARK "{}\n{}"), "1:{}|2!" MARK "{}|3:{}|", NULL },
    { TEXT("# a comment\n{}"), "1!# a comment|2:{}|", NULL },
    { TEXT("BOM\n{}"), "1!BOM|2:{}|", NULL },
    { TEXT("\xff\xfe{\0}\0"), NULL, "UTF-16 text" },
    { TEXT("\xfe\xff\0{\0}"), NULL, "UTF-16 text" },
    { TEXT("{\0}\0"), NULL, "UTF-16 text" },
    { TEXT("\0[\0]"), NULL, "UTF-16 text" },
    { TEXT("\xff\xfe\0\0{\0\0\0}\0\0\0"), NULL, "UTF-32 text" },
    { TEXT("\0\0\xfe\xff\0\0\0{\0\0\0}"), NULL, "UTF-32 text" },
    { TEXT("{\0\0\0}\0\0\0"), NULL, "UTF-32 text" },
    { TEXT("\0\0\0{\0\0\0}"), NULL, "UTF-32 text" },
    { TEXT("PK\3\4\0\0"), NULL, "a zip archive" },
    { TEXT("\x28\xb5\x2f\xfd\x04"), NULL, "zstd-compressed data" },
    { TEXT("BZh91AY&SY"), NULL, "bzip2-compressed data" },
    { TEXT("\xfd"
           "7zXZ\0"),
      NULL, "xz-compressed data" },
    { TEXT("PAR1\x15"), NULL, "a Parquet file" },
    { TEXT("SQLite format 3\0"), NULL, "an SQLite database" },
    { TEXT("\x1f\x8b\x08\0"), NULL, "gzip-compressed data" },
    { TEXT("H4sIAAAAAAAAA6uuBQBDv6ajAgAAAA=="), NULL, "gzip-compressed data in base64" },
    { TEXT("\x1f\xef\xbf\xbd\x08"), NULL, "gzip-compressed data that was sent as text" },
    { TEXT("<html>"), NULL, "XML or HTML" },
    { TEXT(MARK " \n<?xml version=\"1.0\"?>\n{}"), NULL, "XML or HTML" },
    { TEXT("{}\n<html>\n{}"), "1:{}|2!<html>|3:{}|", NULL },
};

static void test_encodings(void)
{
    for (size_t i = 0; i < N_ELEMENTS(inputs); i++)
        for (size_t piece = 1; piece <= inputs[i].len + 1; piece++) {
            cleanup(run_clear) struct run run = { .data = inputs[i].data, .len = inputs[i].len, .piece = piece };
            read_all(&run);
            const char *error = inputs[i].error;
            CHECK_ROW(run.result == (error ? NEVER : 0), "row %zu by %zu: %d", i, piece, run.result);
            CHECK_ROW(!error || (err_is(&run.err, "wrong_encoding") && strstr(run.err.text, error)), "row %zu: \"%s\"",
                      i, run.err.text);
            CHECK_ROW(strcmp(buf_str(&run.found), error ? "" : inputs[i].found) == 0, "row %zu by %zu: \"%s\"", i,
                      piece, buf_str(&run.found));
        }
}

/* --------------------------------------------------------------------- gzip */

static void pack(const char *text, size_t len, struct buf *ret)
{
    z_stream stream = { .next_in = (Bytef *)(uintptr_t)text, .avail_in = (unsigned)len };
    CHECK(deflateInit2(&stream, 6, Z_DEFLATED, 16 + MAX_WBITS, 8, Z_DEFAULT_STRATEGY) == Z_OK);
    size_t room = deflateBound(&stream, len);
    stream.next_out = (Bytef *)buf_reserve(ret, room);
    stream.avail_out = (unsigned)room;
    CHECK(deflate(&stream, Z_FINISH) == Z_STREAM_END);
    ret->len += room - stream.avail_out;
    deflateEnd(&stream);
}

#define LINES "{\"a\":1}\n{\"b\":2}\n"

/* gzip of one member or two, with something behind them or something missing. */
static const struct {
    const char *first, *second; /* NULL: there is none */
    const char *behind;
    size_t behind_len, missing;
    const char *found, *error;
} packed[] = {
    { LINES, NULL, TEXT(""), 0, "1:{\"a\":1}|2:{\"b\":2}|", NULL },
    { "", NULL, TEXT(""), 0, "", NULL },
    { MARK LINES, NULL, TEXT(""), 0, "1:{\"a\":1}|2:{\"b\":2}|", NULL },
    { MARK, "[{},\n{}]", TEXT(""), 0, "1:{}|2:{}|", NULL },
    { LINES "{\"c\":", "3}", TEXT(""), 0, "1:{\"a\":1}|2:{\"b\":2}|3:{\"c\":3}|", NULL },
    { "", LINES, TEXT("\0\0\0"), 0, "1:{\"a\":1}|2:{\"b\":2}|", NULL },
    { LINES, "x\n{", TEXT(""), 0, "1:{\"a\":1}|2:{\"b\":2}|3!x|4!{|", NULL },
    { LINES, NULL, TEXT("x"), 0, "1:{\"a\":1}|2:{\"b\":2}|", "follows the gzip-compressed data" },
    { LINES, NULL, TEXT("\x1f\x8b\x09\0\0\0\0\0\0\0"), 0, "1:{\"a\":1}|2:{\"b\":2}|", "damaged" },
    { LINES, NULL, TEXT("\x1f"), 0, "1:{\"a\":1}|2:{\"b\":2}|", "cut off" },
    { LINES "{\"c\":3}", NULL, TEXT(""), 8, "1:{\"a\":1}|2:{\"b\":2}|3:{\"c\":3}|", "cut off" },
    { LINES "{\"c\":", NULL, TEXT(""), 8, "1:{\"a\":1}|2:{\"b\":2}|", "cut off" },
    { LINES "x\n{\"c\":", NULL, TEXT(""), 8, "1:{\"a\":1}|2:{\"b\":2}|3!x|", "cut off" },
    { "[{},", NULL, TEXT(""), 8, "1:{}|", "cut off" },
    { LINES, NULL, TEXT(""), 17, "1:{\"a\":1}|", "cut off" },
    { "\xff\xfe{\0}", NULL, TEXT(""), 0, "", "UTF-16" },
    { "<html>", NULL, TEXT(""), 0, "", "HTML" },
};

static void test_gzip(void)
{
    for (size_t i = 0; i < N_ELEMENTS(packed); i++) {
        auto_buf struct buf data = BUF_INIT;
        pack(packed[i].first, i == 15 ? 4 : strlen(packed[i].first), &data);
        if (packed[i].second)
            pack(packed[i].second, strlen(packed[i].second), &data);
        buf_add(&data, packed[i].behind, packed[i].behind_len);
        size_t len = data.len - packed[i].missing;
        for (size_t piece = 1; piece <= len + 1; piece++) {
            cleanup(run_clear) struct run run = { .data = buf_str(&data), .len = len, .piece = piece };
            run.options.may_unpack = true;
            read_all(&run);
            const char *error = packed[i].error;
            CHECK_ROW(run.result == (error ? NEVER : 0), "row %zu by %zu: %d", i, piece, run.result);
            CHECK_ROW(!error || (err_is(&run.err, "wrong_encoding") && strstr(run.err.text, error)), "row %zu: \"%s\"",
                      i, run.err.text);
            CHECK_ROW(strcmp(buf_str(&run.found), packed[i].found) == 0, "row %zu by %zu: \"%s\"", i, piece,
                      buf_str(&run.found));
        }
    }
}

static void add_lines(struct buf *text, int n)
{
    for (int i = 0; i < n; i++)
        buf_printf(text, "{\"id\":%d}\n", i);
}

/* Reading can continue behind any document, compressed or not: the rest is the same. */
static void test_going_on(void)
{
    enum { N = 300 };
    auto_buf struct buf text = BUF_INIT, data = BUF_INIT;
    buf_puts(&text, MARK);
    add_lines(&text, N);
    pack(buf_str(&text), text.len, &data);
    for (size_t cut = 40; cut < text.len; cut += 777) {
        cleanup(run_clear) struct run before = { .data = buf_str(&text), .len = cut, .piece = 100 };
        read_all(&before);
        struct split_position from = before.last_end;
        char first[32];
        snprintf(first, sizeof(first), "%lld", (long long)from.documents);
        for (int way = 0; way < 3; way++) { /* text from the place on, text from its beginning, compressed */
            cleanup(run_clear) struct run run = { .data = buf_str(&text), .len = text.len, .piece = 64 };
            run.options = (struct reader_options){ .from = from, .is_sought = way == 0, .may_unpack = true };
            if (way == 0)
                run.data += from.offset, run.len -= (size_t)from.offset;
            if (way == 2)
                run.data = buf_str(&data), run.len = data.len;
            read_all(&run);
            /* A number that is cut off may look like the end of the document, but not like another document. */
            CHECK_ROW(run.result == 0 && run.last_end.documents == N, "cut %zu, way %d: %d, %lld", cut, way, run.result,
                      (long long)run.last_end.documents);
            CHECK_ROW(strstr(buf_str(&run.found), "{\"id\":299}|") != NULL, "cut %zu, way %d", cut, way);
        }
    }
}

/* The limit ends reading, however large the unpacked input is, and little of it is in memory. */
static void test_limit(void)
{
    auto_buf struct buf text = BUF_INIT, data = BUF_INIT;
    add_lines(&text, 1000);
    for (int i = 0; i < 4096; i++)
        buf_puts(&text, "                                                                                "
                        "                                                                                ");
    pack(buf_str(&text), text.len, &data);
    int64_t limits[] = { (int64_t)text.len - 1, (int64_t)text.len, 200000, 0 };
    for (size_t i = 0; i < N_ELEMENTS(limits); i++) {
        cleanup(run_clear) struct run run = { .data = buf_str(&data), .len = data.len, .piece = 1000 };
        run.options = (struct reader_options){ .may_unpack = true, .unpacked_max = limits[i] };
        read_all(&run);
        bool fits = limits[i] == 0 || limits[i] >= (int64_t)text.len;
        CHECK_ROW(run.result == (fits ? 0 : NEVER), "limit %zu: %d", i, run.result);
        CHECK_ROW(fits || err_is(&run.err, "document_too_large"), "limit %zu: %s", i, run.err.text);
        CHECK_ROW(run.last_end.documents == 1000, "limit %zu: %lld", i, (long long)run.last_end.documents);
    }
}

/* One document that is ten thousand times as large as its compressed form: it is reported, not kept. */
static void test_bomb(void)
{
    enum { MIB = 1 << 20, SIZE = 16 };
    auto_free char *blanks = malloc(MIB);
    auto_buf struct buf data = BUF_INIT;
    if (!blanks)
        return;
    memset(blanks, ' ', MIB);
    pack("{\"a\":[", 6, &data);
    for (int i = 0; i < SIZE; i++)
        pack(blanks, MIB, &data);
    pack("]}\n{}", 5, &data);
    struct reader reader;
    reader_init(&reader, &(struct reader_options){ .may_unpack = true, .document_max = MIB });
    struct split_input input = { .data = buf_str(&data), .len = data.len, .end = true };
    cleanup(split_document_clear) struct split_document document = { .text = BUF_INIT };
    bool found = false;
    struct err err = ERR_INIT;
    CHECK(reader_next(&reader, &input, &document, &found, &err) == 0 && found && document.larger_than == MIB);
    CHECK(split_document_parse(&document, NULL, &err) == NEVER && err_is(&err, "document_too_large"));
    CHECK(document.text.len == 0 && reader.split.held.cap <= 4 * MIB);
    split_document_clear(&document);
    CHECK(reader_next(&reader, &input, &document, &found, &err) == 0 && found && !document.larger_than);
    CHECK_STRING(buf_str(&document.text), "{}");
    reader_clear(&reader);
}

/* ------------------------------------------------------------------- damage */

/* This generator gives the same numbers on every machine. */
static uint32_t next_random(uint32_t *state)
{
    *state = *state * 1664525 + 1013904223;
    return *state >> 16;
}

static void make_text(uint32_t *state, struct buf *ret)
{
    static const char *const parts[] = {
        "{\"id\":\"a\",\"type\":\"Feature\"}",
        "{\n  \"id\": [\n    {},\n    1\n  ]\n}",
        "\n",
        "\n",
        "\n",
        ",",
        "[",
        "]",
        "{",
        "}",
        "\"",
        "\\",
        "x",
        ": ",
        "{\"type\":\"FeatureCollection\",\"features\":[",
        "]}",
        " ",
        "  ",
        "\x1e",
        "5",
    };
    size_t n = 2 + next_random(state) % 24;
    for (size_t i = 0; i < n; i++)
        buf_puts(ret, parts[next_random(state) % N_ELEMENTS(parts)]);
}

/* Random inputs give the same documents in pieces of any size, and a good line at the beginning is found. */
static void test_pieces_of_damage(void)
{
    uint32_t state = 1;
    for (int i = 0; i < 20000; i++) {
        auto_buf struct buf text = BUF_INIT;
        buf_puts(&text, "{\"good\":1}\n");
        make_text(&state, &text);
        cleanup(run_clear) struct run whole = { .data = buf_str(&text), .len = text.len, .piece = text.len + 1 };
        cleanup(run_clear) struct run bytes = whole, pieces = whole;
        bytes.piece = 1;
        pieces.piece = 1 + next_random(&state) % 20;
        read_all(&whole);
        read_all(&bytes);
        read_all(&pieces);
        CHECK_ROW(whole.result == 0 && bytes.result == 0 && pieces.result == 0, "\"%s\"", buf_str(&text));
        CHECK_ROW(strncmp(buf_str(&whole.found), "1:{\"good\":1}|", 13) == 0, "\"%s\": \"%s\"", buf_str(&text),
                  buf_str(&whole.found));
        CHECK_ROW(strcmp(buf_str(&whole.found), buf_str(&bytes.found)) == 0 &&
                      strcmp(buf_str(&whole.found), buf_str(&pieces.found)) == 0,
                  "\"%s\": \"%s\", \"%s\"", buf_str(&text), buf_str(&whole.found), buf_str(&bytes.found));
    }
}

/* If each line could begin a document, they are not all followed to the end. */
static void test_cost_of_damage(void)
{
    static const char *const lines[] = { "{\"a\":[1,\n",           "{\"a\":[\n{},\n",        "[{\"a\":[\n",
                                         "{\n\"a\":[\n{\n\"b\":[", "{\"type\":\"Feature\",", ",{\"a\":\"x},{" };
    for (size_t i = 0; i < N_ELEMENTS(lines); i++) {
        auto_buf struct buf text = BUF_INIT;
        buf_puts(&text, i == 5 ? "[{]" : "");
        for (int n = 0; n < 100000; n++)
            buf_puts(&text, lines[i]);
        struct reader reader;
        struct run run = { .data = buf_str(&text), .len = text.len, .piece = 1 << 16 };
        reader_init(&reader, &run.options);
        CHECK(read_pieces(&run, &reader) == 0);
        int64_t looked = reader.split.followed + reader.split.tried;
        CHECK_ROW(looked < 100 * (int64_t)text.len, "row %zu: %lld bytes for %zu", i, (long long)looked, text.len);
        reader_clear(&reader);
        run_clear(&run);
    }
}

/* -------------------------------------------------------------------- memory */

static bool read_some(void *context)
{
    const struct buf *data = context;
    struct run run = { .data = buf_str(data), .len = data->len, .piece = 50, .options = { .may_unpack = true } };
    read_all(&run);
    bool failed = buf_failed(&run.found);
    CHECK_ROW(run.result == -ENOMEM || (run.result == 0 && (failed || run.last_end.documents == 3)), "%d, \"%s\": %s",
              run.result, buf_str(&run.found), run.err.text);
    run_clear(&run);
    return run.result == 0 && !failed;
}

int main(void)
{
    test_encodings();
    test_gzip();
    test_going_on();
    test_limit();
    test_bomb();
    test_pieces_of_damage();
    test_cost_of_damage();
    auto_buf struct buf text = BUF_INIT, data = BUF_INIT;
    buf_puts(&text, "{\"a\":1}\nx\n{\"b\":[2]}\n");
    test_failing_allocations(read_some, &text);
    pack(buf_str(&text), text.len, &data);
    test_failing_allocations(read_some, &data);
    return test_end();
}
