/*
 * geometry: GeoJSON (RFC 7946) to EWKB with SRID 4326, as PostGIS's geometry_recv reads it.
 *
 * All seven types, two or three ordinates (of more the rest is dropped, as PostGIS's own ST_GeomFromGeoJSON
 * does); a geometry has Z where any position has, and the others get 0. Rings must be closed and have four
 * positions. Refused although PostGIS takes them: a geometry without positions, which says no more than the null
 * that pgstac cannot hold; and a GeometryCollection inside another, because ST_AsGeoJSON fails on it and with
 * it every search of pgstac's that meets the item. A "crs" member, which RFC 7946 dropped, is ignored.
 *
 * Coordinates that stac_item_parse has left as text go into the EWKB without a tree, where they are as usual.
 */
#ifndef STAC_GEOMETRY_H
#define STAC_GEOMETRY_H

#include "base/json.h"

/* Appends the EWKB (little endian). NEVER: "invalid_geometry", naming the place ("coordinates[0][3]") and what is
 * wrong. */
int geometry_to_ewkb(const cJSON *geometry, struct buf *ret, struct err *err) must_check;

#endif
