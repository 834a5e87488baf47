/* Strict parsing, exact numbers, the last of equal keys, comparison by value. */
#include "base/json.h"
#include "test.h"

#include <errno.h>
#include <math.h>
#include <stdio.h>
#include <string.h>

static const struct {
    const char *text;
    const char *written; /* NULL: rejected */
    const char *error;   /* a part of the error's text */
} documents[] = {
    { "{}", "{}", NULL },
    { " [ 1 , -2 ] ", "[1,-2]", NULL },
    { "{\"a\":1.10,\"b\":1e-7,\"c\":12345678901234567890,\"d\":-0,\"e\":0.1E+2}",
      "{\"a\":1.10,\"b\":1e-7,\"c\":12345678901234567890,\"d\":-0,\"e\":0.1E+2}", NULL },
    { "[0.1234567890123456789012345678901234567890123456789012345678901234567890123456789]",
      "[0.1234567890123456789012345678901234567890123456789012345678901234567890123456789]", NULL },
    { "[1,11111111111111111111111111111111111111111111111111111111111111111111111,2]",
      "[1,11111111111111111111111111111111111111111111111111111111111111111111111,2]", NULL },
    { "[1e400,-1e-400]", "[1e400,-1e-400]", NULL },
    { "{\"a\":1,\"b\":2,\"a\":3}", "{\"b\":2,\"a\":3}", NULL },
    { "{\"a\":{\"x\":1,\"x\":{\"y\":1,\"y\":2}}}", "{\"a\":{\"x\":{\"y\":2}}}", NULL },
    { "{\"A\":1,\"a\":2}", "{\"A\":1,\"a\":2}", NULL },
    { "\"\\u00e9\\n\\t\\\"\\\\\\/ \\ud83d\\ude00\"", "\"\xc3\xa9\\n\\t\\\"\\\\/ \xf0\x9f\x98\x80\"", NULL },
    { "\"\\u0001\\u001f\\u007f\"", "\"\\u0001\\u001f\x7f\"", NULL },
    { "[true,false,null]", "[true,false,null]", NULL },
    { "7", "7", NULL },
    { " \"s\" ", "\"s\"", NULL },
    { "[[],{},[{}]]", "[[],{},[{}]]", NULL },
    { "{\"a\":[1,{\"b\":{}}],\"c\":[]}", "{\"a\":[1,{\"b\":{}}],\"c\":[]}", NULL },
    { "", NULL, "empty text" },
    { "   ", NULL, "unexpected end of text" },
    { "{", NULL, "unexpected end of text at line 1, column 2" },
    { "[[]", NULL, "unexpected end of text" },
    { "{\"a\":", NULL, "unexpected end of text" },
    { "]", NULL, "unexpected bracket" },
    { "[}", NULL, "unexpected bracket at line 1, column 2" },
    { "{]", NULL, "unexpected bracket" },
    { "[1}", NULL, "unexpected bracket" },
    { "{\"a\":1]", NULL, "unexpected bracket" },
    { "{\"a\":}", NULL, "unexpected bracket" },
    { "{\"a\":1,}", NULL, "unexpected bracket" },
    { "{,}", NULL, "unexpected comma" },
    { "{1:2}", NULL, "unexpected character" },
    { "{[1]:2}", NULL, "unexpected bracket" },
    { "[1 2]", NULL, "unexpected character" },
    { "[\"a\" \"b\"]", NULL, "unexpected string" },
    { "[\"a\":1]", NULL, "unexpected colon" },
    { "{\"a\"::1}", NULL, "unexpected colon" },
    { "1 2", NULL, "unexpected character" },
    { "[],", NULL, "unexpected comma" },
    { "{}x", NULL, "unexpected character at line 1, column 3" },
    { "{}{}", NULL, "unexpected bracket at line 1, column 3" },
    { "[1,]", NULL, "unexpected bracket" },
    { "{\"a\"}", NULL, "unexpected bracket" },
    { "{\"a\" 1}", NULL, "unexpected character" },
    { "[01]", NULL, "malformed number" },
    { "[1.]", NULL, "malformed number" },
    { "[.5]", NULL, "unexpected character" },
    { "[+1]", NULL, "unexpected character" },
    { "[1e]", NULL, "malformed number" },
    { "[-]", NULL, "malformed number" },
    { "[--1]", NULL, "malformed number" },
    { "[1e401]", NULL, "exponent" },
    { "[1e-99999999999999999999]", NULL, "exponent" },
    { "[NaN]", NULL, "unexpected character" },
    { "[Infinity]", NULL, "unexpected character" },
    { "[nul]", NULL, "unexpected character" },
    { "[nullx]", NULL, "unexpected character" },
    { "\"a\nb\"", NULL, "control character in a string at line 1, column 3" },
    { "\n\n \"\t\"", NULL, "control character in a string at line 3" },
    { "\"\\u0000\"", NULL, "U+0000" },
    { "{\"\\u0000\":1}", NULL, "U+0000" },
    { "\"\\ud800\"", NULL, "surrogate" },
    { "\"\\udc00\"", NULL, "surrogate" },
    { "\"\\ud800\\u0041\"", NULL, "surrogate" },
    { "\"\\u12\"", NULL, "four hex digits" },
    { "\"\\x41\"", NULL, "unknown escape" },
    { "\"abc", NULL, "without a closing quote" },
    { "\"\\", NULL, "without a closing quote" },
    { "\"\xff\"", NULL, "not UTF-8" },
    { "\"\xed\xa0\x80\"", NULL, "not UTF-8" },
    { "\"\xc0\xaf\"", NULL, "not UTF-8" },
    { "\xef\xbb\xbf{}", NULL, "byte order mark, which JSON does not allow, at line 1, column 1" },
    { "[1]\x01", NULL, "unexpected character" },
    { "[1,\x0b 2]", NULL, "unexpected character" },
    { "// c\n{}", NULL, "unexpected character" },
};

static void test_documents(void)
{
    for (size_t i = 0; i < N_ELEMENTS(documents); i++) {
        auto_json cJSON *json = NULL;
        struct err err = ERR_INIT;
        int r = json_parse(documents[i].text, strlen(documents[i].text), &json, &err);
        if (!documents[i].written) {
            CHECK_ROW(r == NEVER && err_is(&err, "invalid_json"), "row %zu: accepted", i);
            CHECK_ROW(strstr(err.text, documents[i].error), "row %zu: \"%s\"", i, err.text);
            continue;
        }
        CHECK_ROW(r == 0, "row %zu: %s", i, err.text);
        auto_buf struct buf out = BUF_INIT;
        if (r == 0)
            json_write(json, &out);
        CHECK_STRING(buf_str(&out), documents[i].written);
    }
}

static void test_embedded_nul(void)
{
    auto_json cJSON *json = NULL;
    CHECK(json_parse("[1]\0[2]", 7, &json, NULL) == NEVER);
    CHECK(json_parse("\"a\0b\"", 5, &json, NULL) == NEVER);
}

static void test_depth(void)
{
    for (int depth = JSON_MAX_DEPTH - 1; depth <= JSON_MAX_DEPTH + 1; depth++) {
        auto_buf struct buf text = BUF_INIT;
        for (int i = 0; i < depth; i++)
            buf_putc(&text, '[');
        for (int i = 0; i < depth; i++)
            buf_putc(&text, ']');
        auto_json cJSON *json = NULL;
        int expected = depth <= JSON_MAX_DEPTH ? 0 : NEVER;
        CHECK_ROW(json_parse(text.data, text.len, &json, NULL) == expected, "depth %d", depth);
    }
}

static void test_many_duplicates(void)
{
    auto_buf struct buf text = BUF_INIT;
    buf_putc(&text, '{');
    for (int i = 0; i < 300; i++)
        buf_printf(&text, "%s\"k%d\":%d", i ? "," : "", i % 100, i);
    buf_putc(&text, '}');
    auto_json cJSON *json = NULL;
    CHECK(json_parse(text.data, text.len, &json, NULL) == 0);
    CHECK(cJSON_GetArraySize(json) == 100);
    for (int i = 0; i < 100; i++) {
        char key[16];
        snprintf(key, sizeof(key), "k%d", i);
        int64_t value = 0;
        CHECK(json_get_i64(json, key, 0, 1000, &value) && value == 200 + i);
    }
}

static void test_digits(void)
{
    auto_buf struct buf text = BUF_INIT;
    for (int digits = 1; digits < 200; digits++) {
        buf_reset(&text);
        buf_putc(&text, '[');
        for (int i = 0; i < digits; i++)
            buf_putc(&text, (char)('1' + i % 9));
        buf_puts(&text, ".5,7]");
        auto_json cJSON *json = NULL;
        CHECK(json_parse(text.data, text.len, &json, NULL) == 0);
        auto_buf struct buf out = BUF_INIT;
        json_write(json, &out);
        CHECK_STRING(buf_str(&out), buf_str(&text));
        CHECK(json->child->valuedouble == strtod(text.data + 1, NULL));
    }
}

/* Around the largest number of digits for one division, with the point at every place. */
static void test_nearest_doubles(void)
{
    static const char digits[] = "9007199254740993721";
    for (size_t n = 1; n < sizeof(digits); n++)
        for (size_t point = 1; point <= n; point++) {
            char text[32];
            snprintf(text, sizeof(text), "-%.*s%s%.*s", (int)point, digits, point < n ? "." : "", (int)(n - point),
                     digits + point);
            auto_json cJSON *json = NULL;
            CHECK(json_parse(text, strlen(text), &json, NULL) == 0);
            CHECK_ROW(json && json->valuedouble == strtod(text, NULL), "%s", text);
        }
    auto_json cJSON *zero = NULL;
    CHECK(json_parse("-0.0", 4, &zero, NULL) == 0);
    CHECK(zero && signbit(zero->valuedouble));
}

static const struct {
    const char *text;
    const char *kept; /* json_kept_text of g.c, or NULL */
    const char *written;
} kept[] = {
    { "{\"g\":{\"t\":1,\"c\":[[1.0, 2e0],[\"\\u0041]\",{\"c\":[]}]] ,\"d\":3},\"c\":[4, 5]}",
      "[[1.0, 2e0],[\"\\u0041]\",{\"c\":[]}]]",
      "{\"g\":{\"t\":1,\"c\":[[1.0, 2e0],[\"\\u0041]\",{\"c\":[]}]],\"d\":3},\"c\":[4,5]}" },
    { "{\"g\":{\"c\":[]}}", "[]", "{\"g\":{\"c\":[]}}" },
    { "{\"g\":{\"c\":[ 1],\"c\":[ 2]}}", "[ 2]", "{\"g\":{\"c\":[ 2]}}" },
    { "{\"g\":{\"c\":[ 1]},\"g\":7}", NULL, "{\"g\":7}" },
    { "{\"g\":{\"c\":{\"c\":[ 1]}}}", NULL, "{\"g\":{\"c\":{\"c\":[1]}}}" },
    { "{\"g\":{\"\\u0063\":[ 1]}}", NULL, "{\"g\":{\"c\":[1]}}" },
    { "{\"g\":{\"cc\":[ 1]},\"h\":{\"c\":[ 1]}}", NULL, "{\"g\":{\"cc\":[1]},\"h\":{\"c\":[1]}}" },
    { "{\"h\":{\"g\":{\"c\":[ 1]}}}", NULL, "{\"h\":{\"g\":{\"c\":[1]}}}" },
    { "[{\"g\":{\"c\":[ 1]}},{\"c\":[ 1]}]", NULL, "[{\"g\":{\"c\":[1]}},{\"c\":[1]}]" },
    { "{\"g\":[[ 1]],\"c\":[ 1]}", NULL, "{\"g\":[[1]],\"c\":[1]}" },
};

/* Only an array at the given place stays text. All other nodes are json_parse's. */
static void test_keeping(void)
{
    const struct json_place place = { "g", "c" };
    for (size_t i = 0; i < N_ELEMENTS(kept); i++) {
        auto_json cJSON *json = NULL;
        auto_buf struct buf out = BUF_INIT;
        CHECK(json_parse_keeping(kept[i].text, strlen(kept[i].text), &place, &json, NULL) == 0);
        CHECK_STRING(json_kept_text(json_get(json_get(json, "g"), "c")), kept[i].kept);
        json_write(json, &out);
        CHECK_STRING(buf_str(&out), kept[i].written);
    }
    static const char *const broken[] = { "{\"g\":{\"c\":[[1,2],[3,04]]}}", "{\"g\":{\"c\":[[1,2],[3,]]}}",
                                          "{\"g\":{\"c\":[[1,2},3]}}", "{\"g\":{\"c\":[[1,2],[3" };
    for (size_t i = 0; i < N_ELEMENTS(broken); i++) {
        cJSON *json = NULL;
        struct err err = ERR_INIT, same = ERR_INIT;
        CHECK(json_parse_keeping(broken[i], strlen(broken[i]), &place, &json, &err) == NEVER && !json);
        CHECK(json_parse(broken[i], strlen(broken[i]), &json, &same) == NEVER);
        CHECK_STRING(err.text, same.text);
    }
}

static bool parse_keeping(void *context)
{
    const char *text = context;
    auto_json cJSON *json = NULL;
    int r = json_parse_keeping(text, strlen(text), &(const struct json_place){ "g", "c" }, &json, NULL);
    CHECK(r == 0 || r == -ENOMEM);
    return r == 0;
}

/* cJSON's own functions work on the nodes. */
static void test_nodes_are_as_cjson_makes_them(void)
{
    static const char text[] =
        "{\"a\\u0041\\u00e9\\u20ac\\ud83d\\ude00\":[\"\\b\\f\\n\\r\\t\\\"\\\\\\/\",true,false,null],"
        "\"b\":{\"c\":[],\"d\":{}}}";
    auto_json cJSON *ours = NULL;
    auto_json cJSON *theirs = cJSON_Parse(text);
    CHECK(json_parse(text, strlen(text), &ours, NULL) == 0);
    CHECK(cJSON_Compare(ours, theirs, true));
    cJSON *list = ours ? ours->child : NULL;
    CHECK(cJSON_AddItemToArray(list, cJSON_CreateString("last")));
    CHECK(cJSON_GetArraySize(list) == 5);
    CHECK_STRING(cJSON_GetStringValue(cJSON_GetArrayItem(list, 4)), "last");
    cJSON_DeleteItemFromArray(list, 0);
    CHECK(cJSON_IsTrue(cJSON_GetArrayItem(list, 0)) && cJSON_GetArraySize(list) == 4);
}

/* Every character at every place of strings of all lengths, because the scan compares eight bytes at once. */
static void test_every_place(void)
{
    for (size_t len = 1; len <= 20; len++)
        for (size_t place = 0; place < len; place++)
            for (int c = 1; c < 0x80; c++) {
                char text[40], expected[24];
                memset(expected, 'x', len);
                expected[place] = (char)c;
                expected[len] = '\0';
                snprintf(text, sizeof(text), "\"%s\"", expected);
                auto_json cJSON *json = NULL;
                bool taken = json_parse(text, strlen(text), &json, NULL) == 0;
                CHECK_ROW(taken == (c >= 0x20 && c != '"' && c != '\\'), "%#x at %zu of %zu", (unsigned)c, place, len);
                CHECK_STRING(json ? json->valuestring : expected, expected);
            }
}

/* The same with escapes, compared with cJSON, up to lengths that are stored apart from their node. */
static void test_every_escape(void)
{
    static const char *const escapes[] = { "\\\"", "\\\\", "\\n", "\\u0041", "\\u20ac", "\\ud83d\\ude00" };
    for (size_t i = 0; i < N_ELEMENTS(escapes); i++)
        for (int before = 0; before <= 300; before += before < 20 ? 1 : 35)
            for (int behind = 0; behind <= 20; behind++) {
                auto_buf struct buf text = BUF_INIT;
                buf_printf(&text, "{\"%.*s%s%s\":", before % 20, "abcdefghijklmnopqrst", escapes[i], escapes[i]);
                buf_printf(&text, "\"%0*d%s%0*d\"}", before, 0, escapes[i], behind, 0);
                auto_json cJSON *ours = NULL;
                auto_json cJSON *theirs = cJSON_Parse(text.data);
                CHECK(json_parse(text.data, text.len, &ours, NULL) == 0);
                CHECK_ROW(cJSON_Compare(ours, theirs, true), "%s", text.data);
            }
}

static void test_take_string(void)
{
    for (int len = 1; len <= 600; len++) {
        auto_buf struct buf text = BUF_INIT;
        buf_printf(&text, "[\"%0*d\"]", len, 7);
        auto_json cJSON *json = NULL;
        CHECK(json_parse(text.data, text.len, &json, NULL) == 0);
        auto_free char *taken = json_take_string(json->child);
        cJSON_Delete(TAKE(json));
        CHECK(taken && strlen(taken) == (size_t)len && taken[len - 1] == '7');
    }
}

static const struct {
    const char *a, *b;
    bool equal;
} pairs[] = {
    { "1", "1.0", true },
    { "1.10", "1.1", true },
    { "100", "1e2", true },
    { "0.0000001", "1e-7", true },
    { "-0", "0", true },
    { "0.0", "0e5", true },
    { "12345678901234567890", "12345678901234567891", false },
    { "0.1", "0.10000000000000000555", false },
    { "-1", "1", false },
    { "10", "1", false },
    { "1", "true", false },
    { "null", "false", false },
    { "\"1\"", "1", false },
    { "\"a\"", "\"a\"", true },
    { "[1,2]", "[1,2.0]", true },
    { "[1,2]", "[2,1]", false },
    { "[1]", "[1,2]", false },
    { "{\"a\":1,\"b\":[2]}", "{\"b\":[2.0],\"a\":1}", true },
    { "{\"a\":1}", "{\"A\":1}", false },
    { "{\"a\":1}", "{\"a\":1,\"b\":2}", false },
    { "{\"a\":1,\"b\":2}", "{\"a\":1}", false },
    { "{\"a\":null}", "{}", false },
};

static void test_equality(void)
{
    for (size_t i = 0; i < N_ELEMENTS(pairs); i++) {
        auto_json cJSON *a = NULL;
        auto_json cJSON *b = NULL;
        CHECK(json_parse(pairs[i].a, strlen(pairs[i].a), &a, NULL) == 0);
        CHECK(json_parse(pairs[i].b, strlen(pairs[i].b), &b, NULL) == 0);
        CHECK_ROW(json_equal(a, b) == pairs[i].equal, "%s and %s", pairs[i].a, pairs[i].b);
        CHECK_ROW(json_equal(b, a) == pairs[i].equal, "%s and %s", pairs[i].b, pairs[i].a);
    }
}

static void test_getters(void)
{
    static const char text[] = "{\"s\":\"x\",\"n\":12,\"q\":\"34\",\"f\":1.5,\"big\":99999999999999999999,\"o\":{}}";
    auto_json cJSON *json = NULL;
    CHECK(json_parse(text, strlen(text), &json, NULL) == 0);
    CHECK_STRING(json_get_string(json, "s"), "x");
    CHECK_STRING(json_get_string(json, "S"), NULL);
    CHECK_STRING(json_get_string(json, "n"), NULL);
    CHECK_STRING(json_get_string(NULL, "n"), NULL);
    int64_t value = 0;
    CHECK(json_get_i64(json, "n", 0, 100, &value) && value == 12);
    CHECK(json_get_i64(json, "q", 0, 100, &value) && value == 34);
    CHECK(!json_get_i64(json, "n", 0, 11, &value));
    CHECK(!json_get_i64(json, "f", 0, 100, &value));
    CHECK(!json_get_i64(json, "big", 0, INT64_MAX, &value));
    CHECK(!json_get_i64(json, "o", 0, 100, &value));
    CHECK_STRING(json_kind(json_get(json, "n")), "a number");
    CHECK_STRING(json_kind(json_get(json, "none")), "missing");
}

static bool set_members(void *context)
{
    (void)context;
    static const char text[] = "{\"a\":1,\"b\":2}";
    auto_json cJSON *json = NULL;
    auto_buf struct buf written = BUF_INIT;
    struct err err = ERR_INIT;
    if (json_parse(text, strlen(text), &json, &err) != 0 || json_set(json, "a", cJSON_CreateString("x"), &err) != 0 ||
        json_set(json, "A", cJSON_CreateNull(), &err) != 0)
        return false;
    json_write(json, &written);
    if (buf_failed(&written))
        return false;
    CHECK_STRING(buf_str(&written), "{\"a\":\"x\",\"b\":2,\"A\":null}");
    return true;
}

static bool parse_and_write(void *context)
{
    const char *text = context;
    auto_json cJSON *json = NULL;
    int r = json_parse(text, strlen(text), &json, NULL);
    CHECK(r == 0 || r == -ENOMEM);
    if (r != 0)
        return false;
    auto_buf struct buf out = BUF_INIT;
    json_write(json, &out);
    if (buf_failed(&out))
        return false;
    CHECK_STRING(buf_str(&out),
                 "{\"b\":[1,{\"c\":\"d\"},111111111111111111111111111111111111111111111111111111111111111"
                 "11111],\"a\":2}");
    return true;
}

int main(void)
{
    test_documents();
    test_embedded_nul();
    test_depth();
    test_many_duplicates();
    test_digits();
    test_nearest_doubles();
    test_keeping();
    test_nodes_are_as_cjson_makes_them();
    test_every_place();
    test_every_escape();
    test_take_string();
    test_equality();
    test_getters();
    char text[] =
        "{\"a\":1,\"b\":[1,{\"c\":\"d\"},11111111111111111111111111111111111111111111111111111111111111111111],"
        "\"a\":2}";
    test_failing_allocations(parse_and_write, text);
    auto_buf struct buf array = BUF_INIT;
    for (int digits = 1; digits <= 400; digits += 399) { /* stored behind its node, and apart from it */
        buf_reset(&array);
        buf_printf(&array, "{\"g\":{\"c\":[[1%0*d.5]]},\"x\":[1]}", digits, 0);
        test_failing_allocations(parse_keeping, array.data);
    }
    CHECK(set_members(NULL));
    test_failing_allocations(set_members, NULL);
    return test_end();
}
