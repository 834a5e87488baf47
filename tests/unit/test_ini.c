/* ini and shell_words. tests/integration/test_credentials_oracle.py compares with botocore's reading of such files. */
#include "aws/credentials/ini.h"
#include "aws/credentials/shell_words.h"
#include "base/buf.h"

#include "test.h"

/* Every entry as [section]key.nested=value and a bar; or '!' and the error's text. */
static const struct {
    const char *text, *expected;
} texts[] = {
    { "", "" },
    { "# only a comment\n\n;another\n", "" },
    { "[default]\naws_access_key_id = A\naws_secret_access_key=S\n", "[default]aws_access_key_id=A|"
                                                                     "[default]aws_secret_access_key=S|" },
    { "[a]\r\nx = 1\r\n\r\n[b]\r\ny = 2", "[a]x=1|[b]y=2|" },
    { "\xef\xbb\xbf[a]\nx=1\n", "[a]x=1|" },
    { "[profile \"a b\"]\nx=1\n", "[profile \"a b\"]x=1|" },
    { "[a] # behind it\nx=1\n", "[a]x=1|" },
    { "[a]b]\nx=1\n", "[a]b]x=1|" },
    { "  [a]\n  x = 1\n", "[a]x=1|" },
    { "[a]\nX-Y = Value\n", "[a]x-y=Value|" },
    { "[a]\nx : 1\ny = a:b=c\n", "[a]x=1|[a]y=a:b=c|" },
    { "[a]\nx =\ny = \n", "[a]x=|[a]y=|" },
    { "[a]\nx = 1 # not a comment\ny = 2 ; nor this\n", "[a]x=1 # not a comment|[a]y=2 ; nor this|" },
    { "[a]\nx = 1\n  # a comment inside\n  2\n", "[a]x=1\n2|" },
    { "[a]\nx = 1\n\n  2\n\n\ny = 3\n", "[a]x=1\n\n2|[a]y=3|" },
    { "[a]\n  x = 1\n  y = 2\n", "[a]x=1|[a]y=2|" },
    { "[a]\ns3 =\n  max = 1\n  Style=path = x\nx = 1\n", "[a]s3.max=1|[a]s3.Style=path = x|[a]x=1|" },
    { "[a]\ns3 =\n\n  max = 1\n  # no\n  max = 2\n", "[a]s3.max=1|[a]s3.max=2|" },
    { "[a]\nx=1\n[b]\nx=2\n", "[a]x=1|[b]x=2|" },
    { "[a]\nx=\xc3\xa9\n", "[a]x=\xc3\xa9|" },
    { "x=1\n", "!f, line 1: a setting before the first [section]" },
    { "[a]\nx\n", "!f, line 2: expected [section], key = value or # comment" },
    { "[a]\n= 1\n", "!f, line 2: expected [section], key = value or # comment" },
    { "[a\nx=1\n", "!f, line 1: a section needs a name between [ and ]" },
    { "[]\nx=1\n", "!f, line 1: a section needs a name between [ and ]" },
    { "[a]\nx=1\n[a]\n", "!f, line 3: this section exists already" },
    { "[a]\nx=1\nX=2\n", "!f, line 3: this key exists already in its section" },
    { "[a]\ns3 =\n  max\n", "!f, line 2: a line of the block below has no '='" },
    { "[a]\nx=\xff\n", "!f, line 2: not UTF-8 text" },
};

static void print_all(const struct ini *ini, struct buf *ret)
{
    for (size_t i = 0; i < ini->n_entries; i++) {
        const struct ini_entry *entry = &ini->entries[i];
        buf_printf(ret, "[%s]%s%s%s=%s|", ini->sections[entry->section], entry->key, entry->nested ? "." : "",
                   entry->nested ? entry->nested : "", entry->value);
    }
}

static void test_texts(void)
{
    for (size_t i = 0; i < N_ELEMENTS(texts); i++) {
        auto_ini struct ini ini = INI_INIT;
        auto_buf struct buf got = BUF_INIT;
        struct err err = ERR_INIT;
        int r = ini_parse(texts[i].text, strlen(texts[i].text), "f", &ini, &err);
        CHECK_ROW(r == (texts[i].expected[0] == '!' ? NEVER : 0), "row %zu: %d %s", i, r, err.text);
        if (r == 0)
            print_all(&ini, &got);
        else
            buf_printf(&got, "!%s", err.text);
        CHECK_STRING(buf_str(&got), texts[i].expected);
    }
}

static void test_limits(void)
{
    auto_buf struct buf text = BUF_INIT;
    struct err err = ERR_INIT;
    buf_puts(&text, "[a]\nx = ");
    for (size_t i = 0; i < INI_MAX_LINE - 4; i++)
        buf_putc(&text, 'v');
    for (int too_long = 0; too_long <= 1; too_long++) {
        auto_ini struct ini ini = INI_INIT;
        CHECK(ini_parse(buf_str(&text), text.len, "f", &ini, &err) == (too_long ? NEVER : 0));
        buf_putc(&text, 'v');
    }
    CHECK_STRING(err.text, "f, line 2: the line is too long");

    buf_reset(&text);
    buf_puts(&text, "[a]\nmany =\n");
    for (int i = 0; i <= INI_MAX_ENTRIES; i++)
        buf_puts(&text, " x=1\n");
    auto_ini struct ini ini = INI_INIT;
    CHECK(ini_parse(buf_str(&text), text.len, "f", &ini, &err) == NEVER);
    CHECK(ini_parse("[a]\nx=1\0y=2\n", 11, "f", &ini, &err) == NEVER);
}

static void test_get(void)
{
    static const char text[] = "[a]\nx=1\nn =\n k = 2\n k = 3\n[b]\nx=4\n";
    auto_ini struct ini ini = INI_INIT;
    CHECK(ini_parse(text, strlen(text), "f", &ini, NULL) == 0 && ini.n_sections == 2);
    CHECK_STRING(ini_get(&ini, 0, "x", NULL), "1");
    CHECK_STRING(ini_get(&ini, 1, "x", NULL), "4");
    CHECK_STRING(ini_get(&ini, 0, "n", "k"), "3");
    CHECK_STRING(ini_get(&ini, 0, "n", NULL), NULL);
    CHECK_STRING(ini_get(&ini, 0, "x", "k"), NULL);
    CHECK_STRING(ini_get(&ini, 1, "n", "k"), NULL);
}

static bool parse_once(void *context)
{
    (void)context;
    static const char text[] = "[a]\nx=1\ny = 2\n  3\nn =\n k = 2\n[b]\nx=4\n[c]\n[d]\n[e]\n";
    auto_ini struct ini ini = INI_INIT;
    int r = ini_parse(text, strlen(text), "f", &ini, NULL);
    CHECK(r <= 0);
    if (r == 0)
        CHECK(ini.n_sections == 5 && ini.n_entries == 4);
    return r == 0;
}

/* Words, each followed by a bar; or '!' and the error's text. */
static const struct {
    const char *text, *expected;
} lines[] = {
    { "", "" },
    { " \t\r\n", "" },
    { "a", "a|" },
    { "  a  b\tc\n", "a|b|c|" },
    { "'a b' \"c d\"", "a b|c d|" },
    { "a'b c'd\"e f\"", "ab cde f|" },
    { "'' \"\" a''", "||a|" },
    { "'a\\b\\\"c\\\\'", "a\\b\\\"c\\\\|" },
    { "\"a\\\"b\\\\c\\d'e\"", "a\"b\\c\\d'e|" },
    { "a\\ b \\'c \\\\", "a b|'c|\\|" },
    { "a#b # c", "a#b|#|c|" },
    { "$HOME `id` $(id) *?|;&", "$HOME|`id`|$(id)|*?|;&|" },
    { "'a", "!a quotation is not closed" },
    { "\"a\\\"", "!a quotation is not closed" },
    { "a \"", "!a quotation is not closed" },
    { "a\\", "!the text ends with a backslash" },
};

static void test_words(void)
{
    for (size_t i = 0; i < N_ELEMENTS(lines); i++) {
        auto_shell_words struct shell_words words = SHELL_WORDS_INIT;
        auto_buf struct buf got = BUF_INIT;
        struct err err = ERR_INIT;
        int r = shell_words_split(lines[i].text, &words, &err);
        for (size_t n = 0; n < words.n; n++)
            buf_printf(&got, "%s|", words.list[n]);
        if (r == NEVER)
            buf_printf(&got, "!%s", err.text);
        CHECK_ROW(r == 0 || r == NEVER, "row %zu: %d", i, r);
        CHECK_STRING(buf_str(&got), lines[i].expected);
        CHECK(words.n == 0 || !words.list[words.n]);
    }
}

static bool split_once(void *context)
{
    (void)context;
    auto_shell_words struct shell_words words = SHELL_WORDS_INIT;
    int r = shell_words_split("a 'b c' d \"e\"", &words, NULL);
    CHECK(r <= 0);
    if (r == 0)
        CHECK(words.n == 4 && strcmp(words.list[1], "b c") == 0);
    return r == 0;
}

int main(void)
{
    test_texts();
    test_limits();
    test_get();
    test_words();
    test_failing_allocations(parse_once, NULL);
    test_failing_allocations(split_once, NULL);
    return test_end();
}
