/* request: an ItemRequest, the message that a publisher sends to ItemGenTopic (docs/reference/messages.md). */
#ifndef ITEMGEND_REQUEST_H
#define ITEMGEND_REQUEST_H

#include "base/json.h"
#include "daemon/config.h"

struct request_option {
    const char *name, *value;
};

/* The strings point into `json`; the request owns it and the arrays. */
struct request {
    cJSON *json;
    const char *package_name;
    const char *group_name;
    const char **args;
    size_t n_args;
    struct request_option *options;
    size_t n_options;
    const char *collection_id; /* NULL: the item's own */
    struct buf unknown_keys;   /* "a, b": ignored keys, for a warning */
};
#define REQUEST_INIT \
    {                \
        .json = NULL \
    }
void request_clear(struct request *request);
#define auto_request cleanup(request_clear)

/*
 * NEVER: "invalid_json"; "invalid_request", which names each missing or wrong key; "invalid_package",
 * "package_not_allowed".
 *
 * The names of a group and of an option are plain words: the command line cannot take them for anything else. Arguments
 * and option values can be any text, so the caller must write them after "--" and after "=".
 */
int request_parse(const char *text, size_t len, const struct config_list *allowed_packages, struct request *ret,
                  struct err *err) must_check;

#endif
