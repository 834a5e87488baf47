/*
 * geometry: converts GeoJSON (RFC 7946) to EWKB with SRID 4326, which PostGIS's geometry_recv reads.
 *
 * - All seven types. Positions have two or three ordinates; further ones are dropped, as ST_GeomFromGeoJSON does.
 * - If any position has Z, the geometry has: the other positions get 0.
 * - Rings must be closed and have at least four positions.
 * - A member "crs", which RFC 7946 removed, is ignored.
 *
 * PostGIS accepts two kinds of geometry that are refused here. One without positions says no more than null, which
 * pgstac cannot store. On a GeometryCollection inside another, ST_AsGeoJSON fails, and with it every pgstac search that
 * finds the item.
 *
 * Usual coordinates that stac_item_parse left as text are converted without making a tree.
 */
#ifndef STAC_GEOMETRY_H
#define STAC_GEOMETRY_H

#include "base/json.h"

/* Appends the EWKB (little endian). NEVER: "invalid_geometry", which names the place ("coordinates[0][3]") and the
 * problem. */
int geometry_to_ewkb(const cJSON *geometry, struct buf *ret, struct err *err) must_check;

#endif
