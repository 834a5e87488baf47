/* collection: checks that a STAC Collection has type Collection, id, description, license, extent and links. */
#ifndef STAC_COLLECTION_H
#define STAC_COLLECTION_H

#include "base/json.h"

/* *ret_id points into `json`. NEVER: "invalid_collection", which names each missing or wrong member. */
int stac_collection_read(const cJSON *json, const char **ret_id, struct err *err) must_check;

#endif
