/*
 * generate: makes one item: runs the package's create-item command, reads and checks what it wrote.
 */
#ifndef ITEMGEND_GENERATE_H
#define ITEMGEND_GENERATE_H

#include "itemgend/request/packages.h"
#include "itemgend/request/request.h"
#include "itemgend/sandbox/sandbox.h"

struct generate; /* what the makers of items share in one run of the service; thread-safe */

/* All that is given outlives it. NEVER: "helper_missing". */
int generate_open(const struct itemgend_options *options, const struct sandbox *sandbox,
                  const struct packages *packages, struct generate **ret, struct err *err) must_check;
/* No generate_item is under way. NULL is allowed. */
void generate_close(struct generate *generate);

struct generated {
    struct buf text; /* the item as it is to be published */
    char *item_id, *collection;
    int64_t duration_ms, peak_memory;
};
#define GENERATED_INIT   \
    {                    \
        .text = BUF_INIT \
    }
void generated_clear(struct generated *generated);
#define auto_generated cleanup(generated_clear)

/* How long generate_item may take in all, ms: building an environment, importing, the item. */
int64_t generate_patience_ms(const struct generate *generate, const struct request *request);

/*
 * Runs `stac GROUP create-item ARGS --OPTION=VALUE FILE` of the package in a private directory that is removed
 * afterwards, in the sandbox, with an environment that holds no credentials but `variables` ("NAME=value"; ends with
 * NULL; NULL: none). `stop_fd` readable: ended, LATER "interrupted". NEVER: what environment.h, servers.h, uvx.h and
 * command_result.h have, "no_item", "item_too_large", "invalid_json", "invalid_item", "no_collection". LATER: the same
 * headers' "create_item_failed", "time_limit", "server_died" and so on; with outage, for every request would meet them:
 * "registry_unavailable", "no_environment", "cannot_run", "work_dir_unusable".
 */
int generate_item(struct generate *generate, const struct request *request, const char *const *variables, int stop_fd,
                  struct generated *ret, struct err *err) must_check;

#endif
