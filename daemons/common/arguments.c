#include "common/arguments.h"

#include <errno.h>
#include <getopt.h>
#include <stdio.h>
#include <sysexits.h>

#include "common/health.h"

static const struct option long_options[] = {
    { "config", required_argument, NULL, 'c' },
    { "check-config", no_argument, NULL, ARGUMENTS_CHECK },
    { "help", no_argument, NULL, 'h' },
    { "help-config", no_argument, NULL, ARGUMENTS_HELP_CONFIG },
    { "health", no_argument, NULL, ARGUMENTS_HEALTH },
    { "version", no_argument, NULL, 'V' },
    { "prepare", no_argument, NULL, ARGUMENTS_PREPARE },
    { NULL, 0, NULL, 0 },
};

static bool complain(const struct daemon *daemon)
{
    fprintf(stderr, "Try '%s --help'.\n", daemon->name);
    return false;
}

bool arguments_parse(const struct daemon *daemon, int argc, char **argv, struct arguments *ret)
{
    *ret = (struct arguments){ .action = ARGUMENTS_RUN };
    int option;
    while ((option = getopt_long(argc, argv, "c:hV", long_options, NULL)) != -1) {
        if (option == 'c')
            ret->config_path = optarg;
        else if (option == '?')
            return complain(daemon);
        else
            ret->action = option == 'h'   ? ARGUMENTS_HELP
                          : option == 'V' ? ARGUMENTS_VERSION
                                          : (enum arguments_action)option;
    }
    if (ret->action == ARGUMENTS_PREPARE && !daemon->prepare) {
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
        "  -c, --config FILE   the configuration (default: %s, if it is there)\n"
        "      --check-config  print the configuration in force and where each value comes from, and exit\n"
        "      --health        ask the daemon that runs with this configuration how it is, and exit: 0 healthy,\n"
        "                      1 not (metrics_address must be set)\n"
        "%s"
        "      --help-config   print each key of the configuration with its default, and exit\n"
        "  -h, --help          print this, and exit\n"
        "  -V, --version       print the version, and exit\n\n",
        name, daemon->summary, name, name, daemon->prepare ? " | --prepare" : "", daemon->default_config,
        daemon->prepare ? "      --prepare       make the environments of `packages` in prepared_dir, and exit\n" : "");
    buf_printf(ret,
               "Each key can be given by an environment variable instead, %s_KEY; it wins over the file.\n"
               "SIGTERM and SIGINT finish what is under way and stop, a second one stops at once; SIGHUP reads the\n"
               "configuration again. Lines go to the journal, else as JSON to stdout.\n\n"
               "Exit status: 0 stopped as asked, 1 failed (the last lines say why), 64 wrong usage,\n"
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

/* What is in force beside the configuration, as comments: the whole stays readable as a configuration. False: the
 * daemon could not start. */
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

static int prepare(const struct daemon *daemon, const struct config_source *source)
{
    auto_buf struct buf errors = BUF_INIT, text = BUF_INIT;
    auto_free void *config = calloc(1, daemon->schema->size);
    struct config_source incomplete = *source;
    incomplete.may_be_incomplete = true;
    int result = config ? config_load(daemon->schema, &incomplete, config, &errors) : -ENOMEM;
    if (result != 0) {
        fputs(result < 0 ? strerror(-result) : buf_str(&errors), stderr);
        return result < 0 ? 1 : EX_CONFIG;
    }
    struct err err = ERR_INIT;
    result = daemon->prepare(config, &text, &err);
    config_clear(daemon->schema, config);
    if (result != 0)
        fprintf(stderr, "%s: %s\n", daemon->name, err.text);
    return print(&text) != 0 || result != 0;
}

static int check_config(const struct daemon *daemon, const struct config_source *source)
{
    auto_buf struct buf errors = BUF_INIT, text = BUF_INIT;
    auto_free void *config = calloc(1, daemon->schema->size);
    auto_free struct config_origin *origins = calloc(daemon->schema->n_keys + 1, sizeof(*origins));
    if (!config || !origins)
        return 1;
    struct config_source with_origins = *source;
    with_origins.origins = origins;
    int result = config_load(daemon->schema, &with_origins, config, &errors);
    if (result != 0) {
        fputs(result < 0 ? strerror(-result) : buf_str(&errors), stderr);
        return result < 0 ? 1 : EX_CONFIG;
    }
    config_print(daemon->schema, &with_origins, config, &text);
    bool can_start = add_description(daemon, config, &text);
    config_clear(daemon->schema, config);
    int code = print(&text);
    return can_start ? code : 1;
}

int arguments_answer(const struct daemon *daemon, const struct arguments *arguments, const struct config_source *source)
{
    auto_buf struct buf text = BUF_INIT;
    switch (arguments->action) {
    case ARGUMENTS_HELP:
        add_help(daemon, &text);
        break;
    case ARGUMENTS_HELP_CONFIG:
        config_print_help(daemon->schema, &text);
        break;
    case ARGUMENTS_VERSION:
        buf_printf(&text, "%s " VERSION "\n", daemon->name);
        break;
    case ARGUMENTS_CHECK:
        return check_config(daemon, source);
    case ARGUMENTS_PREPARE:
        return prepare(daemon, source);
    case ARGUMENTS_HEALTH:
        return health_check(daemon, source);
    case ARGUMENTS_RUN:
        break;
    }
    return print(&text);
}
