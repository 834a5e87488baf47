/* GeoJSON to EWKB: the bytes are PostGIS's own (ST_AsHEXEWKB(ST_GeomFromGeoJSON(...), 'NDR')), and every error names
 * its place. Each is tested with a parsed geometry, and with one whose coordinates are text, like an item's. */
#include "stac/geometry.h"
#include "quoted.h"
#include "stac/item.h"
#include "test.h"

#include <stdio.h>
#include <string.h>

static const struct {
    const char *geojson;
    const char *ewkb;
} geometries[] = {
    { "{'type':'Point','coordinates':[1,2]}", "0101000020e6100000000000000000f03f0000000000000040" },
    { "{'type':'Point','coordinates':[-0,0.1]}", "0101000020e610000000000000000000009a9999999999b93f" },
    { "{'type':'Point','coordinates':[1,2,3]}", "01010000a0e6100000000000000000f03f00000000000000400000000000000840" },
    { "{'type':'Point','coordinates':[1,2,3,4]}",
      "01010000a0e6100000000000000000f03f00000000000000400000000000000840" },
    { "{'type':'Point','coordinates':[1,2,3,4,5,6]}",
      "01010000a0e6100000000000000000f03f00000000000000400000000000000840" },
    { "{'type':'Point','coordinates':[1e308,-1e-308]}", "0101000020e6100000a0c8eb85f3cce17fd2e81978d6300780" },
    { "{'type':'Point','coordinates':[0.1234567890123456789012345678901234567890123456789012345678901234567890,179."
      "99999999999999999]}",
      "0101000020e61000005ff64637dd9abf3f0000000000806640" },
    { "{'type':'Point','coordinates':[5e-324,1e-400]}", "0101000020e610000001000000000000000000000000000000" },
    { "{'type':'Point','bbox':[1,2,3,4],'coordinates':[1,2],'geometries':[{'type':'Point','coordinates':[1,2,3]}],'"
      "note':[[1,2,3]]}",
      "0101000020e6100000000000000000f03f0000000000000040" },
    { "{'coordinates':[1,2],'type':'Point'}", "0101000020e6100000000000000000f03f0000000000000040" },
    { "{'type':'LineString','coordinates':[[1,2],[3,4]]}",
      "0102000020e610000002000000000000000000f03f000000000000004000000000000008400000000000001040" },
    { "{'type':'LineString','coordinates':[[1,2],[3,4,5]]}",
      "01020000a0e610000002000000000000000000f03f000000000000004000000000000000000000000000000840000000"
      "00000010400000000000001440" },
    { "{'type':'LineString','coordinates':[[1,2,9],[3,4],[5,6,7,8]]}",
      "01020000a0e610000003000000000000000000f03f000000000000004000000000000022400000000000000840000000"
      "00000010400000000000000000000000000000144000000000000018400000000000001c40" },
    { "{'type':'Polygon','coordinates':[[[0,0],[4,0],[4,4],[0,0]]]}",
      "0103000020e6100000010000000400000000000000000000000000000000000000000000000000104000000000000000"
      "000000000000001040000000000000104000000000000000000000000000000000" },
    { "{'type':'Polygon','coordinates':[[[0,0],[9,0],[9,9],[0,0]],[[1,1],[2,1],[2,2],[1,1]]]}",
      "0103000020e6100000020000000400000000000000000000000000000000000000000000000000224000000000000000"
      "00000000000000224000000000000022400000000000000000000000000000000004000000000000000000f03f000000"
      "000000f03f0000000000000040000000000000f03f00000000000000400000000000000040000000000000f03f000000"
      "000000f03f" },
    { "{'type':'Polygon','coordinates':[[[0,0,1],[4,0,2],[4,4,3],[0,0,1]]]}",
      "01030000a0e6100000010000000400000000000000000000000000000000000000000000000000f03f00000000000010"
      "400000000000000000000000000000004000000000000010400000000000001040000000000000084000000000000000"
      "000000000000000000000000000000f03f" },
    { "{'type':'MultiPoint','coordinates':[[1,2],[3,4]]}",
      "0104000020e6100000020000000101000000000000000000f03f00000000000000400101000000000000000000084000"
      "00000000001040" },
    { "{'type':'MultiPoint','coordinates':[[1,2],[3,4,5]]}",
      "01040000a0e6100000020000000101000080000000000000f03f00000000000000400000000000000000010100008000"
      "0000000000084000000000000010400000000000001440" },
    { "{'type':'MultiLineString','coordinates':[[[1,2],[3,4]],[[5,6],[7,8],[9,10]]]}",
      "0105000020e610000002000000010200000002000000000000000000f03f000000000000004000000000000008400000"
      "000000001040010200000003000000000000000000144000000000000018400000000000001c40000000000000204000"
      "000000000022400000000000002440" },
    { "{'type':'MultiPolygon','coordinates':[[[[0,0],[4,0],[4,4],[0,0]]],[[[5,5],[9,5],[9,9],[5,5]],[[6,6],[7,6],[7,7],"
      "[6,6]]]]}",
      "0106000020e6100000020000000103000000010000000400000000000000000000000000000000000000000000000000"
      "104000000000000000000000000000001040000000000000104000000000000000000000000000000000010300000002"
      "000000040000000000000000001440000000000000144000000000000022400000000000001440000000000000224000"
      "000000000022400000000000001440000000000000144004000000000000000000184000000000000018400000000000"
      "001c4000000000000018400000000000001c400000000000001c4000000000000018400000000000001840" },
    { "{'type':'GeometryCollection','geometries':[{'type':'Point','coordinates':[1,2]},{'type':'LineString','"
      "coordinates':[[1,2],[3,4]]}]}",
      "0107000020e6100000020000000101000000000000000000f03f00000000000000400102000000020000000000000000"
      "00f03f000000000000004000000000000008400000000000001040" },
    { "{'type':'GeometryCollection','geometries':[{'type':'Point','coordinates':[1,2]},{'type':'MultiPoint','"
      "coordinates':[[3,4,5]]}]}",
      "01070000a0e6100000020000000101000080000000000000f03f00000000000000400000000000000000010400008001"
      "0000000101000080000000000000084000000000000010400000000000001440" },
    { "{'type':'GeometryCollection','coordinates':[1,2,3],'geometries':[{'type':'Point','coordinates':[1,2]}]}",
      "0107000020e6100000010000000101000000000000000000f03f0000000000000040" },
};

/* An item with this geometry, in which `space` replaces the blanks between its parts. */
static cJSON *parse_item(const char *geojson, const char *space)
{
    auto_buf struct buf text = BUF_INIT;
    buf_puts(&text, "{\"geometry\":");
    for (const char *at = geojson; *at; at++) {
        bool is_mark = strchr("[],", *at);
        buf_printf(&text, "%s%c%s", is_mark ? space : "", *at == '\'' ? '"' : *at, is_mark ? space : "");
    }
    buf_putc(&text, '}');
    cJSON *item = NULL;
    CHECK_ROW(stac_item_parse(buf_str(&text), text.len, &item, NULL) == 0, "%s", buf_str(&text));
    return item;
}

/* Converts to EWKB in hex. The buffer has other bytes before. */
static int to_hex(const cJSON *geometry, struct buf *hex, struct err *err)
{
    auto_buf struct buf ewkb = BUF_INIT;
    buf_puts(&ewkb, "before");
    int r = geometry_to_ewkb(geometry, &ewkb, err);
    buf_add_hex(hex, ewkb.data + strlen("before"), ewkb.len - strlen("before"));
    return r;
}

static void test_geometries(void)
{
    static const char *const spaces[] = { "", " ", "\r\n\t" };
    for (size_t i = 0; i < N_ELEMENTS(geometries); i++) {
        auto_json cJSON *json = parse_quoted(geometries[i].geojson);
        auto_buf struct buf hex = BUF_INIT;
        struct err err = ERR_INIT;
        CHECK_ROW(to_hex(json, &hex, &err) == 0, "%s: %s", geometries[i].geojson, err.text);
        CHECK_STRING(buf_str(&hex), geometries[i].ewkb);
        for (size_t k = 0; k < N_ELEMENTS(spaces); k++) {
            auto_json cJSON *item = parse_item(geometries[i].geojson, spaces[k]);
            buf_reset(&hex);
            CHECK_ROW(to_hex(json_get(item, "geometry"), &hex, &err) == 0, "%s: %s", geometries[i].geojson, err.text);
            CHECK_STRING(buf_str(&hex), geometries[i].ewkb);
        }
    }
}

static const struct {
    const char *geojson;
    const char *error; /* the whole text */
} refusals[] = {
    { "'Point'", "geometry is not an object" },
    { "[1,2]", "geometry is not an object" },
    { "null", "geometry is not an object" },
    { "{}", "geometry has no type" },
    { "{'type':7,'coordinates':[1,2]}", "geometry has no type" },
    { "{'Type':'Point','coordinates':[1,2]}", "geometry has no type" },
    { "{'type':'Blob','coordinates':[1,2]}", "geometry has the type \"Blob\", which is not one of GeoJSON's" },
    { "{'type':'point','coordinates':[1,2]}", "geometry has the type \"point\", which is not one of GeoJSON's" },
    { "{'type':'Feature','geometry':{}}", "geometry has the type \"Feature\", which is not one of GeoJSON's" },
    { "{'type':'An invention whose name is longer than forty bytes','coordinates':[1,2]}",
      "geometry has the type \"An invention whose name is longer than f\", which is not one of GeoJSON's" },
    { "{'type':'Point'}", "geometry.coordinates is not a position (an array of two or three numbers)" },
    { "{'type':'Point','Coordinates':[1,2]}",
      "geometry.coordinates is not a position (an array of two or three numbers)" },
    { "{'type':'Point','coordinates':null}",
      "geometry.coordinates is not a position (an array of two or three numbers)" },
    { "{'type':'Point','coordinates':[]}",
      "geometry.coordinates is not a position (an array of two or three numbers)" },
    { "{'type':'Point','coordinates':[1]}",
      "geometry.coordinates is not a position (an array of two or three numbers)" },
    { "{'type':'Point','coordinates':{'a':1,'b':2}}",
      "geometry.coordinates is not a position (an array of two or three numbers)" },
    { "{'type':'Point','coordinates':['1','2']}", "geometry.coordinates has a member that is not a number" },
    { "{'type':'Point','coordinates':[1,null]}", "geometry.coordinates has a member that is not a number" },
    { "{'type':'Point','coordinates':[1,2,'3']}", "geometry.coordinates has a member that is not a number" },
    { "{'type':'Point','coordinates':[1,2,3,true]}", "geometry.coordinates has a member that is not a number" },
    { "{'type':'Point','coordinates':[[1,2]]}", "geometry.coordinates has a member that is not a number" },
    { "{'type':'Point','coordinates':[1e309,2]}", "geometry.coordinates has a number beyond the range of a double" },
    { "{'type':'Point','coordinates':[1,-1e400]}", "geometry.coordinates has a number beyond the range of a double" },
    { "{'type':'Point','coordinates':[1,2,3,1e400]}",
      "geometry.coordinates has a number beyond the range of a double" },
    { "{'type':'LineString','coordinates':[]}", "geometry.coordinates is a line of fewer than two positions" },
    { "{'type':'LineString','coordinates':[[1,2]]}", "geometry.coordinates is a line of fewer than two positions" },
    { "{'type':'LineString','coordinates':'1 2'}", "geometry.coordinates is not an array of positions" },
    { "{'type':'LineString','coordinates':[1,2]}",
      "geometry.coordinates[0] is not a position (an array of two or three numbers)" },
    { "{'type':'LineString','coordinates':[[1,2],[3]]}",
      "geometry.coordinates[1] is not a position (an array of two or three numbers)" },
    { "{'type':'Polygon','coordinates':[]}", "geometry.coordinates is not an array of rings" },
    { "{'type':'Polygon'}", "geometry.coordinates is not an array of rings" },
    { "{'type':'Polygon','coordinates':[[]]}", "geometry.coordinates[0] is a ring of fewer than four positions" },
    { "{'type':'Polygon','coordinates':[[[0,0],[1,1],[0,0]]]}",
      "geometry.coordinates[0] is a ring of fewer than four positions" },
    { "{'type':'Polygon','coordinates':[[[0,0],[1,0],[1,1],[0,1]]]}",
      "geometry.coordinates[0] is a ring whose last position is not its first" },
    { "{'type':'Polygon','coordinates':[[[0,0,1],[1,0,1],[1,1,1],[0,0,2]]]}",
      "geometry.coordinates[0] is a ring whose last position is not its first" },
    { "{'type':'Polygon','coordinates':[[[0,0],[1,0],[1,1],[0,0,0]]]}",
      "geometry.coordinates[0] is a ring whose last position is not its first" },
    { "{'type':'Polygon','coordinates':[[[0,0],[1,0],[1,1],[0,0]],[[0,0],[1,0],[1,'x'],[0,0]]]}",
      "geometry.coordinates[1][2] has a member that is not a number" },
    { "{'type':'Polygon','coordinates':[[0,0],[1,0],[1,1],[0,0]]}",
      "geometry.coordinates[0][0] is not a position (an array of two or three numbers)" },
    { "{'type':'MultiPoint','coordinates':[]}", "geometry.coordinates is not an array with at least one part" },
    { "{'type':'MultiPoint','coordinates':[[1,2],[]]}",
      "geometry.coordinates[1] is not a position (an array of two or three numbers)" },
    { "{'type':'MultiLineString','coordinates':[[[1,2],[3,4]],[[1,2]]]}",
      "geometry.coordinates[1] is a line of fewer than two positions" },
    { "{'type':'MultiPolygon','coordinates':[[[[0,0],[1,0],[1,1],[0,0]]],[]]}",
      "geometry.coordinates[1] is not an array of rings" },
    { "{'type':'MultiPolygon','coordinates':[[[[0,0],[1,0],[1,1],[0,0]],[[0,0],[1,0],[1,1],[0,9]]]]}",
      "geometry.coordinates[0][1] is a ring whose last position is not its first" },
    { "{'type':'GeometryCollection'}", "geometry is a GeometryCollection without geometries" },
    { "{'type':'GeometryCollection','geometries':[]}", "geometry is a GeometryCollection without geometries" },
    { "{'type':'GeometryCollection','geometries':{'a':{'type':'Point','coordinates':[1,2]}}}",
      "geometry is a GeometryCollection without geometries" },
    { "{'type':'GeometryCollection','geometries':[{'type':'Point','coordinates':[1,2]},7]}",
      "geometry.geometries[1] is not an object" },
    { "{'type':'GeometryCollection','geometries':[{'type':'Point','coordinates':[1,2]},null]}",
      "geometry.geometries[1] is not an object" },
    { "{'type':'GeometryCollection','geometries':[{'type':'Blob'}]}",
      "geometry.geometries[0] has the type \"Blob\", which is not one of GeoJSON's" },
    { "{'type':'GeometryCollection','geometries':[{'type':'MultiLineString','coordinates':[[[1,2],[3,false]]]}]}",
      "geometry.geometries[0].coordinates[0][1] has a member that is not a number" },
    { "{'type':'GeometryCollection','geometries':[{'type':'Point','coordinates':[1,2]},"
      "{'type':'GeometryCollection','geometries':[{'type':'Point','coordinates':[1,2]}]}]}",
      "geometry.geometries[1] is a GeometryCollection inside another, which pgstac cannot return" },
};

static void test_refusals(void)
{
    for (size_t i = 0; i < N_ELEMENTS(refusals); i++) {
        auto_json cJSON *json = parse_quoted(refusals[i].geojson);
        auto_buf struct buf ewkb = BUF_INIT;
        struct err err = ERR_INIT;
        CHECK_ROW(geometry_to_ewkb(json, &ewkb, &err) == NEVER, "%s: accepted", refusals[i].geojson);
        CHECK_STRING(err.code, "invalid_geometry");
        CHECK_STRING(err.text, refusals[i].error);
        CHECK(geometry_to_ewkb(json, &ewkb, NULL) == NEVER);
        auto_json cJSON *item = parse_item(refusals[i].geojson, "");
        CHECK_ROW(geometry_to_ewkb(json_get(item, "geometry"), &ewkb, &err) == NEVER, "%s", refusals[i].geojson);
        CHECK_STRING(err.text, refusals[i].error);
    }
}

/* Nested as deep as json_parse allows: the recursion ends, and the error names the first level. */
static void test_deep(void)
{
    static const struct {
        const char *begin, *open, *middle, *close, *end;
        int levels;
        const char *error;
    } nests[] = {
        { "{'type':'Polygon','coordinates':", "[", "1,2,3", "]", "}", JSON_MAX_DEPTH - 2,
          "coordinates[0][0] has a member that is not a number" },
        { "", "{'type':'GeometryCollection','geometries':[", "{'type':'Point','coordinates':[1,2]}", "]}", "",
          JSON_MAX_DEPTH / 2 - 2, "geometries[0] is a GeometryCollection inside another" },
    };
    for (size_t i = 0; i < N_ELEMENTS(nests); i++) {
        auto_buf struct buf text = BUF_INIT;
        buf_puts(&text, nests[i].begin);
        for (int level = 0; level < nests[i].levels; level++)
            buf_puts(&text, nests[i].open);
        buf_puts(&text, nests[i].middle);
        for (int level = 0; level < nests[i].levels; level++)
            buf_puts(&text, nests[i].close);
        buf_puts(&text, nests[i].end);
        auto_json cJSON *json = parse_quoted(buf_str(&text));
        auto_buf struct buf ewkb = BUF_INIT;
        struct err err = ERR_INIT;
        CHECK(geometry_to_ewkb(json, &ewkb, &err) == NEVER);
        CHECK_ROW(strstr(err.text, nests[i].error), "%s", err.text);
        buf_reset(&text);
        json_write(json, &text);
        auto_json cJSON *item = parse_item(buf_str(&text), "");
        err.text[0] = '\0';
        CHECK(geometry_to_ewkb(json_get(item, "geometry"), &ewkb, &err) == NEVER);
        CHECK_ROW(strstr(err.text, nests[i].error), "%s", err.text);
    }
}

/* A ring of 100,000 positions: the count, the last position and the total size are right. */
static void test_large(void)
{
    enum { POSITIONS = 100000 };
    auto_buf struct buf text = BUF_INIT;
    buf_puts(&text, "{'type':'Polygon','coordinates':[[");
    for (int i = 0; i + 1 < POSITIONS; i++)
        buf_printf(&text, "[%d,%d.5],", i, i % 7);
    buf_puts(&text, "[0,0.5]]]}");
    auto_json cJSON *json = parse_quoted(buf_str(&text));
    auto_buf struct buf ewkb = BUF_INIT;
    CHECK(geometry_to_ewkb(json, &ewkb, NULL) == 0);
    const size_t header = 1 + 4 + 4 + 4 + 4; /* byte order, type, SRID, rings, positions */
    CHECK(ewkb.len == header + (size_t)POSITIONS * 16);
    CHECK(memcmp(ewkb.data + header - 4, "\xa0\x86\x01", 4) == 0);
    double last_but_one[2];
    memcpy(last_but_one, ewkb.data + ewkb.len - 32, sizeof(last_but_one));
    CHECK(last_but_one[0] == POSITIONS - 2 && last_but_one[1] == (POSITIONS - 2) % 7 + 0.5);
    auto_json cJSON *item = parse_item(buf_str(&text), "");
    auto_buf struct buf from_text = BUF_INIT;
    CHECK(geometry_to_ewkb(json_get(item, "geometry"), &from_text, NULL) == 0);
    CHECK(from_text.len == ewkb.len && memcmp(from_text.data, ewkb.data, ewkb.len) == 0);
}

static bool encode(void *context)
{
    const cJSON *json = context;
    auto_buf struct buf ewkb = BUF_INIT;
    struct err err = ERR_INIT;
    int r = geometry_to_ewkb(json, &ewkb, &err);
    if (r != 0) {
        CHECK_ROW(r < 0, "no memory became %d: %s", r, err.text);
        return false;
    }
    CHECK(ewkb.len == 9 + 4 + (5 + 4 + 5 + 4 + 4 + 4 * 24) + (5 + 4 + 2 * 24));
    return true;
}

static bool encode_item(void *context)
{
    const char *text = context;
    auto_json cJSON *item = NULL;
    auto_buf struct buf ewkb = BUF_INIT;
    struct err err = ERR_INIT;
    int r = stac_item_parse(text, strlen(text), &item, &err);
    if (r == 0)
        r = geometry_to_ewkb(json_get(item, "geometry"), &ewkb, &err);
    CHECK_ROW(r <= 0, "no memory became %d: %s", r, err.text);
    return r == 0;
}

/* Without memory for the place, the error is still that the geometry is invalid. */
static bool refuse(void *context)
{
    const cJSON *json = context;
    auto_buf struct buf ewkb = BUF_INIT;
    struct err err = ERR_INIT;
    int r = geometry_to_ewkb(json, &ewkb, &err);
    CHECK(r != 0);
    return r == NEVER &&
           strcmp(err.text,
                  "geometry.geometries[0].coordinates[1] is not a position (an array of two or three numbers)") == 0;
}

int main(void)
{
    test_geometries();
    test_refusals();
    test_deep();
    test_large();
    auto_json cJSON *good =
        parse_quoted("{'type':'GeometryCollection','geometries':[{'type':'MultiPolygon','coordinates':"
                     "[[[[0,0],[1,0],[1,1],[0,0]]]]},{'type':'LineString','coordinates':[[1,2],[3,4,5]]}]}");
    test_failing_allocations(encode, good);
    auto_json cJSON *bad = parse_quoted("{'type':'GeometryCollection','geometries':[{'type':'MultiPoint',"
                                        "'coordinates':[[1,2],[]]}]}");
    test_failing_allocations(refuse, bad);
    char text[] = "{\"geometry\":{\"type\":\"LineString\",\"coordinates\":[[1,2],[3,4]]}}";
    test_failing_allocations(encode_item, text);
    char unusual[] = "{\"geometry\":{\"type\":\"LineString\",\"coordinates\":[[1,2],[3,4,5]]}}";
    test_failing_allocations(encode_item, unusual);
    return test_end();
}
