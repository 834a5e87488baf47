/* The columns that are read from a STAC item, and the errors, which name everything that is wrong. */
#include "stac/item.h"
#include "quoted.h"
#include "test.h"

#include <stdio.h>
#include <string.h>

#define POINT "'geometry':{'type':'Point','coordinates':[1,2]}"
#define AN_EVENT "an event; events are followed only as messages of their own, not in files, objects or lists"
#define REST POINT ",'links':[],'assets':{}"
#define ITEM(properties) "{'type':'Feature','id':'i','collection':'c','properties':{" properties "}," REST "}"

#define SECOND INT64_C(1000000)
#define DAY (86400 * SECOND)
#define Y2020 (INT64_C(1577836800) * SECOND)
#define Y0001 (INT64_C(-62135596800) * SECOND)
#define Y10000 (INT64_C(253402300800) * SECOND)

static const struct {
    const char *properties;
    int64_t datetime_us, end_datetime_us;
} ranges[] = {
    { ITEM("'datetime':'2020-01-01T00:00:00Z'"), Y2020, Y2020 },
    { ITEM("'datetime':'2020-01-01t00:00:00z'"), Y2020, Y2020 },
    { ITEM("'datetime':'2020-01-01 00:00:00Z'"), Y2020, Y2020 },
    { ITEM("'datetime':'2020-01-01T00:00:00.1234565Z'"), Y2020 + 123457, Y2020 + 123457 },
    { ITEM("'datetime':'2020-01-01T05:45:00+05:45'"), Y2020, Y2020 },
    { ITEM("'datetime':'2019-12-31T12:00:00-12:00'"), Y2020, Y2020 },
    { ITEM("'datetime':'2019-12-31T23:59:60Z'"), Y2020, Y2020 },
    { ITEM("'datetime':'1969-12-31T23:59:59.999999Z'"), -1, -1 },
    { ITEM("'datetime':'0001-01-01T00:00:00Z'"), Y0001, Y0001 },
    { ITEM("'datetime':'9999-12-31T23:59:59.999999Z'"), Y10000 - 1, Y10000 - 1 },
    { ITEM("'datetime':null,'start_datetime':'2020-01-01T00:00:00Z','end_datetime':'2020-01-02T00:00:00Z'"), Y2020,
      Y2020 + DAY },
    { ITEM("'start_datetime':'2020-01-01T00:00:00Z','end_datetime':'2020-01-01T00:00:00Z'"), Y2020, Y2020 },
    { ITEM("'start_datetime':'2020-01-01T02:00:00+02:00','end_datetime':'2020-01-01T00:00:00Z'"), Y2020, Y2020 },
    /* The range wins over datetime, as in pgstac's stac_daterange. */
    { ITEM("'datetime':'2020-06-01T00:00:00Z','start_datetime':'2020-01-01T00:00:00Z',"
           "'end_datetime':'2020-01-02T00:00:00Z'"),
      Y2020, Y2020 + DAY },
    /* A start without an end is not a range. */
    { ITEM("'datetime':'2020-01-01T00:00:00Z','start_datetime':'2019-01-01T00:00:00Z'"), Y2020, Y2020 },
    { ITEM("'datetime':'2020-01-01T00:00:00Z','start_datetime':null,'end_datetime':'2021-01-01T00:00:00Z'"), Y2020,
      Y2020 },
};

static void test_ranges(void)
{
    for (size_t i = 0; i < N_ELEMENTS(ranges); i++) {
        auto_json cJSON *json = parse_quoted(ranges[i].properties);
        struct stac_item item = STAC_ITEM_INIT;
        struct err err = ERR_INIT;
        CHECK_ROW(stac_item_read(json, STAC_ITEM_LOADED, &item, &err) == 0, "%s: %s", ranges[i].properties, err.text);
        CHECK_ROW(item.datetime_us == ranges[i].datetime_us && item.end_datetime_us == ranges[i].end_datetime_us,
                  "%s: %lld to %lld", ranges[i].properties, (long long)item.datetime_us,
                  (long long)item.end_datetime_us);
        CHECK_STRING(item.id, "i");
        CHECK_STRING(item.collection, "c");
        CHECK(item.geometry.len == 1 + 4 + 4 + 16);
        stac_item_clear(&item);
        CHECK(!item.geometry.data && !item.id);
    }
}

#define MALFORMED "not an RFC 3339 datetime with a zone; write it like 2021-01-01T00:00:00Z"
#define IMPOSSIBLE " is a time that does not exist; correct its "
#define OUT_OF_RANGE                                                                         \
    " is out of the range that pgstac can hold; choose a time from 0001-01-01T00:00:00Z to " \
    "9999-12-31T23:59:59.999999Z"
#define NO_LINK " is not an object with strings rel and href"
#define LINKS(links)                                                                                      \
    "{'type':'Feature','id':'i','collection':'c','properties':{'datetime':'2020-01-01T00:00:00Z'}," POINT \
    ",'links':[" links "],'assets':{}}"
#define NO_DATETIME "properties.datetime is missing or null, which requires both start_datetime and end_datetime"

static const struct {
    const char *json;
    const char *error; /* the text after "not a STAC item: " */
} refusals[] = {
    { "[]", "an array where an object was expected" },
    { "null", "null where an object was expected" },
    { "'item'", "a string where an object was expected" },
    { "{}",
      "type is not \"Feature\"; id is missing; collection is missing; geometry is missing; properties is missing; "
      "links is missing; assets is missing" },
    { "{'href':'https://example.com/i.json'}",
      "a link to https://example.com/i.json; links to items are not followed, publish the item itself" },
    { "{'rel':'item','href':'i.json','type':'application/geo+json'}",
      "a link to i.json; links to items are not followed, publish the item itself" },
    { "{'Type':'Feature','ID':'i'}", "type is not \"Feature\"; id is missing; collection is missing; geometry is "
                                     "missing; properties is missing; links "
                                     "is missing; assets is missing" },
    { "{'type':7,'id':7,'collection':7,'geometry':7,'properties':7,'links':7,'assets':7}",
      "type is not \"Feature\"; id is not a string; collection is not a string; geometry is not an object; properties "
      "is not an object; links is not an array; assets is not an object" },
    { "{'Records':[{'s3':{}}]}", AN_EVENT },
    { "{'detail-type':'Object Created','detail':{}}", AN_EVENT },
    { "{'type':'Collection','id':'','collection':'','geometry':null,'properties':null,'links':{},'assets':[]}",
      "type is not \"Feature\"; id is empty; collection is empty; geometry is null, and pgstac cannot hold an item "
      "without one; properties is not an object; links is not an array; assets is not an object" },
    { "{'type':'Feature','id':null,'collection':null,'properties':{'datetime':'2020-01-01T00:00:00Z'}," REST "}",
      "id is not a string; collection is not a string" },
    { "{'type':'Feature','id':'i','collection':'c','properties':{'datetime':'2020-01-01T00:00:00Z'},'geometry':{'type':"
      "'Polygon','coordinates':[[[0,0],[1,0],[1,1],[0,1]]]},'links':[],'assets':{}}",
      "geometry.coordinates[0] is a ring whose last position is not its first" },
    { LINKS("1"), "links[0]" NO_LINK },
    { LINKS("null,{}"), "links[0]" NO_LINK },
    { LINKS("{'rel':'via','href':'h'},{'rel':'via'}"), "links[1]" NO_LINK },
    { LINKS("{'href':'h'}"), "links[0]" NO_LINK },
    { LINKS("{'rel':'','href':'h'}"), "links[0]" NO_LINK },
    { LINKS("{'rel':'via','href':''}"), "links[0]" NO_LINK },
    { LINKS("{'rel':1,'href':'h'}"), "links[0]" NO_LINK },
    { ITEM(""), NO_DATETIME },
    { ITEM("'datetime':null"), NO_DATETIME },
    { ITEM("'Datetime':'2020-01-01T00:00:00Z'"), NO_DATETIME },
    { ITEM("'start_datetime':'2020-01-01T00:00:00Z'"), NO_DATETIME },
    { ITEM("'end_datetime':'2020-01-01T00:00:00Z','start_datetime':null"), NO_DATETIME },
    { ITEM("'datetime':'2020-01-01'"), "properties.datetime \"2020-01-01\" is " MALFORMED },
    { ITEM("'datetime':'2020-01-01T00:00:00'"), "properties.datetime \"2020-01-01T00:00:00\" is " MALFORMED },
    { ITEM("'datetime':'2020-02-30T00:00:00Z'"), "properties.datetime \"2020-02-30T00:00:00Z\"" IMPOSSIBLE "day" },
    { ITEM("'datetime':'2020-01-01T24:00:00Z'"), "properties.datetime \"2020-01-01T24:00:00Z\"" IMPOSSIBLE "hour" },
    { ITEM("'datetime':'yesterday'"), "properties.datetime \"yesterday\" is " MALFORMED },
    { ITEM("'datetime':''"), "properties.datetime \"\" is " MALFORMED },
    { ITEM("'datetime':1577836800"), "properties.datetime is a number, " MALFORMED },
    { ITEM("'datetime':['2020-01-01T00:00:00Z']"), "properties.datetime is an array, " MALFORMED },
    { ITEM("'datetime':null,'start_datetime':'2020-01-01T00:00:00Z','end_datetime':'9999-12-31T23:59:59.9999999Z'"),
      "properties.end_datetime \"9999-12-31T23:59:59.9999999Z\"" OUT_OF_RANGE },
    { ITEM("'start_datetime':'2021-04-31T00:00:00Z','end_datetime':'9999-12-31T23:59:59-01:00'"),
      "properties.start_datetime \"2021-04-31T00:00:00Z\"" IMPOSSIBLE
      "day; properties.end_datetime \"9999-12-31T23:59:59-01:00\"" OUT_OF_RANGE },
    { ITEM("'datetime':'a text that is so long that nobody wants to read all of it in an error'"),
      "properties.datetime \"a text that is so long that nobody wants to read all of it in an\" is " MALFORMED },
    { ITEM("'datetime':'0000-01-01T00:00:00Z'"), "properties.datetime \"0000-01-01T00:00:00Z\"" OUT_OF_RANGE },
    { ITEM("'datetime':'0001-01-01T00:00:00+00:01'"),
      "properties.datetime \"0001-01-01T00:00:00+00:01\"" OUT_OF_RANGE },
    { ITEM("'datetime':'9999-12-31T23:59:59.9999999Z'"),
      "properties.datetime \"9999-12-31T23:59:59.9999999Z\"" OUT_OF_RANGE },
    { ITEM("'datetime':'10000-01-01T00:00:00Z'"), "properties.datetime \"10000-01-01T00:00:00Z\"" OUT_OF_RANGE },
    { ITEM("'datetime':'a','start_datetime':'b','end_datetime':'c'"),
      "properties.datetime \"a\" is " MALFORMED "; properties.start_datetime \"b\" is " MALFORMED
      "; properties.end_datetime \"c\" is " MALFORMED },
    { ITEM("'start_datetime':'2020-01-02T00:00:00Z','end_datetime':'2020-01-01T23:59:59.999999Z'"),
      "properties.end_datetime is before start_datetime" },
    { ITEM("'datetime':'2020-01-01T00:00:00Z','start_datetime':'2020-01-01T00:00:00Z','end_datetime':"
           "'2020-01-01T00:00:00+00:01'"),
      "properties.end_datetime is before start_datetime" },
    /* A bad date is an error also if the range makes it unnecessary. */
    { ITEM("'datetime':'a','start_datetime':'2020-01-01T00:00:00Z','end_datetime':'2020-01-01T00:00:00Z'"),
      "properties.datetime \"a\" is " MALFORMED },
};

static void test_refusals(void)
{
    static const char prefix[] = "not a STAC item: ";
    for (size_t i = 0; i < N_ELEMENTS(refusals); i++) {
        auto_json cJSON *json = parse_quoted(refusals[i].json);
        struct stac_item item = STAC_ITEM_INIT;
        struct err err = ERR_INIT;
        CHECK_ROW(stac_item_read(json, STAC_ITEM_LOADED, &item, &err) == NEVER, "%s: accepted", refusals[i].json);
        CHECK_STRING(err.code, "invalid_item");
        CHECK_ROW(strncmp(err.text, prefix, strlen(prefix)) == 0, "%s", err.text);
        CHECK_STRING(err.text + strlen(prefix), refusals[i].error);
        CHECK(!item.id && !item.geometry.data);
        CHECK(stac_item_read(json, STAC_ITEM_LOADED, &item, NULL) == NEVER);
    }
}

/* A generated item may have no collection yet. */
static void test_generated(void)
{
    static const struct {
        const char *json;
        const char *collection;
        int result;
    } items[] = {
        { "{'type':'Feature','id':'i','properties':{'datetime':'2020-01-01T00:00:00Z'}," REST "}", NULL, 0 },
        { "{'type':'Feature','id':'i','collection':null,'properties':{'datetime':'2020-01-01T00:00:00Z'}," REST "}",
          NULL, 0 },
        { ITEM("'datetime':'2020-01-01T00:00:00Z'"), "c", 0 },
        { "{'type':'Feature','id':'i','collection':'','properties':{'datetime':'2020-01-01T00:00:00Z'}," REST "}", NULL,
          NEVER },
        { "{'type':'Feature','id':'i','collection':7,'properties':{'datetime':'2020-01-01T00:00:00Z'}," REST "}", NULL,
          NEVER },
    };
    for (size_t i = 0; i < N_ELEMENTS(items); i++) {
        auto_json cJSON *json = parse_quoted(items[i].json);
        struct stac_item item = STAC_ITEM_INIT;
        CHECK_ROW(stac_item_read(json, STAC_ITEM_GENERATED, &item, NULL) == items[i].result, "%s", items[i].json);
        CHECK_STRING(item.collection, items[i].collection);
        stac_item_clear(&item);
    }
}

struct attempt {
    const cJSON *json;
    int expected;
};

static bool read_item(void *context)
{
    const struct attempt *attempt = context;
    struct stac_item item = STAC_ITEM_INIT;
    struct err err = ERR_INIT;
    int r = stac_item_read(attempt->json, STAC_ITEM_LOADED, &item, &err);
    CHECK_ROW(r < 0 || r == attempt->expected, "no memory became %d: %s", r, err.text);
    CHECK(r == 0 || (err.code && !item.geometry.data));
    stac_item_clear(&item);
    return r == attempt->expected;
}

int main(void)
{
    test_ranges();
    test_refusals();
    test_generated();
    auto_json cJSON *good = parse_quoted(ITEM("'datetime':'2020-01-01T00:00:00Z'"));
    test_failing_allocations(read_item, &(struct attempt){ good, 0 });
    auto_json cJSON *bad = parse_quoted("{'type':'Feature','id':'','geometry':{'type':'Point','coordinates':[1]}}");
    test_failing_allocations(read_item, &(struct attempt){ bad, NEVER });
    return test_end();
}
