/* collection: what a STAC Collection must have: type Collection, id, description, license, extent, links. */
#ifndef STAC_COLLECTION_H
#define STAC_COLLECTION_H

#include "base/json.h"

/* NEVER: "invalid_collection", naming each member. *ret_id points into `json`. */
int stac_collection_read(const cJSON *json, const char **ret_id, struct err *err) must_check;

#endif
