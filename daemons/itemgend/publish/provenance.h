/*
 * provenance: records in an item which package made it, with the STAC processing extension.
 *
 * https://github.com/stac-extensions/processing: "processing:software" in the properties maps names of programs to
 * their versions, and stac_extensions lists the schema of the extension.
 */
#ifndef ITEMGEND_PROVENANCE_H
#define ITEMGEND_PROVENANCE_H

#include "base/json.h"

/*
 * Adds package and version to properties["processing:software"], and keeps its other members. Adds the URL of the
 * schema to stac_extensions, unless it lists some version of the schema. `item` is any object: properties that are not
 * an object, and stac_extensions that are not a list, stay as they are. < 0: no memory; the item may be half changed.
 */
int provenance_add(cJSON *item, const char *package, const char *version, struct err *err) must_check;

#endif
