#include "itemgend/publish/provenance.h"

#include <string.h>

static const char schema_start[] = "https://stac-extensions.github.io/processing/";
static const char schema[] = "https://stac-extensions.github.io/processing/v1.2.0/schema.json";

static int add_software(cJSON *properties, const char *package, const char *version, struct err *err)
{
    static const char key[] = "processing:software";
    int r = 0;
    if (!cJSON_IsObject(json_get(properties, key))) /* the extension allows nothing else there */
        r = json_set(properties, key, cJSON_CreateObject(), err);
    return r != 0 ? r : json_set(json_get(properties, key), package, cJSON_CreateString(version), err);
}

static bool is_listed(const cJSON *extensions)
{
    const cJSON *extension;
    cJSON_ArrayForEach(extension, extensions)
    {
        if (cJSON_IsString(extension) && strncmp(extension->valuestring, schema_start, strlen(schema_start)) == 0)
            return true;
    }
    return false;
}

static int add_extension(cJSON *item, struct err *err)
{
    static const char key[] = "stac_extensions";
    cJSON *extensions = json_get(item, key);
    if (!extensions || cJSON_IsNull(extensions)) {
        int r = json_set(item, key, cJSON_CreateArray(), err);
        if (r != 0)
            return r;
        extensions = json_get(item, key);
    }
    if (!cJSON_IsArray(extensions) || is_listed(extensions))
        return 0;
    cJSON *url = cJSON_CreateString(schema);
    if (url && cJSON_AddItemToArray(extensions, url))
        return 0;
    cJSON_Delete(url);
    return err_no_memory(err);
}

int provenance_add(cJSON *item, const char *package, const char *version, struct err *err)
{
    cJSON *properties = json_get(item, "properties");
    if (!cJSON_IsObject(properties))
        return 0;
    int r = add_software(properties, package, version, err);
    return r != 0 ? r : add_extension(item, err);
}
