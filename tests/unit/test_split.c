/* The documents of a stream in any form, in pieces of any size, from any document on. */
#include "stac/split.h"
#include "test.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

/* Each document in `found` is "LINE:TEXT|". If it is damaged, it has '!' in place of ':'. */
#define ITEM(id) "{\"id\":\"" id "\",\"type\":\"Feature\"}"
static const struct {
    const char *stream, *found;
} streams[] = {
    { "", "" },
    { " \n\r\n\t ", "" },
    /* one document, over one line or many */
    { "{}", "1:{}|" },
    { "\n\n{\"a\":1}\n", "3:{\"a\":1}|" },
    { "{\n \"a\": {\n  \"b\": []\n }\n}\n", "1:{\n \"a\": {\n  \"b\": []\n }\n}|" },
    { "{\n\"a\":[\n{\n\"b\":1\n},\n{\n}\n]\n}", "1:{\n\"a\":[\n{\n\"b\":1\n},\n{\n}\n]\n}|" },
    { "{\n\"a\":\n{}\n}{\n}\n{\n}", "1:{\n\"a\":\n{}\n}|4:{\n}|6:{\n}|" },
    { "{\"a\":[\n{\"b\":1}\n]}", "1:{\"a\":[\n{\"b\":1}\n]}|" },
    { "{\"a\":\n{\"b\":1}\n}\n{}", "1:{\"a\":\n{\"b\":1}\n}|4:{}|" },
    /* lines */
    { "{\"a\":1}\n{\"b\":2}\n", "1:{\"a\":1}|2:{\"b\":2}|" },
    { "{\"a\":1}\r\n\r\n \n{\"b\":2}", "1:{\"a\":1}|4:{\"b\":2}|" },
    { "{}\nx{\n]\n\"\n{}\n", "1:{}|2!x{|3!]|4!\"|5:{}|" },
    { "{\"a\":1} {\"b\":2}\n{}{}\n[1]\n", "1:{\"a\":1}|1:{\"b\":2}|2:{}|2:{}|3:1|" },
    { "{\"a\":\"}{\\\"\"}\n{}", "1:{\"a\":\"}{\\\"\"}|2:{}|" },
    { "{\"a\":\"\\\\\"}\n{}", "1:{\"a\":\"\\\\\"}|2:{}|" },
    { "\x1e{\"a\":1}\n\x1e{\"b\":2}\n", "1:{\"a\":1}|2:{\"b\":2}|" },
    { "\x1e{\"a\":1}\x1e{\"b\":\x1e{\"c\":3}", "1:{\"a\":1}|1!{\"b\":|1:{\"c\":3}|" },
    { "{}\n{\n \"a\":1\n}\n{}", "1:{}|2:{\n \"a\":1\n}|5:{}|" },
    /* lines, some of them damaged */
    { "{\"a\":1\n{\"b\":2}\n{}", "1!{\"a\":1|2:{\"b\":2}|3:{}|" },
    { "{\"a\":1,\n{\"b\":2}\n{}", "1!{\"a\":1,|2:{\"b\":2}|3:{}|" },
    { "{\"a\":[1\n{\"b\":2}\n", "1!{\"a\":[1|2:{\"b\":2}|" },
    { "{\"a\":[1,\n{\"b\":2}\n", "1!{\"a\":[1,|2:{\"b\":2}|" },
    { "{\"a\":\n{\"b\":2}\n{}\n", "1!{\"a\":|2:{\"b\":2}|3:{}|" },
    { "{}\n{\"a\":[\n{\"b\":2}\n  {\"c\":3}\n", "1:{}|2!{\"a\":[|3:{\"b\":2}|4:{\"c\":3}|" },
    { "{}\n{\"a\":{\"b\":\n{\"c\":[\n{\"d\":[{\n{}", "1:{}|2!{\"a\":{\"b\":|3!{\"c\":[|4!{\"d\":[{|5:{}|" },
    { "{\"a\":\"x\n{\"b\":2}\n", "1!{\"a\":\"x|2:{\"b\":2}|" },
    { "{\"a\":\"x\\\n{\"b\":2}\n", "1!{\"a\":\"x\\|2:{\"b\":2}|" },
    { "{\"a\":]}\n{\"b\":2}\n", "1!{\"a\":]}|2:{\"b\":2}|" },
    { "{}\n{\"a\":]}  \r\n \"x\"\n\n5\n{}", "1:{}|2!{\"a\":]}  |3!\"x\"|5!5|6:{}|" },
    { "hello\n{\"b\":2}\n7", "1!hello|2:{\"b\":2}|3!7|" },
    { "# a\n# b\n\n{}\n", "1!# a|2!# b|4:{}|" },
    { "{} x\n{}, \n{}}\n{}\"\n{}", "1!{} x|2!{}, |3!{}}|4!{}\"|5:{}|" },
    { "{\"a\":1", "1!{\"a\":1|" },
    { "{}\n{\"a\":1", "1:{}|2!{\"a\":1|" },
    { "}\n{}", "1!}|2:{}|" },
    { "{}\n\xef\xbb\xbf{}\n{}", "1:{}|2!\xef\xbb\xbf{}|3:{}|" },
    /* documents over many lines, some of them damaged: one damaged document for all its lines */
    { "{\n\"a\":1\n", "1!{\n\"a\":1|" },
    { "{\n \"a\": {\n  \"b\": [\n   0,\n{\n \"c\": 1\n}\n", "1!{\n \"a\": {\n  \"b\": [\n   0,|5:{\n \"c\": 1\n}|" },
    { "{\n \"a\": \"x\n{\n \"c\": {\n }\n}\n", "1!{\n \"a\": \"x|3:{\n \"c\": {\n }\n}|" },
    { "{\n \"a\": [1}\n}\n{}", "1!{\n \"a\": [1}\n}|4:{}|" },
    { "{\n \"a\": 1}},\n \"b\": {\n }\n}\n\n{\n}", "1!{\n \"a\": 1}},\n \"b\": {\n }\n}|7:{\n}|" },
    { " \"a\": 1,\n \"b\": [\n ]\n}\n{\n}", "1!\"a\": 1,\n \"b\": [\n ]\n}|5:{\n}|" },
    { "{}\n{\n \"a\": ]\n}\n{\n}", "1:{}|2!{\n \"a\": ]\n}|5:{\n}|" },
    { "\xef\xbb\xbf{\n \"a\": 1\n}\n{\n}", "1!\xef\xbb\xbf{\n \"a\": 1\n}|4:{\n}|" },
    { "{\n\"a\":[\n{\n\"b\":1\n},\n{\n\n" ITEM("x") "\n{\n}\n",
      "1!{\n\"a\":[\n{\n\"b\":1\n},\n{|8:" ITEM("x") "|9:{\n}|" },
    /* arrays */
    { "[]", "" },
    { " [ ] [ ]\n", "" },
    { "[{},{\"a\":[{}]}]", "1:{}|1:{\"a\":[{}]}|" },
    { "[\n {\"a\":\n 1},\n\n {}\n]\n", "2:{\"a\":\n 1}|5:{}|" },
    { "[1,\"a\\\"]\",null,[{}], true ,-2e3]", "1:1|1:\"a\\\"]\"|1:null|1:[{}]|1:true|1:-2e3|" },
    { "[{}]\n[{\"a\":1}]\n{}\n{}\n", "1:{}|2:{\"a\":1}|3:{}|4:{}|" },
    { "[{\"type\":\"FeatureCollection\",\"features\":[1]}]", "1:{\"type\":\"FeatureCollection\",\"features\":[1]}|" },
    /* damaged arrays */
    { "[{},]", "1:{}|1!|" },
    { "[,{}]", "1!|1:{}|" },
    { "[{},,{}]\n{}", "1:{}|1!|1:{}|2:{}|" },
    { "[{} {}]", "1:{}|1!{}|" },
    { "[{}", "1:{}|1!|" },
    { "[{},", "1:{}|1!|" },
    { "[", "1!|" },
    { "[1", "1:1|1!|" },
    { "[{},{\"a\":1", "1:{}|1!{\"a\":1|" },
    { "[{},{\"a\":1]]", "1:{}|1!{\"a\":1]]|" },
    { "[{},{\"a\n\":1}]", "1:{}|1!{\"a\n\":1}]|" },
    { "[{}:{}]", "1!{}:{}]|" },
    { "[{},{\"a\":tru},x y,{}]", "1:{}|1:{\"a\":tru}|1!x y,{}]|" },
    { "[" ITEM("a") ",{\"b\":[}," ITEM("c") "]", "1:" ITEM("a") "|1!{\"b\":[}|1:" ITEM("c") "|" },
    { "[" ITEM("a") ",{\"b\":[}]},{\"c\":[{},{}]}," ITEM("d") "]",
      "1:" ITEM("a") "|1!{\"b\":[}]},{\"c\":[{},{}]}|1:" ITEM("d") "|" },
    { "[{\"a\":\"x},{\"b\":1}," ITEM("d") "]", "1!{\"a\":\"x},{\"b\":1}|1:" ITEM("d") "|" },
    { "[\n {\"a\":[},\n {\"b\":1},\n {\"c\":}}\n]\n{}", "2!{\"a\":[}|3:{\"b\":1}|4!{\"c\":}}|6:{}|" },
    { "[\n {\n  \"a\":[}\n },\n {\n  \"b\":1\n },\n {\n  \"c\":\"\n }\n]\n{}",
      "2!{\n  \"a\":[}\n }|5:{\n  \"b\":1\n }|8!{\n  \"c\":\"\n }|12:{}|" },
    { "[{\n \"a\":[}\n}, {\n \"b\":1\n}, {\n \"c\":\"\n}]\n{}",
      "1!{\n \"a\":[}\n}|3:{\n \"b\":1\n}|5!{\n \"c\":\"\n}|8:{}|" },
    { "[\n{\n\"a\":[\n{\n}\n},\n{\n\"b\":1\n},\n" ITEM("c") "\n]",
      "2!{\n\"a\":[\n{\n}\n},\n{\n\"b\":1\n}|10:" ITEM("c") "|" },
    /* feature collections */
    { "{\"type\":\"FeatureCollection\",\"features\":[{\"a\":1},{}],\"links\":[{}]}", "1:{\"a\":1}|1:{}|" },
    { "{\"features\": [\n{}\n], \"type\": \"FeatureCollection\"}\n", "2:{}|" },
    { "{ \"a\" : {\"features\":[1]}, \"features\" : [] }\n{}\n{}", "2:{}|3:{}|" },
    { "{\"features\":[{}]}\n{\"features\":[{\"a\":1}]}", "1:{}|2:{\"a\":1}|" },
    { "{\"features\":[{}],\"features\":[{\"a\":1}]}", "1:{}|1:{\"a\":1}|" },
    { "{\"type\":\"Feature\",\"features\":[{}]}", "1:{\"type\":\"Feature\",\"features\":[{}]}|" },
    { "{\"b\":\"features\",\"c\":[{}]}", "1:{\"b\":\"features\",\"c\":[{}]}|" },
    { "{\"features\":{\"a\":[{}]}}", "1:{\"features\":{\"a\":[{}]}}|" },
    { "{\"features_of_a_long_name_indeed\":[{}]}", "1:{\"features_of_a_long_name_indeed\":[{}]}|" },
    { "{\"features\":[{}", "1:{}|1!|" },
    { "{\"features\":[{}]", "1:{}|1!|" },
    { "{\"features\":[{}],\"a\":]}\n{}", "1:{}|1!]}|2:{}|" },
    { "{\"features\":[{}}]}", "1!{}}]}|" },
    { "{\"features\":[{}]}\n{\"features\":[{\"a\":]}]}\n{\"features\":[{}]}", "1:{}|2!{\"a\":]}]}|3:{}|" },
    { "{\n\"type\":\"FeatureCollection\",\n\"features\":[\n{\"a\":[}},\n{\"b\":1},\n{\"c\":]\n]\n}\n{}",
      "4!{\"a\":[}}|5:{\"b\":1}|6!{\"c\":]|9:{}|" },
};

struct run {
    const char *stream;
    size_t len, piece;
    struct buf found;
    struct split_position ends[16]; /* behind each document */
};

static int split_all(struct run *run, struct split *split)
{
    struct err err = ERR_INIT;
    for (size_t at = 0;;) {
        size_t piece = run->len - at < run->piece ? run->len - at : run->piece;
        /* A copy of this size, so that ASan reports a read beyond it. */
        auto_free char *copy = malloc(piece + 1);
        if (!copy)
            return -ENOMEM;
        memcpy(copy, run->stream + at, piece);
        struct split_input input = { .data = copy, .len = piece, .end = at + piece == run->len };
        at += piece;
        for (bool found = true; found;) {
            cleanup(split_document_clear) struct split_document document = { .text = BUF_INIT };
            int r = split_next(split, &input, &document, &found, &err);
            if (r != 0)
                return r;
            if (!found)
                break;
            CHECK(document.index == document.end.documents - 1);
            if (document.index < (int64_t)N_ELEMENTS(run->ends))
                run->ends[document.index] = document.end;
            buf_printf(&run->found, "%lld%c%s|", (long long)document.line, document.is_damaged ? '!' : ':',
                       buf_str(&document.text));
        }
        CHECK(input.len == 0);
        if (input.end)
            return 0;
    }
}

/* From the beginning, or from the end of document `from` - 1. */
static void run_from(struct run *run, const struct split_position *from)
{
    struct split split;
    split_init(&split, from);
    CHECK(split_all(run, &split) == 0);
    split_clear(&split);
}

static void check_resumed(const struct run *whole, size_t row)
{
    const char *rest = buf_str(&whole->found);
    for (size_t i = 0; (rest = strchr(rest, '|')) != NULL && i < N_ELEMENTS(whole->ends); i++) {
        rest++;
        size_t offset = (size_t)whole->ends[i].offset;
        struct run run = { .stream = whole->stream + offset, .len = whole->len - offset, .piece = 3 };
        run_from(&run, &whole->ends[i]);
        CHECK_ROW(strcmp(buf_str(&run.found), rest) == 0, "row %zu from %zu: \"%s\"", row, i, buf_str(&run.found));
        buf_clear(&run.found);
    }
}

static void test_streams(void)
{
    static const struct split_position beginning;
    for (size_t i = 0; i < N_ELEMENTS(streams); i++) {
        size_t len = strlen(streams[i].stream);
        for (size_t piece = 1; piece <= len + 1; piece++) {
            struct run run = { .stream = streams[i].stream, .len = len, .piece = piece };
            run_from(&run, &beginning);
            CHECK_ROW(strcmp(buf_str(&run.found), streams[i].found) == 0, "row %zu by %zu: \"%s\"", i, piece,
                      buf_str(&run.found));
            if (piece > len)
                check_resumed(&run, i);
            buf_clear(&run.found);
        }
    }
}

static void test_deep(void)
{
    auto_buf struct buf stream = BUF_INIT;
    buf_puts(&stream, "[");
    for (int i = 0; i < 100000; i++)
        buf_puts(&stream, "[");
    struct run run = { .stream = buf_str(&stream), .len = stream.len, .piece = 4096 };
    static const struct split_position beginning;
    run_from(&run, &beginning);
    CHECK(run.found.len == stream.len + strlen("1!|") - 1); /* one document, which includes the rest of the array */
    buf_clear(&run.found);
}

/* Lists of features in what is looked through for a document, behind a damaged one: as many as there is room for. */
static void test_many_lists(void)
{
    auto_buf struct buf stream = BUF_INIT;
    buf_puts(&stream, "[{\"a\":[1, {");
    for (int i = 0; i < 1000000; i++)
        buf_puts(&stream, "\"features\":[],");
    buf_puts(&stream, "\"b\":1}}]");
    struct run run = { .stream = buf_str(&stream), .len = stream.len, .piece = 1 << 20 };
    static const struct split_position beginning;
    run_from(&run, &beginning);
    CHECK(run.found.len > stream.len && strncmp(buf_str(&run.found), "1!{", 3) == 0); /* none is an item */
    buf_clear(&run.found);
}

/* A document over the limit is reported and not kept, and the next one is found. */
static void test_too_large(void)
{
    struct split split;
    static const struct split_position beginning;
    static char blanks[1 << 20];
    memset(blanks, ' ', sizeof(blanks));
    split_init(&split, &beginning);
    struct split_document document = { .text = BUF_INIT };
    bool found = false;
    struct split_input input = { .data = "[{", .len = 2 };
    CHECK(split_next(&split, &input, &document, &found, NULL) == 0 && !found);
    for (int i = 0; i <= SPLIT_DOCUMENT_MAX / (int)sizeof(blanks); i++) {
        input = (struct split_input){ .data = blanks, .len = sizeof(blanks) };
        CHECK(split_next(&split, &input, &document, &found, NULL) == 0 && !found);
    }
    input = (struct split_input){ .data = "},{}]", .len = 5, .end = true };
    CHECK(split_next(&split, &input, &document, &found, NULL) == 0 && found);
    CHECK(document.larger_than && document.text.len == 0);
    split_document_clear(&document);
    CHECK(split_next(&split, &input, &document, &found, NULL) == 0 && found && !document.larger_than);
    CHECK_STRING(buf_str(&document.text), "{}");
    split_document_clear(&document);
    CHECK(split_next(&split, &input, &document, &found, NULL) == 0 && !found);
    split_clear(&split);
}

static bool split_some(void *context)
{
    (void)context;
    static const char stream[] =
        "[{\"a\":1},{\"b\":[2,3,4,5,6,7,8,9,10,11,12,13,14,15,16,17,18,19,20,21,22,23,24,25,26]}]";
    static const struct split_position beginning;
    struct split split;
    split_init(&split, &beginning);
    struct split_input input = { .data = stream, .len = sizeof(stream) - 1, .end = true };
    int r = 0, documents = 0;
    for (bool found = true; r == 0 && found;) {
        struct split_document document = { .text = BUF_INIT };
        r = split_next(&split, &input, &document, &found, NULL);
        documents += r == 0 && found;
        split_document_clear(&document);
    }
    split_clear(&split);
    CHECK(r == 0 ? documents == 2 : r == -ENOMEM);
    return r == 0;
}

int main(void)
{
    test_streams();
    test_deep();
    test_many_lists();
    test_too_large();
    test_failing_allocations(split_some, NULL);
    return test_end();
}
