/*
 * provenance: an item tells which package made it, in the terms of the STAC processing extension.
 *
 * https://github.com/stac-extensions/processing: "processing:software" among the properties maps the names of programs
 * to their versions, and the extension's schema is listed in stac_extensions.
 */
#ifndef ITEMGEND_PROVENANCE_H
#define ITEMGEND_PROVENANCE_H

#include "base/json.h"

/*
 * Adds package and version to properties["processing:software"], whose other members stay, and the schema's URL to
 * stac_extensions unless some version of it is there. `item` is any object: where its properties are no object, or its
 * stac_extensions no list, they are left for whoever checks the item. < 0: no memory; then it may be half done.
 */
int provenance_add(cJSON *item, const char *package, const char *version, struct err *err) must_check;

#endif
