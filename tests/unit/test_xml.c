/* xml: the first text at a path, rows of repeated elements, and rejected documents. */
#include "aws/xml.h"

#include "test.h"

static const struct {
    const char *xml, *path;
    int result;
    const char *expected; /* the text, or the error's code */
} texts[] = {
    { "<R><P><Id>7</Id></P></R>", "R/P/Id", 0, "7" },
    { "<R><P><Id>7</Id><Id>8</Id></P><P><Id>9</Id></P></R>", "R/P/Id", 0, "7" },
    { "<R xmlns='http://sns/'><x:P xmlns:x='u'><Id a='1'> 7 </Id></x:P></R>", "R/P/Id", 0, " 7 " },
    { "<R><Id>a&amp;b&lt;&#x20AC;<![CDATA[<&>]]></Id></R>", "R/Id", 0, "a&b<\xe2\x82\xac<&>" },
    { "<R><Id>a<x>no</x>b</Id></R>", "R/Id", 0, "ab" },
    { "<R><Id/></R>", "R/Id", 0, "" },
    { "<R><Id></Id><Id>second</Id></R>", "R/Id", 0, "" },
    { "<R><X><Id>wrong place</Id></X><Id>right</Id></R>", "R/Id", 0, "right" },
    { "<R><X><R><Id>wrong depth</Id></R></X></R>", "R/Id", NEVER, "not_found" },
    { "<ErrorResponse><Error><Code>A</Code></Error></ErrorResponse>", "*/Error/Code", 0, "A" },
    { "<R/>", "R", 0, "" },
    { "<R/>", "S", NEVER, "not_found" },
    { "<R/>", "R/Id/Deeper", NEVER, "not_found" },
    { "<?xml version='1.0' encoding='ISO-8859-1'?><R>\xe9</R>", "R", 0, "\xc3\xa9" },
    { "", "R", NEVER, "invalid_xml" },
    { "{\"json\": true}", "R", NEVER, "invalid_xml" },
    { "<R><Id>7</Id>", "R/Id", NEVER, "invalid_xml" },
    { "<R><Id>7</R></Id>", "R/Id", NEVER, "invalid_xml" },
    { "<R>\xff</R>", "R", NEVER, "invalid_xml" },
    { "<R>&other;</R>", "R", NEVER, "invalid_xml" },
    { "<!DOCTYPE R [<!ENTITY a 'aaaa'>]><R>&a;</R>", "R", NEVER, "invalid_xml" },
    { "<!DOCTYPE R SYSTEM 'file:///etc/passwd'><R>x</R>", "R", NEVER, "invalid_xml" },
    { "<R/><R/>", "R", NEVER, "invalid_xml" },
};

static void test_texts(void)
{
    for (size_t i = 0; i < N_ELEMENTS(texts); i++) {
        auto_buf struct buf text = BUF_INIT;
        struct err err = ERR_INIT;
        int r = xml_text(texts[i].xml, strlen(texts[i].xml), texts[i].path, &text, &err);
        CHECK_ROW(r == texts[i].result, "row %zu: result %d, \"%s\"", i, r, err.text);
        CHECK_STRING(r == 0 ? buf_str(&text) : err.code, texts[i].expected);
    }
}

static void test_depth(void)
{
    for (size_t depth = XML_MAX_DEPTH; depth <= XML_MAX_DEPTH + 1; depth++) {
        auto_buf struct buf xml = BUF_INIT, text = BUF_INIT;
        for (size_t i = 0; i < depth; i++)
            buf_puts(&xml, "<a>");
        for (size_t i = 0; i < depth; i++)
            buf_puts(&xml, "</a>");
        CHECK(xml_text(buf_str(&xml), xml.len, "a", &text, NULL) == (depth == XML_MAX_DEPTH ? 0 : NEVER));
    }
}

static const char *const fields[] = { "Id", "Code", "SenderFault", NULL };
static const char batch[] = "<R xmlns='u'><Failed>"
                            "<member><Id>1</Id><Code>A</Code><SenderFault>true</SenderFault></member>"
                            "<member><Code>B<x>no</x></Code><y><Id>not a child</Id></y><Code>second</Code></member>"
                            "</Failed><Failed/><Successful><member><Id>3</Id></member></Successful>"
                            "<Failed><member/><member><Id/></member></Failed></R>";
static const char *const expected[][3] = {
    { "1", "A", "true" }, { NULL, "B", NULL }, { NULL, NULL, NULL }, { "", NULL, NULL }
};

static void test_rows(void)
{
    auto_xml_rows struct xml_rows rows = XML_ROWS_INIT;
    CHECK(xml_rows(batch, strlen(batch), "R/Failed/member", fields, &rows, NULL) == 0);
    CHECK(rows.n == N_ELEMENTS(expected));
    for (size_t row = 0; row < N_ELEMENTS(expected); row++)
        for (size_t field = 0; field < 3; field++)
            CHECK_STRING(xml_field(&rows, row, field), expected[row][field]);
    CHECK(!xml_field(&rows, rows.n, 0) && !xml_field(&rows, 0, 3));

    auto_xml_rows struct xml_rows none = XML_ROWS_INIT;
    CHECK(xml_rows(batch, strlen(batch), "R/Missing/member", fields, &none, NULL) == 0 && none.n == 0);
    struct err err = ERR_INIT;
    CHECK(xml_rows(batch, strlen(batch) - 1, "R/Failed/member", fields, &none, &err) == NEVER && none.n == 0);
    CHECK_STRING(err.code, "invalid_xml");
}

static void test_many_rows(void)
{
    auto_buf struct buf xml = BUF_INIT;
    buf_puts(&xml, "<R>");
    for (int i = 0; i < 100; i++)
        buf_printf(&xml, "<m><Id>%d</Id></m>", i);
    buf_puts(&xml, "</R>");
    auto_xml_rows struct xml_rows rows = XML_ROWS_INIT;
    CHECK(xml_rows(buf_str(&xml), xml.len, "R/m", fields, &rows, NULL) == 0 && rows.n == 100);
    CHECK_STRING(xml_field(&rows, 99, 0), "99");
}

static bool read_once(void *context)
{
    (void)context;
    auto_buf struct buf text = BUF_INIT;
    auto_xml_rows struct xml_rows rows = XML_ROWS_INIT;
    int r = xml_text(batch, strlen(batch), "R/Failed/member/Code", &text, NULL);
    if (r == 0)
        r = xml_rows(batch, strlen(batch), "R/Failed/member", fields, &rows, NULL);
    CHECK(r <= 0);
    if (r == 0)
        CHECK(strcmp(buf_str(&text), "A") == 0 && rows.n == N_ELEMENTS(expected));
    return r == 0;
}

int main(void)
{
    test_texts();
    test_depth();
    test_rows();
    test_many_rows();
    test_failing_allocations(read_once, NULL);
    return test_end();
}
