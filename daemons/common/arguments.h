/* arguments: a daemon's command line. */
#ifndef COMMON_ARGUMENTS_H
#define COMMON_ARGUMENTS_H

#include "common/config_print.h"
#include "common/service.h"

struct arguments {
    enum arguments_action {
        ARGUMENTS_RUN,
        ARGUMENTS_HELP,
        ARGUMENTS_HELP_CONFIG,
        ARGUMENTS_HELP_METRICS,
        ARGUMENTS_VERSION,
        ARGUMENTS_CHECK,
        ARGUMENTS_PREPARE,
        ARGUMENTS_HEALTH
    } action;
    const char *config_path;   /* --config; NULL: not given */
    enum config_format format; /* of --help-config */
};

/* False: wrong usage, which was reported on stderr. */
bool arguments_parse(const struct daemon *daemon, int argc, char **argv, struct arguments *ret);
/* Performs any action except ARGUMENTS_RUN. Prints to stdout, and errors of the configuration to stderr. Returns the
 * exit code. */
int arguments_answer(const struct daemon *daemon, const struct arguments *arguments,
                     const struct config_source *source);

#endif
