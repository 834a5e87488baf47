#include "stac/collection.h"

#include <string.h>

/* Only the members that pgstac and STAC clients depend on. Validators check the rest of the specification. */
static const struct {
    const char *key;
    int type;
    const char *kind;
} members[] = {
    { "id", cJSON_String, "a string" },      { "description", cJSON_String, "a string" },
    { "license", cJSON_String, "a string" }, { "extent", cJSON_Object, "an object" },
    { "links", cJSON_Array, "an array" },
};

int stac_collection_read(const cJSON *json, const char **ret_id, struct err *err)
{
    auto_buf struct buf wrong = BUF_INIT;
    const char *type = json_get_string(json, "type");
    if (!type || strcmp(type, "Collection") != 0)
        buf_puts(&wrong, "type is not \"Collection\"");
    for (size_t i = 0; i < N_ELEMENTS(members); i++) {
        const cJSON *member = json_get(json, members[i].key);
        if (!member)
            buf_printf(&wrong, "%s%s is missing", wrong.len ? "; " : "", members[i].key);
        else if ((member->type & 0xff) != members[i].type)
            buf_printf(&wrong, "%s%s is %s, not %s", wrong.len ? "; " : "", members[i].key, json_kind(member),
                       members[i].kind);
    }
    const char *id = json_get_string(json, "id");
    if (id && !*id)
        buf_printf(&wrong, "%sid is empty", wrong.len ? "; " : "");
    if (buf_failed(&wrong))
        return err_no_memory(err);
    if (wrong.len)
        return err_never(err, "invalid_collection", "not a STAC collection: %s", buf_str(&wrong));
    *ret_id = id;
    return 0;
}
