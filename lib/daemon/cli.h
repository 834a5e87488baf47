/* cli: a daemon's command line. */
#ifndef DAEMON_CLI_H
#define DAEMON_CLI_H

#include "daemon/config_print.h"
#include "daemon/service.h"

struct cli {
    enum cli_action {
        CLI_RUN,
        CLI_HELP,
        CLI_HELP_CONFIG,
        CLI_HELP_METRICS,
        CLI_VERSION,
        CLI_CHECK,
        CLI_PREPARE,
        CLI_HEALTH
    } action;
    const char *config_path;   /* --config; NULL: not given */
    enum config_format format; /* of --help-config */
};

/* False: wrong usage, which was reported on stderr. */
bool cli_parse(const struct daemon *daemon, int argc, char **argv, struct cli *ret);
/* Performs any action except CLI_RUN. Prints to stdout, and errors of the configuration to stderr. Returns the
 * exit code. */
int cli_answer(const struct daemon *daemon, const struct cli *cli, const struct config_source *source);

#endif
