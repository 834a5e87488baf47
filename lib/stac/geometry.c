#include "stac/geometry.h"

#include <endian.h>
#include <math.h>
#include <string.h>

#include "base/num.h"

/* Well-known binary as PostGIS extends it (EWKB): type codes, and flags in the type's high bits. */
enum {
    WKB_RING, /* of a polygon: it has no code in WKB */
    WKB_POINT,
    WKB_LINESTRING,
    WKB_POLYGON,
    WKB_MULTIPOINT,
    WKB_MULTILINESTRING,
    WKB_MULTIPOLYGON,
    WKB_COLLECTION
};
static const uint32_t EWKB_Z = 0x80000000, EWKB_SRID = 0x20000000, SRID_WGS84 = 4326;

static const struct shape {
    const char *name;
    uint32_t wkb;
    uint32_t parts; /* of a Multi: the code of its parts; else 0 */
} shapes[] = {
    { "Point", WKB_POINT, 0 },
    { "LineString", WKB_LINESTRING, 0 },
    { "Polygon", WKB_POLYGON, 0 },
    { "MultiPoint", WKB_MULTIPOINT, WKB_POINT },
    { "MultiLineString", WKB_MULTILINESTRING, WKB_LINESTRING },
    { "MultiPolygon", WKB_MULTIPOLYGON, WKB_POLYGON },
};

struct writer {
    struct buf *out;
    struct err *err;
    cJSON *coordinates; /* the tree of coordinates that were kept as text; NULL: not needed */
    struct buf place;   /* "geometries[1].coordinates[0][3]", for errors */
    bool has_z;
};

static int refuse(const struct writer *w, const char *what)
{
    return err_never(w->err, "invalid_geometry", "geometry%s%s %s", w->place.len ? "." : "", buf_str(&w->place), what);
}

/* Goes one step into the place, "[index]". The caller goes back with cut(), to the length that this returns. */
static size_t push_place(struct writer *w, const char *name, int index)
{
    size_t len = w->place.len;
    if (name)
        buf_printf(&w->place, "%s%s", len ? "." : "", name);
    if (index >= 0)
        buf_printf(&w->place, "[%d]", index);
    return len;
}

static void cut(struct buf *buf, size_t len)
{
    buf->len = len;
    if (buf->data)
        buf->data[len] = '\0';
}

static void put_u32(struct writer *w, uint32_t value)
{
    value = htole32(value);
    buf_add(w->out, &value, sizeof(value));
}

/* Overwrites the 0 that was written before the parts. */
static void set_count(struct writer *w, size_t at, uint32_t n)
{
    n = htole32(n);
    if (!buf_failed(w->out))
        memcpy(w->out->data + at, &n, sizeof(n));
}

static void put_double(struct writer *w, double value)
{
    uint64_t bits;
    value += 0.0; /* -0 is 0, as in pgstac's jsonb */
    memcpy(&bits, &value, sizeof(bits));
    bits = htole64(bits);
    buf_add(w->out, &bits, sizeof(bits));
}

static void put_type(struct writer *w, uint32_t type, bool outermost)
{
    buf_putc(w->out, 1); /* little endian */
    put_u32(w, type | (w->has_z ? EWKB_Z : 0) | (outermost ? EWKB_SRID : 0));
    if (outermost)
        put_u32(w, SRID_WGS84);
}

static int put_position(struct writer *w, const cJSON *position)
{
    int n = 0;
    if (!cJSON_IsArray(position))
        return refuse(w, "is not a position (an array of two or three numbers)");
    for (const cJSON *ordinate = position->child; ordinate; ordinate = ordinate->next, n++) {
        if (!json_is_number(ordinate))
            return refuse(w, "has a member that is not a number");
        if (!isfinite(ordinate->valuedouble))
            return refuse(w, "has a number beyond the range of a double");
        if (n < (w->has_z ? 3 : 2))
            put_double(w, ordinate->valuedouble);
    }
    if (n < 2)
        return refuse(w, "is not a position (an array of two or three numbers)");
    if (n == 2 && w->has_z)
        put_double(w, 0); /* as ST_GeomFromGeoJSON does */
    return 0;
}

static bool same_position(const cJSON *a, const cJSON *b)
{
    const cJSON *x = a->child, *y = b->child;
    for (; x && y; x = x->next, y = y->next)
        if (x->valuedouble != y->valuedouble)
            return false;
    return !x && !y;
}

/* A line (at least two positions) or a ring (at least four, and the last is the first), after their number. */
static int put_positions(struct writer *w, const cJSON *positions, bool is_ring)
{
    if (!cJSON_IsArray(positions))
        return refuse(w, "is not an array of positions");
    size_t count_at = w->out->len;
    put_u32(w, 0);
    uint32_t n = 0;
    const cJSON *last = NULL;
    for (const cJSON *position = positions->child; position; position = position->next, n++) {
        size_t place = push_place(w, NULL, (int)n);
        int r = put_position(w, position);
        if (r != 0)
            return r;
        cut(&w->place, place);
        last = position;
    }
    if (is_ring && n < 4)
        return refuse(w, "is a ring of fewer than four positions");
    if (n < 2)
        return refuse(w, "is a line of fewer than two positions");
    if (is_ring && !same_position(positions->child, last))
        return refuse(w, "is a ring whose last position is not its first");
    set_count(w, count_at, n);
    return 0;
}

static int put_rings(struct writer *w, const cJSON *rings)
{
    if (!cJSON_IsArray(rings) || !rings->child)
        return refuse(w, "is not an array of rings");
    put_u32(w, (uint32_t)cJSON_GetArraySize(rings));
    int n = 0;
    for (const cJSON *ring = rings->child; ring; ring = ring->next, n++) {
        size_t place = push_place(w, NULL, n);
        int r = put_positions(w, ring, true);
        if (r != 0)
            return r;
        cut(&w->place, place);
    }
    return 0;
}

/* A point, a line or a polygon, without its type. */
static int put_simple(struct writer *w, uint32_t type, const cJSON *coordinates)
{
    if (type == WKB_POINT)
        return put_position(w, coordinates);
    if (type == WKB_LINESTRING)
        return put_positions(w, coordinates, false);
    return put_rings(w, coordinates);
}

static int put_multi(struct writer *w, const struct shape *shape, const cJSON *coordinates)
{
    if (!cJSON_IsArray(coordinates) || !coordinates->child)
        return refuse(w, "is not an array with at least one part");
    put_u32(w, (uint32_t)cJSON_GetArraySize(coordinates));
    int n = 0;
    for (const cJSON *part = coordinates->child; part; part = part->next, n++) {
        size_t place = push_place(w, NULL, n);
        put_type(w, shape->parts, false);
        int r = put_simple(w, shape->parts, part);
        if (r != 0)
            return r;
        cut(&w->place, place);
    }
    return 0;
}

static const cJSON *coordinates_of(const struct writer *w, const cJSON *geometry)
{
    const cJSON *coordinates = json_get(geometry, "coordinates");
    return json_kept_text(coordinates) ? w->coordinates : coordinates;
}

/* The type and coordinates of all geometries but a collection. */
static int put_shape(struct writer *w, const cJSON *geometry, const char *type, bool outermost)
{
    for (size_t i = 0; i < N_ELEMENTS(shapes); i++) {
        if (strcmp(type, shapes[i].name) != 0)
            continue;
        const cJSON *coordinates = coordinates_of(w, geometry);
        put_type(w, shapes[i].wkb, outermost);
        size_t place = push_place(w, "coordinates", -1);
        int r = shapes[i].parts ? put_multi(w, &shapes[i], coordinates) : put_simple(w, shapes[i].wkb, coordinates);
        if (r == 0)
            cut(&w->place, place);
        return r;
    }
    return err_never(w->err, "invalid_geometry", "geometry%s%s has the type \"%.40s\", which is not one of GeoJSON's",
                     w->place.len ? "." : "", buf_str(&w->place), type);
}

static bool is_collection(const cJSON *geometry)
{
    const char *type = json_get_string(geometry, "type");
    return type && strcmp(type, "GeometryCollection") == 0;
}

static int put_member(struct writer *w, const cJSON *geometry, bool outermost)
{
    if (!cJSON_IsObject(geometry))
        return refuse(w, "is not an object");
    const char *type = json_get_string(geometry, "type");
    if (!type)
        return refuse(w, "has no type");
    /* PostGIS stores one, but ST_AsGeoJSON fails on it, and with it every pgstac search that finds the item. */
    if (is_collection(geometry))
        return refuse(w, "is a GeometryCollection inside another, which pgstac cannot return");
    return put_shape(w, geometry, type, outermost);
}

static int put_collection(struct writer *w, const cJSON *geometry)
{
    const cJSON *geometries = json_get(geometry, "geometries");
    if (!cJSON_IsArray(geometries) || !geometries->child)
        return refuse(w, "is a GeometryCollection without geometries");
    put_type(w, WKB_COLLECTION, true);
    put_u32(w, (uint32_t)cJSON_GetArraySize(geometries));
    int n = 0;
    for (const cJSON *member = geometries->child; member; member = member->next, n++) {
        size_t place = push_place(w, "geometries", n);
        int r = put_member(w, member, false);
        if (r != 0)
            return r;
        cut(&w->place, place);
    }
    return 0;
}

/* Whether any array of numbers in it has a third number. */
static bool any_z(const cJSON *json)
{
    for (const cJSON *child = json->child; child; child = child->next) {
        if (json_is_number(child))
            return child->next && child->next->next;
        if (child->child && any_z(child))
            return true;
    }
    return false;
}

/* If one position has Z, all have, as in PostGIS. Only coordinates count, not bbox or foreign members. */
static bool has_z(const struct writer *w, const cJSON *geometry)
{
    if (!is_collection(geometry)) {
        const cJSON *coordinates = coordinates_of(w, geometry);
        return coordinates && any_z(coordinates);
    }
    const cJSON *geometries = json_get(geometry, "geometries");
    for (const cJSON *member = geometries ? geometries->child : NULL; member; member = member->next)
        if (!is_collection(member) && has_z(w, member))
            return true;
    return false;
}

/* ---------------------------------------------------- coordinates kept as text */

/* The parts of an array of coordinates, by the type of the geometry. */
static const struct level {
    uint32_t part;
    uint32_t least; /* parts */
    bool is_typed;  /* each part begins with its type */
} levels[] = {
    [WKB_RING] = { WKB_POINT, 4, false },
    [WKB_LINESTRING] = { WKB_POINT, 2, false },
    [WKB_POLYGON] = { WKB_RING, 1, false },
    [WKB_MULTIPOINT] = { WKB_POINT, 1, true },
    [WKB_MULTILINESTRING] = { WKB_LINESTRING, 1, true },
    [WKB_MULTIPOLYGON] = { WKB_POLYGON, 1, true },
};

static void skip_space(const char **at)
{
    while (**at == ' ' || **at == '\t' || **at == '\r' || **at == '\n')
        (*at)++;
}

static bool skip(const char **at, char c)
{
    skip_space(at);
    bool found = **at == c;
    *at += found;
    return found;
}

/* From here on false means that the text is wrong or unusual. put_tree finds out which. */
static bool copy_position(struct writer *w, const char **at)
{
    int n = 0;
    if (!skip(at, '['))
        return false;
    do {
        skip_space(at);
        if (**at != '-' && (**at < '0' || **at > '9'))
            return false;
        double ordinate = num_nearest_double(*at, at);
        if (!isfinite(ordinate))
            return false;
        put_double(w, ordinate);
        n++;
    } while (skip(at, ','));
    return skip(at, ']') && n == (w->has_z ? 3 : 2);
}

static bool copy_text(struct writer *w, const char **at, uint32_t type)
{
    if (type == WKB_POINT)
        return copy_position(w, at);
    const struct level *level = &levels[type];
    size_t count_at = w->out->len, part_size = 0;
    uint32_t n = 0;
    if (!skip(at, '['))
        return false;
    put_u32(w, 0);
    do {
        if (level->is_typed)
            put_type(w, level->part, false);
        part_size = w->out->len;
        if (!copy_text(w, at, level->part))
            return false;
        part_size = w->out->len - part_size;
        n++;
    } while (skip(at, ','));
    if (!skip(at, ']') || n < level->least || buf_failed(w->out))
        return false;
    const char *first = w->out->data + count_at + 4;
    set_count(w, count_at, n);
    return type != WKB_RING || memcmp(first, w->out->data + w->out->len - part_size, part_size) == 0;
}

/* For speed: converts the usual geometry from the text of its coordinates. All positions have two ordinates, or three.
 */
static bool put_text(struct writer *w, const cJSON *geometry, const char *text)
{
    const char *type = json_get_string(geometry, "type"), *at = text;
    size_t commas = 0, len = w->out->len;
    for (const char *c = text; *c && *c != ']'; c++)
        commas += *c == ',';
    w->has_z = commas == 2;
    for (size_t i = 0; type && i < N_ELEMENTS(shapes); i++) {
        if (strcmp(type, shapes[i].name) != 0)
            continue;
        (void)buf_reserve(w->out, strlen(text)); /* so that the buffer seldom grows */
        put_type(w, shapes[i].wkb, true);
        if (copy_text(w, &at, shapes[i].wkb))
            return true;
    }
    cut(w->out, len);
    return false;
}

static void clear_writer(struct writer *w)
{
    buf_clear(&w->place);
    cJSON_Delete(w->coordinates);
}

/* Converts every geometry, and makes every error. */
static int put_tree(struct writer *w, const cJSON *geometry, const char *text)
{
    int r = text ? json_parse(text, strlen(text), &w->coordinates, w->err) : 0;
    if (r != 0)
        return r;
    w->has_z = has_z(w, geometry);
    return is_collection(geometry) ? put_collection(w, geometry) : put_member(w, geometry, true);
}

int geometry_to_ewkb(const cJSON *geometry, struct buf *ret, struct err *err)
{
    cleanup(clear_writer) struct writer w = { .out = ret, .err = err, .place = BUF_INIT };
    const char *text = json_kept_text(json_get(geometry, "coordinates"));
    int r = text && put_text(&w, geometry, text) ? 0 : put_tree(&w, geometry, text);
    return r == 0 && buf_failed(ret) ? err_no_memory(err) : r;
}
