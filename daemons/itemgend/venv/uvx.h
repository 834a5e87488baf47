/*
 * uvx: makes an item by the original's command, which resolves and imports everything for each item (runner: uvx).
 */
#ifndef ITEMGEND_UVX_H
#define ITEMGEND_UVX_H

#include "itemgend/sandbox/command_result.h"
#include "itemgend/options.h"
#include "itemgend/sandbox/sandbox.h"

struct uvx_job {
    const struct itemgend_options *options;
    const struct sandbox *sandbox;
    const char *requirement;      /* NULL: stactools alone */
    const char *const *arguments; /* of the command `stac`; ends with NULL */
    const char *const *variables; /* "NAME=value", more for the item's environment; ends with NULL; NULL: none */
    const char *directory;        /* the item's */
    const struct limits *limits;
    int stop_fd;
};

/*
 * Runs `uvx --with WITH,REQUIREMENT --from stactools stac ARGUMENTS`. 0: it ran, see the result. NEVER, LATER: it did
 * not come to that, as uv_error.h tells; LATER, an outage: "cannot_run" (no uvx), "no_environment" (not even without
 * the package).
 */
int uvx_run(const struct uvx_job *job, struct command_result *ret, struct err *err) must_check;

#endif
