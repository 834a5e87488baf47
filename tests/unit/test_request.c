/*
 * request: nothing in a request can become a path, a URL, a second requirement, an option, or another command than
 * create-item of the package's group.
 */
#include "itemgend/request/request.h"
#include "test.h"

#include <stdio.h>
#include <string.h>

#include "itemgend/request/requirement.h"

static char *patterns[] = { (char[]){ "stactools-*" }, (char[]){ "exact" }, (char[]){ "Odd__Na*" } };
static const struct config_list allowed = { .items = patterns, .n = N_ELEMENTS(patterns) };

#define LONG_NAME                                                                                              \
    "stactools-aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa" \
    "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa"

/* `code` NULL: allowed. */
static const struct {
    const char *package, *code;
} packages[] = {
    { "stactools-landsat", NULL },
    { "exact", NULL },
    { "odd-name", NULL },
    { "ODD.Name==1", NULL },
    { "odd-other", "package_not_allowed" },
    { "STACtools_.-Landsat", NULL },
    { "stactools.landsat", NULL },
    { "stactools-landsat==0.5.0", NULL },
    { "stactools-landsat===0.5.0", NULL },
    { "stactools-landsat~=1!2.0rc1.post2+local_1", NULL },
    { "stactools-landsat!=1.*", NULL },
    { "stactools-landsat>=0.5,<1,!=0.7", NULL },
    { "stactools-landsat[extra]", NULL },
    { "stactools-landsat[a,b-c,d.e]>1", NULL },
    /* Another package, alone or in addition. */
    { "requests", "package_not_allowed" },
    { "exact-not", "package_not_allowed" },
    { "stactools", "package_not_allowed" },
    { "stactools-x,requests", "invalid_package" },
    { "stactools-x requests", "invalid_package" },
    { "stactools-x==1,requests", "invalid_package" },
    { "stactools-x==1,requests==2", "invalid_package" },
    { "stactools-x[a],requests", "invalid_package" },
    { "stactools-x[a,requests", "invalid_package" },
    { "stactools-x\nrequests", "invalid_package" },
    { "stactools-x\trequests", "invalid_package" },
    { "stactools-x;requests", "invalid_package" },
    /* Paths, archives and URLs. */
    { ".", "invalid_package" },
    { "/tmp/stactools-x", "invalid_package" },
    { "./stactools-x", "invalid_package" },
    { "../stactools-x", "invalid_package" },
    { "stactools-x/../y", "invalid_package" },
    { "stactools-x\\y", "invalid_package" },
    { "~/stactools-x", "invalid_package" },
    { "stactools-x.whl", "invalid_package" },
    { "stactools-x.tar.GZ", "invalid_package" },
    { "stactools-x.zip[a]", "invalid_package" },
    { "stactools-x-1-py3-none-any.whl", "invalid_package" },
    { "https://example.com/stactools-x.whl", "invalid_package" },
    { "file:///tmp/stactools-x", "invalid_package" },
    { "git+https://example.com/stactools-x", "invalid_package" },
    { "stactools-x @ https://example.com/x.whl", "invalid_package" },
    { "stactools-x@file:///tmp", "invalid_package" },
    { "stactools-x#egg=y", "invalid_package" },
    /* Options, files of options, markers, variables. */
    { "--help", "invalid_package" },
    { "-stactools-x", "invalid_package" },
    { "--index-url=https://example.com", "invalid_package" },
    { "-r/etc/passwd", "invalid_package" },
    { "@requirements", "invalid_package" },
    { "stactools-x --index-url https://example.com", "invalid_package" },
    { "stactools-x; python_version > '3'", "invalid_package" },
    { "stactools-x;python_version>'3'", "invalid_package" },
    { "UV_INDEX_URL=https://example.com", "invalid_package" },
    { "stactools-x=1", "invalid_package" },
    { "$HOME", "invalid_package" },
    { "${UV_INDEX}", "invalid_package" },
    { "$(id)", "invalid_package" },
    { "`id`", "invalid_package" },
    { "stactools-x|id", "invalid_package" },
    { "stactools-x&", "invalid_package" },
    { "stactools-x>/tmp/file", "invalid_package" },
    /* Malformed. */
    { "stactools-", "invalid_package" },
    { " stactools-x", "invalid_package" },
    { "stactools-x ", "invalid_package" },
    { "stactools-x==", "invalid_package" },
    { "stactools-x==1,", "invalid_package" },
    { "stactools-x,==1", "invalid_package" },
    { "stactools-x[]", "invalid_package" },
    { "stactools-x[a,]", "invalid_package" },
    { "stactools-x[a", "invalid_package" },
    { "stactools-x[a]b", "invalid_package" },
    { "stactools-x[a][b]", "invalid_package" },
    { "stactools-x(==1)", "invalid_package" },
    { "stactools-x==1 .0", "invalid_package" },
    { "stactools-x==-1", "invalid_package" },
    { "stactools-\xc3\xa4", "invalid_package" },
    { LONG_NAME, "invalid_package" },
};

/* The rest of a request; `words` NULL: it is valid. */
static const struct {
    const char *members, *words;
} requests[] = {
    { "\"group_name\":\"x\",\"create_item_args\":[]", NULL },
    { "\"group_name\":\"x-y_z.1\",\"create_item_args\":[\"-5\",\"-\",\"-.5e3\",\"-1,2\",\"a b\",\"$(id)\",\"\"]",
      NULL },
    { "\"group_name\":\"x\",\"create_item_args\":[],\"create_item_options\":{\"a-b\":\"--x\",\"c\":\"-5\"}", NULL },
    { "\"group_name\":\"x\",\"create_item_args\":[\"--help\"]", "create_item_args has an option" },
    { "\"group_name\":\"x\",\"create_item_args\":[\"--\"]", "create_item_args has an option" },
    { "\"group_name\":\"x\",\"create_item_args\":[\"a\",\"-o\"]", "create_item_args has an option" },
    { "\"group_name\":\"x\",\"create_item_args\":[\"--a=b\"]", "create_item_args has an option" },
    { "\"group_name\":\"x\",\"create_item_args\":\"a\"", "create_item_args is not a list" },
    { "\"group_name\":\"x\",\"create_item_args\":[[\"a\"]]", "create_item_args has a member" },
    { "\"group_name\":\"x\",\"create_item_args\":[\"a\\u0000b\"]", "U+0000" },
    { "\"group_name\":\"--version\",\"create_item_args\":[]", "group_name cannot be the name" },
    { "\"group_name\":\"-v\",\"create_item_args\":[]", "group_name cannot be the name" },
    { "\"group_name\":\"x create-item\",\"create_item_args\":[]", "group_name cannot be the name" },
    { "\"group_name\":\"x\\ny\",\"create_item_args\":[]", "group_name cannot be the name" },
    { "\"group_name\":\"../x\",\"create_item_args\":[]", "group_name cannot be the name" },
    { "\"group_name\":\"/bin/sh\",\"create_item_args\":[]", "group_name cannot be the name" },
    { "\"group_name\":\"a=b\",\"create_item_args\":[]", "group_name cannot be the name" },
    { "\"group_name\":\"$SHELL\",\"create_item_args\":[]", "group_name cannot be the name" },
    { "\"group_name\":\"\",\"create_item_args\":[]", "group_name is not a string, or is empty" },
    { "\"group_name\":\"copy\",\"create_item_args\":[]", "group_name is a command of stac" },
    { "\"group_name\":\"create-item\",\"create_item_args\":[]", "group_name is a command of stac" },
    { "\"group_name\":\"x\",\"create_item_args\":[],\"create_item_options\":{\"\":\"x\"}", "create_item_options" },
    { "\"group_name\":\"x\",\"create_item_args\":[],\"create_item_options\":{\"-a\":\"x\"}", "create_item_options" },
    { "\"group_name\":\"x\",\"create_item_args\":[],\"create_item_options\":{\"a=b\":\"x\"}", "create_item_options" },
    { "\"group_name\":\"x\",\"create_item_args\":[],\"create_item_options\":{\"a b\":\"x\"}", "create_item_options" },
    { "\"group_name\":\"x\",\"create_item_args\":[],\"create_item_options\":{\"a\\nb\":\"x\"}", "create_item_options" },
    { "\"group_name\":\"x\",\"create_item_args\":[],\"create_item_options\":{\"a\":1}", "create_item_options" },
    { "\"group_name\":\"x\",\"create_item_args\":[],\"create_item_options\":{\"a\":\"\\u0000\"}", "U+0000" },
    { "\"group_name\":\"x\",\"create_item_args\":[],\"create_item_options\":[\"a\"]", "create_item_options" },
    { "\"group_name\":\"x\",\"create_item_args\":[],\"collection_id\":{}", "collection_id is not a string" },
};

static const struct {
    const char *requirement, *name, *rest;
} names[] = {
    { "exact", "exact", "" },
    { "Stac_.-Tools.x==1.0", "stac-tools-x", "==1.0" },
    { "a[B,c]>=1", "a", "[B,c]>=1" },
};

static void check_package(const char *package, const char *code)
{
    struct err err = ERR_INIT;
    int r = requirement_check(package, &allowed, &err);
    CHECK_ROW(r == (code ? NEVER : 0), "\"%s\": %d", package, r);
    CHECK_STRING(err.code, code);
}

static bool parse(void *context)
{
    size_t row = *(const size_t *)context;
    auto_buf struct buf text = BUF_INIT;
    buf_printf(&text, "{\"package_name\":\"exact\",%s}", requests[row].members);
    if (buf_failed(&text))
        return false;
    auto_request struct request request = REQUEST_INIT;
    struct err err = ERR_INIT;
    int r = request_parse(text.data, text.len, &allowed, &request, &err);
    if (r < 0)
        return false;
    CHECK_ROW(r == (requests[row].words ? NEVER : 0), "%s: %d", requests[row].members, r);
    CHECK_ROW(r == 0 || strstr(err.text, requests[row].words), "%s: %s", requests[row].members, err.text);
    return true;
}

int main(void)
{
    for (size_t row = 0; row < N_ELEMENTS(packages); row++)
        check_package(packages[row].package, packages[row].code);
    for (size_t row = 0; row < N_ELEMENTS(requests); row++) {
        CHECK_ROW(parse(&row), "row %zu", row);
        test_failing_allocations(parse, &row);
    }
    for (size_t row = 0; row < N_ELEMENTS(names); row++) {
        auto_buf struct buf name = BUF_INIT;
        requirement_name(names[row].requirement, &name);
        CHECK_STRING(buf_str(&name), names[row].name);
        CHECK_STRING(requirement_rest(names[row].requirement), names[row].rest);
    }
    return test_end();
}
