/*
 * geometry: GeoJSON (RFC 7946) to EWKB with SRID 4326, as PostGIS's geometry_recv reads it.
 *
 * All seven types, two or three ordinates (of more the rest is dropped, as PostGIS's own ST_GeomFromGeoJSON
 * does); a geometry has Z where any position has. Rings must be closed and have four positions.
 */
#ifndef STAC_GEOMETRY_H
#define STAC_GEOMETRY_H

#include "base/json.h"

/* Appends the EWKB (little endian). NEVER: "invalid_geometry", naming the place ("coordinates[0][3]") and what is
 * wrong. */
int geometry_to_ewkb(const cJSON *geometry, struct buf *ret, struct err *err) must_check;

#endif
