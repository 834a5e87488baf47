#include "test.h"

#include <string.h>

#include "stac/list.h"

struct row {
    const char *text;
    const char *documents; /* joined by '|' */
    int open, next;        /* results: of opening, of the call after the last document */
};

static void check_row(size_t i, const struct row *row)
{
    struct stac_list list;
    struct err err = ERR_INIT;
    auto_buf struct buf got = BUF_INIT;
    int r = stac_list_open(row->text, strlen(row->text), &list, &err);
    CHECK_ROW(r == row->open, "row %zu: opening gives %d: %s", i, r, err.text);
    CHECK_ROW((r == 0) == (err.code == NULL), "row %zu: an error and no result, or the other way round", i);
    if (r != 0)
        return;
    struct json_slice document = { .text = NULL };
    size_t n = 0;
    while ((r = stac_list_next(&list, &document, &err)) == 0 && document.text) {
        if (n++ > 0)
            buf_putc(&got, '|');
        buf_add(&got, document.text, document.len);
    }
    CHECK_STRING(buf_str(&got), row->documents);
    CHECK_ROW(r == row->next, "row %zu: ends with %d: %s", i, r, err.text);
    CHECK_ROW(list.n == n, "row %zu: %zu counted", i, list.n);
}

#define FC "\"type\":\"FeatureCollection\""

static void test_texts(void)
{
    static const struct row rows[] = {
        /* One value */
        { "{\"id\":1}", "{\"id\":1}", 0, 0 },
        { " \r\n{\"id\": 1 } \n", "{\"id\": 1 }", 0, 0 },
        { "5", "5", 0, 0 },
        { "\"a b\"", "\"a b\"", 0, 0 },
        /* Arrays */
        { "[]", "", 0, 0 },
        { " [ ] ", "", 0, 0 },
        { "[{\"a\":[1,{}]},{\"b\":\"]},{[\"}]", "{\"a\":[1,{}]}|{\"b\":\"]},{[\"}", 0, 0 },
        { "[ 1 , \"x\\\"]\" ,null]", "1|\"x\\\"]\"|null", 0, 0 },
        { "[[1],[]]", "[1]|[]", 0, 0 },
        { "[1 2]", "1", 0, NEVER },
        { "[1,,2]", "1", 0, NEVER },
        { "[1,]", "1", 0, NEVER },
        { "[,1]", "", 0, NEVER },
        { "[{\"bad\":tru},{\"good\":1}]", "{\"bad\":tru}|{\"good\":1}", 0, 0 },
        /* Lines */
        { "{\"a\":1}\n{\"b\":2}\r\n\n{\"c\":3}\n", "{\"a\":1}|{\"b\":2}|{\"c\":3}", 0, 0 },
        { "{\"a\":1}{\"b\":2}", "{\"a\":1}|{\"b\":2}", 0, 0 },
        { "{\"a\":1}\n{\"b\":", "{\"a\":1}", 0, NEVER },
        { "{\"a\":1}\n]", "{\"a\":1}", 0, NEVER },
        { "{\"a\":1}\n[{}]", "{\"a\":1}", 0, NEVER },
        { "[1]\n[2]", "[1]\n[2]", 0, 0 },
        { "no JSON", "no JSON", 0, 0 },
        /* FeatureCollections */
        { "{" FC ",\"features\":[{\"a\":1},{\"b\":2}]}", "{\"a\":1}|{\"b\":2}", 0, 0 },
        { "{\"features\" : [ {\"a\":1} ] , \"bbox\":[1,{\"features\":[]}]," FC "}", "{\"a\":1}", 0, 0 },
        { "{" FC ",\"features\":[]}", "", 0, 0 },
        { "{\"x\":{\"features\":[1]}," FC ",\"features\":[2]}", "2", 0, 0 },
        { "{\"features\":[1]," FC ",\"features\":[2]}", "2", 0, 0 },
        { "{\"f\\u0065atures\":[1]," FC ",\"features\":[2]}", "2", 0, 0 },
        { "{" FC ",\"features\":[{\"bad\":tru},{}]}", "{\"bad\":tru}|{}", 0, 0 },
        { "{" FC ",\"features\":{}}", "{" FC ",\"features\":{}}", 0, 0 },
        { "{" FC "}", "{" FC "}", 0, 0 },
        { "{\"type\":\"Feature\",\"x\":\"FeatureCollection\",\"features\":[1]}",
          "{\"type\":\"Feature\",\"x\":\"FeatureCollection\",\"features\":[1]}", 0, 0 },
        { "{" FC ",\"features\":[{}],\"x\":tru}", "", NEVER, 0 },
        { "{" FC ",\"features\":[{}],}", "", NEVER, 0 },
        { "{" FC ",\"features\":[{}]", "", NEVER, 0 },
        { "{" FC ",\"features\":[{]}}", "", NEVER, 0 },
        { "{" FC " \"features\":[{}]}", "", NEVER, 0 },
        { "{" FC ",\"features\":[{}]}\n{}", "{" FC ",\"features\":[{}]}|{}", 0, 0 },
        /* Broken */
        { "", "", NEVER, 0 },
        { " \n", "", NEVER, 0 },
        { "{", "", NEVER, 0 },
        { "[", "", NEVER, 0 },
        { "[{}", "", NEVER, 0 },
        { "[{]}", "", NEVER, 0 },
        { "\"", "", NEVER, 0 },
        { "{\"a\":\"\\", "", NEVER, 0 },
        { "{\"a\":\"\\\"}", "", NEVER, 0 },
        { "}", "}", 0, 0 },
    };
    for (size_t i = 0; i < N_ELEMENTS(rows); i++)
        check_row(i, &rows[i]);
}

/* A document as deep as json_parse takes it lies in a list; deeper ones are refused. */
static void test_depth(void)
{
    for (size_t depth = JSON_MAX_DEPTH; depth < JSON_MAX_DEPTH + 10; depth++) {
        auto_buf struct buf text = BUF_INIT;
        buf_puts(&text, "{" FC ",\"features\":[");
        for (size_t i = 0; i < depth; i++)
            buf_putc(&text, '[');
        for (size_t i = 0; i < depth; i++)
            buf_putc(&text, ']');
        buf_puts(&text, "]}");
        struct stac_list list;
        int r = stac_list_open(buf_str(&text), text.len, &list, NULL);
        CHECK_ROW(r == 0 || (r == NEVER && depth > JSON_MAX_DEPTH), "depth %zu: %d", depth, r);
        CHECK_ROW(r != 0 || depth < JSON_MAX_DEPTH + 9, "depth %zu is taken", depth);
    }
}

static bool open_one(void *context)
{
    struct stac_list list;
    struct err err = ERR_INIT;
    int r = stac_list_open(context, strlen(context), &list, &err);
    CHECK(r <= 0);
    return r == 0;
}

int main(void)
{
    test_texts();
    test_depth();
    char text[] = "{" FC ",\"features\":[{\"a\":1},{\"b\":2}],\"bbox\":[1,2]}";
    test_failing_allocations(open_one, text);
    return test_end();
}
