/*
 * generate: makes one item: runs the package's create-item command, reads and checks what it wrote.
 */
#ifndef ITEMGEND_GENERATE_H
#define ITEMGEND_GENERATE_H

#include "itemgend/options.h"
#include "itemgend/request.h"

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

/*
 * Runs `uvx --with WITH,PACKAGE --from stactools stac GROUP create-item --OPTION=VALUE -- ARGS FILE` in a private
 * directory that is removed afterwards, with an environment that holds no credentials. `stop_fd` readable: ended, LATER
 * "interrupted". NEVER: "unresolvable", "bad_command" (group, option or argument unknown), "out_of_memory", "no_item",
 * "invalid_item", "no_collection", ... LATER: "create_item_failed" (its exit code and the end of its output),
 * "time_limit"; with outage, for every request would meet them: "registry_unavailable", "no_environment", "cannot_run"
 * (no uvx), "work_dir_unusable".
 */
int generate_item(const struct itemgend_options *options, const struct request *request, int stop_fd,
                  struct generated *ret, struct err *err) must_check;

#endif
