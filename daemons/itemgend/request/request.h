/* request: an ItemRequest, what a publisher sends to ItemGenTopic (docs/reference/messages.md). */
#ifndef ITEMGEND_REQUEST_H
#define ITEMGEND_REQUEST_H

#include "base/json.h"
#include "daemon/config.h"

struct request_option {
    const char *name, *value;
};

/* Everything points into `json`, which the request owns, but for the arrays. */
struct request {
    cJSON *json;
    const char *package_name;
    const char *group_name;
    const char **args;
    size_t n_args;
    struct request_option *options;
    size_t n_options;
    const char *collection_id; /* NULL: the item's own */
    struct buf unknown_keys;   /* "a, b": ignored, for a warning */
};
#define REQUEST_INIT \
    {                \
        .json = NULL \
    }
void request_clear(struct request *request);
#define auto_request cleanup(request_clear)

/*
 * NEVER: "invalid_json"; "invalid_request", naming each key that is missing or of the wrong type; "invalid_package",
 * "package_not_allowed". A group's and an option's name is a word that the command line cannot take for something else;
 * an argument is any text, and has to stand behind "--" there, as an option's value behind its "=".
 */
int request_parse(const char *text, size_t len, const struct config_list *allowed_packages, struct request *ret,
                  struct err *err) must_check;

#endif
