/* arguments: a daemon's command line. */
#ifndef COMMON_ARGUMENTS_H
#define COMMON_ARGUMENTS_H

#include "common/service.h"

struct arguments {
    enum arguments_action {
        ARGUMENTS_RUN,
        ARGUMENTS_HELP,
        ARGUMENTS_HELP_CONFIG,
        ARGUMENTS_VERSION,
        ARGUMENTS_CHECK
    } action;
    const char *config_path; /* --config; NULL: not given */
};

/* False: the usage is wrong, and has been told on stderr. */
bool arguments_parse(const struct daemon *daemon, int argc, char **argv, struct arguments *ret);
/* What --help prints. */
void arguments_help(const struct daemon *daemon, struct buf *ret);

#endif
