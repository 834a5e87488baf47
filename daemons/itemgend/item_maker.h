/*
 * item_maker: makes one item: runs the package's create-item command, then reads and checks the item's file.
 */
#ifndef ITEMGEND_ITEM_MAKER_H
#define ITEMGEND_ITEM_MAKER_H

#include "itemgend/request/packages.h"
#include "itemgend/request/request.h"
#include "itemgend/sandbox/sandbox.h"

struct item_maker; /* one per run, shared by its workers; thread-safe */

/* The arguments outlive it. NEVER: "helper_missing". */
int item_maker_open(const struct itemgend_options *options, const struct sandbox *sandbox,
                    const struct packages *packages, struct item_maker **ret, struct err *err) must_check;
/* Call it when no item_maker_make is running. NULL is allowed. */
void item_maker_close(struct item_maker *maker);

struct made_item {
    struct buf text; /* the item as it is published */
    char *item_id, *collection;
    int64_t duration_ms, peak_memory;
};
#define MADE_ITEM_INIT   \
    {                    \
        .text = BUF_INIT \
    }
void made_item_clear(struct made_item *item);
#define auto_made_item cleanup(made_item_clear)

/* The longest time that item_maker_make takes: building an environment, importing the package, making the item. */
int64_t item_maker_patience_ms(const struct item_maker *maker, const struct request *request);

/*
 * Runs `stac GROUP create-item --OPTION=VALUE -- ARGS FILE` of the package, in the sandbox and in a private directory
 * that is removed afterwards. Package code sees the variables of variables.h and `variables` ("NAME=value", ends with
 * NULL; NULL: none), and no other credentials. It ends when `stop_fd` becomes readable: LATER "interrupted".
 *
 * - NEVER: those of venv_cache.h, forkserver_pool.h, uvx.h and command_result.h, and "no_item", "item_too_large",
 *   "invalid_json", "invalid_item", "no_collection".
 * - LATER: those of the same headers, such as "create_item_failed", "time_limit" and "server_died".
 * - LATER, an outage, because every request would meet it: "registry_unavailable", "no_environment", "cannot_run",
 *   "work_dir_unusable".
 */
int item_maker_make(struct item_maker *maker, const struct request *request, const char *const *variables, int stop_fd,
                    struct made_item *ret, struct err *err) must_check;

#endif
