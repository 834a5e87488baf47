/* The error of a STAC Collection names every member that is missing or wrong. */
#include "stac/collection.h"
#include "quoted.h"
#include "test.h"

#include <stdio.h>
#include <string.h>

#define REST "'description':'','license':'other','extent':{},'links':[]"

static const struct {
    const char *json;
    const char *id;
    const char *error; /* the text after "not a STAC collection: " */
} collections[] = {
    { "{'type':'Collection','id':'c'," REST "}", "c", NULL },
    { "{'id':'a b/\\u00e9'," REST ",'type':'Collection','item_assets':null}", "a b/\xc3\xa9", NULL },
    { "{}", NULL,
      "type is not \"Collection\"; id is missing; description is missing; license is missing; extent is missing; links "
      "is missing" },
    { "{'type':'Catalog','id':'c'," REST "}", NULL, "type is not \"Collection\"" },
    { "{'type':'Feature','id':'c'," REST "}", NULL, "type is not \"Collection\"" },
    { "{'type':'Collection','id':''," REST "}", NULL, "id is empty" },
    { "{'type':'Collection','id':7," REST "}", NULL, "id is a number, not a string" },
    { "{'type':'Collection','Id':'c'," REST "}", NULL, "id is missing" },
    { "{'type':'Collection','id':'c','description':null,'license':[],'extent':[],'links':{}}", NULL,
      "description is null, not a string; license is an array, not a string; extent is an array, not an object; links "
      "is "
      "an object, not an array" },
    { "['Collection']", NULL,
      "type is not \"Collection\"; id is missing; description is missing; license is missing; extent is missing; links "
      "is missing" },
};

static void test_collections(void)
{
    static const char prefix[] = "not a STAC collection: ";
    for (size_t i = 0; i < N_ELEMENTS(collections); i++) {
        auto_json cJSON *json = parse_quoted(collections[i].json);
        const char *id = NULL;
        struct err err = ERR_INIT;
        int r = stac_collection_read(json, &id, &err);
        CHECK_STRING(id, collections[i].id);
        if (!collections[i].error) {
            CHECK_ROW(r == 0, "%s: %s", collections[i].json, err.text);
            continue;
        }
        CHECK_ROW(r == NEVER && err_is(&err, "invalid_collection"), "%s", collections[i].json);
        CHECK_ROW(strncmp(err.text, prefix, strlen(prefix)) == 0, "%s", err.text);
        CHECK_STRING(err.text + strlen(prefix), collections[i].error);
        CHECK(stac_collection_read(json, &id, NULL) == NEVER);
    }
}

static bool read_wrong(void *context)
{
    const char *id = NULL;
    struct err err = ERR_INIT;
    int r = stac_collection_read(context, &id, &err);
    CHECK_ROW(r < 0 || r == NEVER, "no memory became %d", r);
    return r == NEVER;
}

int main(void)
{
    test_collections();
    auto_json cJSON *json = parse_quoted("{'type':'Collection','id':''}");
    test_failing_allocations(read_wrong, json);
    return test_end();
}
