#include "daemon/cli.h"

#include <errno.h>
#include <getopt.h>
#include <stdio.h>
#include <sysexits.h>

#include "daemon/metrics.h"
#include "daemon/service_run.h"
#include "daemon/status.h"

static const struct option long_options[] = {
    { "config", required_argument, NULL, 'c' },
    { "check-config", no_argument, NULL, CLI_CHECK },
    { "help", no_argument, NULL, 'h' },
    { "help-config", optional_argument, NULL, CLI_HELP_CONFIG },
    { "help-metrics", no_argument, NULL, CLI_HELP_METRICS },
    { "health", no_argument, NULL, CLI_HEALTH },
    { "version", no_argument, NULL, 'V' },
    { "prepare", no_argument, NULL, CLI_PREPARE },
    { NULL, 0, NULL, 0 },
};

static bool complain(const struct daemon *daemon)
{
    fprintf(stderr, "Try '%s --help'.\n", daemon->name);
    return false;
}

bool cli_parse(const struct daemon *daemon, int argc, char **argv, struct cli *ret)
{
    *ret = (struct cli){ .action = CLI_RUN };
    const char *format = NULL;
    int option;
    while ((option = getopt_long(argc, argv, "c:hV", long_options, NULL)) != -1) {
        switch (option) {
        case 'c':
            ret->config_path = optarg;
            break;
        case 'h':
            ret->action = CLI_HELP;
            break;
        case 'V':
            ret->action = CLI_VERSION;
            break;
        case '?':
            return complain(daemon);
        default:
            ret->action = (enum cli_action)option;
            format = option == CLI_HELP_CONFIG ? optarg : format;
        }
    }
    if (format && !config_print_format(format, &ret->format)) {
        fprintf(stderr, "%s: --help-config: '%s' is not one of yaml, man, markdown\n", daemon->name, format);
        return complain(daemon);
    }
    if (ret->action == CLI_PREPARE && !daemon->prepare) {
        fprintf(stderr, "%s: unrecognized option '--prepare'\n", daemon->name);
        return complain(daemon);
    }
    if (optind < argc) {
        fprintf(stderr, "%s: unexpected argument '%s'\n", daemon->name, argv[optind]);
        return complain(daemon);
    }
    return true;
}

static void add_help(const struct daemon *daemon, struct buf *ret)
{
    const char *name = daemon->name, *prefix = daemon->schema->prefix;
    buf_printf(
        ret,
        "%s: %s\n\n"
        "Usage: %s [--config FILE]\n"
        "       %s [--config FILE] --check-config | --health%s\n\n"
        "  -c, --config FILE   configuration file (default: %s, if it exists)\n"
        "      --check-config  check the configuration, print each value and where it comes from, and exit\n"
        "      --health        ask the running daemon for its health, and exit: 0 healthy, 1 not healthy\n"
        "                      (metrics_address must be set)\n"
        "%s"
        "      --help-config[=FORMAT]\n"
        "                      print the documentation of all configuration keys, and exit; FORMAT: yaml, man or\n"
        "                      markdown (default: plain text)\n"
        "      --help-metrics  print the documentation of all metrics as a Markdown table, and exit\n"
        "  -h, --help          print this help, and exit\n"
        "  -V, --version       print the version, and exit\n\n",
        name, daemon->summary, name, name, daemon->prepare ? " | --prepare" : "", daemon->default_config,
        daemon->prepare ? "      --prepare       install the environments of `packages` into prepared_dir, and exit\n"
                        : "");
    buf_printf(ret,
               "The environment variable %s_KEY sets a configuration key and overrides the file.\n"
               "SIGTERM or SIGINT finishes the work in progress and stops; a second one stops at once. SIGHUP reloads\n"
               "the configuration. The log goes to the systemd journal, or else as JSON lines to stdout.\n\n"
               "Exit status: 0 stopped by a signal, 1 failed (see the end of the log), 64 wrong usage,\n"
               "78 wrong configuration.\n\n",
               prefix);
    buf_printf(ret,
               "Examples:\n"
               "  %s --config ./%s.yaml --check-config\n"
               "  %s_LOG_LEVEL=debug %s --config ./%s.yaml\n",
               name, name, prefix, name, name);
}

static int print(const struct buf *text)
{
    bool ok = !buf_failed(text) && fputs(buf_str(text), stdout) >= 0;
    return fflush(stdout) == 0 && ok ? 0 : 1;
}

/* Adds the lines of daemon->describe as comments, so that the output is a valid configuration. False: the daemon could
 * not start. */
static bool add_description(const struct daemon *daemon, const void *config, struct buf *ret)
{
    auto_buf struct buf text = BUF_INIT;
    bool can_start = !daemon->describe || daemon->describe(config, &text);
    char *rest = text.data;
    for (const char *line = strsep(&rest, "\n"); line; line = strsep(&rest, "\n"))
        if (*line)
            buf_printf(ret, "# %s\n", line);
    return can_start;
}

/* NULL: it cannot be used, which was reported on stderr; *ret_code is the exit code. */
static void *load(const struct daemon *daemon, const struct config_source *source, int *ret_code)
{
    auto_buf struct buf errors = BUF_INIT;
    void *config = calloc(1, daemon->schema->size);
    int result = config ? config_load(daemon->schema, source, config, &errors) : -ENOMEM;
    if (result == 0)
        return config;
    free(config);
    if (result < 0)
        fprintf(stderr, "%s: cannot load the configuration: %s\n", daemon->name, strerror(-result));
    else
        fputs(buf_str(&errors), stderr);
    *ret_code = result < 0 ? 1 : EX_CONFIG;
    return NULL;
}

static int prepare(const struct daemon *daemon, const void *config)
{
    auto_buf struct buf text = BUF_INIT;
    struct err err = ERR_INIT;
    int result = daemon->prepare(config, &text, &err);
    if (result != 0)
        fprintf(stderr, "%s: %s\n", daemon->name, err.text);
    return print(&text) != 0 || result != 0;
}

static int ask_health(const struct daemon *daemon, const void *config)
{
    const char *address = daemon_config_of(daemon, config)->metrics_address;
    if (address && *address)
        return status_ask(daemon->name, address);
    fprintf(stderr, "%s: metrics_address is not set; --health asks the daemon at this address\n", daemon->name);
    return EX_CONFIG;
}

/* --check-config, --prepare and --health. Only --check-config needs all keys. */
static int answer_with_config(const struct daemon *daemon, enum cli_action action, struct config_source source)
{
    auto_free struct config_origin *origins = calloc(daemon->schema->n_keys + 1, sizeof(*origins));
    source.origins = origins;
    source.may_be_incomplete = action != CLI_CHECK;
    int code = 1;
    void *config = origins ? load(daemon, &source, &code) : NULL;
    if (!config)
        return code;
    if (action == CLI_PREPARE) {
        code = prepare(daemon, config);
    } else if (action == CLI_HEALTH) {
        code = ask_health(daemon, config);
    } else {
        auto_buf struct buf text = BUF_INIT;
        config_print(daemon->schema, &source, config, &text);
        bool can_start = add_description(daemon, config, &text);
        code = print(&text) == 0 && can_start ? 0 : 1;
    }
    config_clear(daemon->schema, config);
    free(config);
    return code;
}

int cli_answer(const struct daemon *daemon, const struct cli *cli, const struct config_source *source)
{
    auto_buf struct buf text = BUF_INIT;
    switch (cli->action) {
    case CLI_HELP:
        add_help(daemon, &text);
        break;
    case CLI_HELP_CONFIG:
        config_print_help(daemon->schema, cli->format, &text);
        break;
    case CLI_HELP_METRICS:
        metrics_write_help(daemon, &text);
        break;
    case CLI_VERSION:
        buf_printf(&text, "%s " VERSION "\n", daemon->name);
        break;
    case CLI_CHECK:
    case CLI_PREPARE:
    case CLI_HEALTH:
        return answer_with_config(daemon, cli->action, *source);
    case CLI_RUN:
        break;
    }
    return print(&text);
}
