/* What is left of an item beside its collection's base_item. */
#include "pgstac/dehydrate.h"
#include "quoted.h"
#include "test.h"

#include <stdio.h>
#include <string.h>

#define MARK "'" DEHYDRATE_MARKER "'"

static const struct {
    const char *base_item; /* NULL: none */
    const char *item;
    const char *content;
} rows[] = {
    /* id, geometry and collection are columns, but only of the item itself. */
    { NULL, "{'id':'i','geometry':{},'collection':'c','type':'Feature'}", "{'type':'Feature'}" },
    { NULL, "{'a':{'id':1,'geometry':2,'collection':3}}", "{'a':{'id':1,'geometry':2,'collection':3}}" },
    { "{'collection':'c','a':{'id':1}}", "{'id':'i','collection':'c','a':{'id':1}}", "{}" },
    { "{'collection':'other','id':'x','geometry':1}", "{'id':'i','geometry':{},'collection':'c'}", "{}" },
    { "{'a':1}", "{'private':{'x':1},'a':2}", "{'a':2}" },
    { NULL, "{'a':{'private':1}}", "{'a':{'private':1}}" },
    { NULL, "{'pgstac:base_item':7}", "{'pgstac:base_item':7}" },
    /* Equal by value: left out. */
    { "{'a':1,'b':[1,{'c':2}],'d':{'e':null}}", "{'d':{'e':null},'b':[1,{'c':2}],'a':1}", "{}" },
    { "{'a':1.1,'b':100,'c':0,'d':0.0000001}", "{'a':1.10,'b':1e2,'c':-0,'d':1e-7}", "{}" },
    { "{'a':null}", "{'a':null}", "{}" },
    { "{'a':{},'b':[]}", "{'b':[],'a':{}}", "{}" },
    /* Unequal, and what looks equal but is not. */
    { "{'a':1}", "{'a':2}", "{'a':2}" },
    { "{'a':1,'b':0}", "{'a':true,'b':false}", "{'a':true,'b':false}" },
    { "{'a':true}", "{'a':1}", "{'a':1}" },
    { "{'a':'1'}", "{'a':1}", "{'a':1}" },
    { "{'a':'x'}", "{'a':'X'}", "{'a':'X'}" },
    { "{'A':1}", "{'a':1}", "{'a':1,'A':" MARK "}" },
    { "{'a':12345678901234567890}", "{'a':12345678901234567891}", "{'a':12345678901234567891}" },
    { "{'a':0.1}", "{'a':0.1000000000000000000000000001}", "{'a':0.1000000000000000000000000001}" },
    /* Numbers keep their text. */
    { NULL, "{'a':1.10,'b':1e-7,'c':-0,'d':12345678901234567890,'e':1E+300}",
      "{'a':1.10,'b':1e-7,'c':-0,'d':12345678901234567890,'e':1E+300}" },
    /* null and empty things over a base value stay: the base's would come back for them. */
    { "{'a':1,'b':{'x':1},'c':[1]}", "{'a':null,'b':null,'c':null}", "{'a':null,'b':null,'c':null}" },
    { "{'a':[1,2],'b':{'x':1},'c':1}", "{'a':[],'b':[],'c':[]}", "{'a':[],'b':[],'c':[]}" },
    { "{'a':{'x':1},'b':[1],'c':1}", "{'a':{},'b':{},'c':{}}", "{'a':{'x':" MARK "},'b':{},'c':{}}" },
    { "{'a':{}}", "{'a':{'x':1}}", "{'a':{'x':1}}" },
    { "{'assets':null}", "{'assets':{'x':{'href':'h'}}}", "{'assets':{'x':{'href':'h'}}}" },
    { "{'a':1,'b':[1],'c':{'x':1}}", "{'a':{'x':1},'b':'s','c':'t'}", "{'a':{'x':1},'b':'s','c':'t'}" },
    /* What base_item has and the item lacks is marked, at every depth. */
    { "{'a':1,'b':null}", "{}", "{'a':" MARK ",'b':" MARK "}" },
    { "{'assets':{'x':{'title':'t','type':'p'},'y':{'title':'u'}}}", "{'assets':{'x':{'href':'h','type':'p'}}}",
      "{'assets':{'x':{'href':'h','title':" MARK "},'y':" MARK "}}" },
    { "{'a':{'b':{'c':{'d':1,'e':2}}}}", "{'a':{'b':{'c':{'e':3}}}}", "{'a':{'b':{'c':{'e':3,'d':" MARK "}}}}" },
    /* Lists of equal length go element by element, others stay whole. */
    { "{'a':[1,2,3]}", "{'a':[1,5,3]}", "{'a':[1,5,3]}" },
    { "{'a':[{'x':1},{'x':2}]}", "{'a':[{'x':1},{'x':3}]}", "{'a':[{},{'x':3}]}" },
    { "{'a':[{'x':1,'y':2},7]}", "{'a':[{'x':1},8]}", "{'a':[{'y':" MARK "},8]}" },
    { "{'a':[{'x':1},{'y':1}]}", "{'a':[null,{'y':1}]}", "{'a':[null,{}]}" },
    { "{'a':[{'x':1},2]}", "{'a':[{'x':1}]}", "{'a':[{'x':1}]}" },
    { "{'a':[{'b':[{'c':1,'d':2}]}]}", "{'a':[{'b':[{'c':1,'d':3}]}]}", "{'a':[{'b':[{'d':3}]}]}" },
    /* Lists in lists stay whole: pypgstac's hydrate_py does not look into them. */
    { "{'a':[[{'x':1,'y':2}]]}", "{'a':[[{'x':1,'y':3}]]}", "{'a':[[{'x':1,'y':3}]]}" },
    /* Text comes through. */
    { "{'\\u00e9':1}", "{'\\u00e9':1,'q\\\\\\n':'\\ud83d\\ude00'}", "{'q\\\\\\n':'\xf0\x9f\x98\x80'}" },
    { "{'':{'':1}}", "{'':{'':2}}", "{'':{'':2}}" },
};

static void swap_quotes(const char *text, struct buf *ret)
{
    for (const char *at = text; *at; at++)
        buf_putc(ret, *at == '\'' ? '"' : *at);
}

static void test_rows(void)
{
    for (size_t i = 0; i < N_ELEMENTS(rows); i++) {
        auto_json cJSON *base = rows[i].base_item ? parse_quoted(rows[i].base_item) : NULL;
        auto_json cJSON *item = parse_quoted(rows[i].item);
        auto_buf struct buf content = BUF_INIT;
        auto_buf struct buf expected = BUF_INIT;
        swap_quotes(rows[i].content, &expected);
        struct err err = ERR_INIT;
        CHECK_ROW(dehydrate(&(struct base_item){ .json = base }, item, &content, &err) == 0, "%s: %s", rows[i].item,
                  err.text);
        CHECK_STRING(buf_str(&content), buf_str(&expected));
    }
}

/* Where base items are versioned: the content names the version, and nothing that the item says of it counts. */
static void test_versions(void)
{
    static const struct {
        struct base_item base;
        const char *item, *content;
    } cases[] = {
        { { .is_versioned = true }, "{'a':1}", "{'a':1}" },
        { { .is_versioned = true }, "{'pgstac:base_item':7}", "{}" },
        { { .is_versioned = true, .version = 3 }, "{}", "{'pgstac:base_item':3}" },
        { { .is_versioned = true, .version = 3 },
          "{'pgstac:base_item':{'a':1},'b':{'pgstac:base_item':1}}",
          "{'b':{'pgstac:base_item':1},'pgstac:base_item':3}" },
    };
    for (size_t i = 0; i < N_ELEMENTS(cases); i++) {
        auto_json cJSON *item = parse_quoted(cases[i].item);
        auto_buf struct buf content = BUF_INIT;
        auto_buf struct buf expected = BUF_INIT;
        swap_quotes(cases[i].content, &expected);
        CHECK(dehydrate(&cases[i].base, item, &content, NULL) == 0);
        CHECK_STRING(buf_str(&content), buf_str(&expected));
    }
}

/* The mark as a value that somebody published: pgstac would take it for "not there". */
static void test_mark(void)
{
    static const struct {
        const char *base_item;
        const char *item;
        int result;
    } items[] = {
        { "{}", "{'a':" MARK "}", NEVER },
        { "{'a':1}", "{'a':" MARK "}", NEVER },
        { "{'a':{'b':1}}", "{'a':{'b':" MARK "}}", NEVER },
        { "{'a':[{'b':1}]}", "{'a':[{'b':" MARK "}]}", NEVER },
        { "{'a':[1,2]}", "{'a':[1," MARK "]}", NEVER },
        /* Where nothing is merged it is text like any other. */
        { "{}", "{'a':{'b':" MARK "},'c':[" MARK "]}", 0 },
        { "{'a':[1,2]}", "{'a':[" MARK "]}", 0 },
        { "{}", "{" MARK ":1}", 0 },
        { "{}", "{'a':'x" DEHYDRATE_MARKER "'}", 0 },
    };
    for (size_t i = 0; i < N_ELEMENTS(items); i++) {
        auto_json cJSON *base = parse_quoted(items[i].base_item);
        auto_json cJSON *item = parse_quoted(items[i].item);
        auto_buf struct buf content = BUF_INIT;
        struct err err = ERR_INIT;
        CHECK_ROW(dehydrate(&(struct base_item){ .json = base }, item, &content, &err) == items[i].result, "%s over %s",
                  items[i].item, items[i].base_item);
        CHECK(items[i].result == 0 || err_is(&err, "reserved_value"));
    }
}

static void test_deep(void)
{
    struct buf texts[2] = { BUF_INIT, BUF_INIT };
    for (int i = 0; i < 2; i++) {
        for (int level = 0; level < JSON_MAX_DEPTH - 1; level++)
            buf_puts(&texts[i], "{'a':");
        buf_puts(&texts[i], i ? "[2]" : "[1]");
        for (int level = 0; level < JSON_MAX_DEPTH - 1; level++)
            buf_putc(&texts[i], '}');
    }
    auto_json cJSON *base = parse_quoted(buf_str(&texts[0]));
    auto_json cJSON *item = parse_quoted(buf_str(&texts[1]));
    auto_buf struct buf content = BUF_INIT;
    auto_buf struct buf expected = BUF_INIT;
    swap_quotes(buf_str(&texts[1]), &expected);
    CHECK(dehydrate(&(struct base_item){ .json = base }, item, &content, NULL) == 0);
    CHECK_STRING(buf_str(&content), buf_str(&expected));
    buf_clear(&texts[0]);
    buf_clear(&texts[1]);
}

struct pair {
    const struct base_item *base;
    const cJSON *item;
};

static bool dehydrate_pair(void *context)
{
    const struct pair *pair = context;
    auto_buf struct buf content = BUF_INIT;
    struct err err = ERR_INIT;
    int r = dehydrate(pair->base, pair->item, &content, &err);
    CHECK_ROW(r <= 0, "no memory became %d: %s", r, err.text);
    return r == 0;
}

int main(void)
{
    test_rows();
    test_versions();
    test_mark();
    test_deep();
    auto_json cJSON *base = parse_quoted("{'a':{'b':[{'c':1,'d':2}]},'e':1}");
    auto_json cJSON *item = parse_quoted(
        "{'id':'i','a':{'b':[{'c':'a text that is long enough for the buffer to grow again and again'}]}}");
    test_failing_allocations(dehydrate_pair, &(struct pair){ &(struct base_item){ .json = base }, item });
    return test_end();
}
