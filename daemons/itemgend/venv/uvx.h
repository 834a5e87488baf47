/* uvx: makes an item with the command uvx, which resolves and imports everything for each item (runner: uvx). */
#ifndef ITEMGEND_UVX_H
#define ITEMGEND_UVX_H

#include "itemgend/options.h"
#include "itemgend/sandbox/command_result.h"
#include "itemgend/sandbox/sandbox.h"

struct uvx_job {
    const struct itemgend_options *options;
    const struct sandbox *sandbox;
    const char *requirement;      /* NULL: stactools alone */
    const char *const *arguments; /* the command to run, and its arguments; ends with NULL */
    const char *directory;        /* the item's */
    const char *const *variables; /* "NAME=value", added to the item's environment; ends with NULL; NULL: none */
    const struct limits *limits;
    int stop_fd;
};

/*
 * Runs `uvx --with WITH,REQUIREMENT --from stactools ARGUMENTS`. 0: it ran; see the result. NEVER, LATER: uv could not
 * make the environment, see uv_error.h; LATER, an outage: "cannot_run" (no uvx), "no_environment" (it fails without
 * the package too).
 */
int uvx_run(const struct uvx_job *job, struct command_result *ret, struct err *err) must_check;

#endif
