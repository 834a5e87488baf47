/* json_slice: finding values in a text without parsing it. */
#include "base/buf.h"
#include "base/json_slice.h"
#include "test.h"

#include <string.h>

static const struct {
    const char *list;
    const char *elements; /* each followed by | */
} lists[] = {
    { "[]", "" },
    { "[ ]", "" },
    { "[1]", "1|" },
    { "[1,2,3]", "1|2|3|" },
    { " [ 1 ,\n\t-2.5e3\r, true ] ", "1|-2.5e3|true|" },
    { "[\"a,b]\",\"\\\"]\",\"\\\\\",\"\"]", "\"a,b]\"|\"\\\"]\"|\"\\\\\"|\"\"|" },
    { "[[1,[2]],{\"a\":[\"}\"]},[],{}]", "[1,[2]]|{\"a\":[\"}\"]}|[]|{}|" },
    { "{\"a\":1,\"b\":{\"c\":2}}", "\"a\"|1|\"b\"|{\"c\":2}|" },
    { "{ \"a\" : [ 1 ] , \"b\" : null }", "\"a\"|[ 1 ]|\"b\"|null|" },
    /* Not JSON: no read beyond the end. */
    { "[1,2", "1|2|" },
    { "[\"a", "\"a|" },
    { "[\"a\\", "\"a\\|" },
    { "[[1,{\"", "[1,{\"|" },
    { "[", "" },
    { "", "" },
    { "[}", "" },
};

static void test_lists(void)
{
    for (size_t i = 0; i < N_ELEMENTS(lists); i++) {
        size_t len = strlen(lists[i].list);
        auto_free char *exact = malloc(len ? len : 1); /* so that the sanitizer sees a read beyond it */
        if (!exact)
            abort();
        memcpy(exact, lists[i].list, len);
        struct json_slice list = json_slice_of(exact, len), element;
        auto_buf struct buf found = BUF_INIT;
        for (size_t at = 0; list.len > 0 && json_slice_next(list, &at, &element);) {
            buf_add(&found, element.text, element.len);
            buf_putc(&found, '|');
        }
        CHECK_STRING(buf_str(&found), lists[i].elements);
    }
}

static void test_members(void)
{
    const char *text = " {\"a\": 1, \"type\" :\"x\", \"c\": {\"type\": \"y\"}, \"type\": \"last\", \"features\": [1]} ";
    struct json_slice object = json_slice_of(text, strlen(text)), value;
    CHECK(json_slice_member(object, "type", &value) && json_slice_is(value, "last"));
    CHECK(!json_slice_is(value, "las") && !json_slice_is(value, "last2"));
    CHECK(json_slice_member(object, "features", &value) && value.len == 3 && value.text[0] == '[');
    CHECK(!json_slice_member(object, "x", &value) && !json_slice_member(object, "1", &value));
    CHECK(!json_slice_member(json_slice_of("[\"a\",1]", 7), "a", &value));
    CHECK(!json_slice_member(json_slice_of("", 0), "a", &value));
}

int main(void)
{
    test_lists();
    test_members();
    return test_end();
}
