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
        ARGUMENTS_CHECK,
        ARGUMENTS_PREPARE,
        ARGUMENTS_HEALTH
    } action;
    const char *config_path; /* --config; NULL: not given */
};

/* False: the usage is wrong, and has been told on stderr. */
bool arguments_parse(const struct daemon *daemon, int argc, char **argv, struct arguments *ret);
/* Does what any action but ARGUMENTS_RUN asks for, on stdout; the errors of a configuration go to stderr. Returns the
 * exit code. */
int arguments_answer(const struct daemon *daemon, const struct arguments *arguments,
                     const struct config_source *source);

#endif
