#include "itemctl/load_options.h"

#include <getopt.h>
#include <stdarg.h>
#include <stdio.h>

#include "base/num.h"
#include "base/time.h"

static const struct option long_options[] = {
    { "checkpoint", required_argument, NULL, 'c' },
    { "checkpoint-interval", required_argument, NULL, 'i' },
    { "help", no_argument, NULL, 'h' },
    { "jobs", required_argument, NULL, 'j' },
    { "json", no_argument, NULL, 'J' },
    { "missing-collection", required_argument, NULL, 'm' },
    { "no-wait", no_argument, NULL, 'n' },
    { "published-at", required_argument, NULL, 'p' },
    { "rejects", required_argument, NULL, 'r' },
    { "secret", required_argument, NULL, 's' },
    { NULL, 0, NULL, 0 },
};

static void print_help(void)
{
    fputs("itemctl load: put items or collections from files into pgstac\n\n"
          "Usage: itemctl load items [OPTION...] FILE...\n"
          "       itemctl load collections [OPTION...] FILE...\n\n"
          "Each FILE, or '-' for stdin, holds documents one per line (ndjson), a JSON array, a FeatureCollection, or\n"
          "documents over many lines. It may be of any size, each document up to 64 MiB.\n\n"
          "      --checkpoint FILE   remember there how far the input is committed; after an interruption the same\n"
          "                          command goes on from there; removed at the end\n"
          "      --checkpoint-interval TIME\n"
          "                          how often (default: 5s); each waits until no batch is under way\n"
          "      --jobs N            connections that items are loaded over, 1 to 64 (default: 2)\n"
          "      --json              print the summary as JSON\n"
          "      --missing-collection reject|retry|create\n"
          "                          what becomes of an item whose collection is not in the catalog: rejected\n"
          "                          (default), tried again for half a minute, or a minimal collection is made\n"
          "      --no-wait           fail when the database cannot be had, instead of waiting for it\n"
          "      --published-at TIME the time of these versions (RFC 3339, or ms since 1970; default: now); a newer\n"
          "                          version in the catalog stays\n"
          "      --rejects FILE      write what is rejected there with the reason; it can be mended and loaded again\n"
          "      --secret ARN|NAME   take the database's address and password from Secrets Manager\n"
          "  -h, --help              print this, and exit\n\n",
          stdout);
    fputs("Without --secret the database is where libpq finds it: PGHOST, PGPORT, PGDATABASE, PGUSER, PGPASSWORD,\n"
          "PGSERVICE, ~/.pgpass. Ctrl-C finishes what is under way and stops, a second one stops at once.\n\n"
          "Exit status: 0 all is in, 1 could not go on (stderr says why), 2 some documents were rejected,\n"
          "64 wrong usage.\n\n"
          "Examples:\n"
          "  itemctl load collections collection.json\n"
          "  itemctl load items --checkpoint items.checkpoint --rejects rejects.ndjson items.ndjson\n"
          "  zcat items.ndjson.gz | itemctl load items --secret pgstac -\n",
          stdout);
}

printf_like(1, 2) static enum load_action complain(const char *format, ...)
{
    va_list args;
    va_start(args, format);
    fputs("itemctl load: ", stderr);
    vfprintf(stderr, format, args);
    va_end(args);
    fputs("\nTry 'itemctl load --help'.\n", stderr);
    return LOAD_USAGE;
}

static bool parse_time(const char *text, int64_t *ret_ms)
{
    int64_t us = 0;
    if (time_parse_rfc3339(text, &us)) {
        *ret_ms = us / 1000;
        return *ret_ms > 0;
    }
    return num_parse_i64(text, 1, INT64_C(253402300799999), ret_ms, NULL) == 0;
}

static bool parse_missing(const char *text, enum missing_collection *ret)
{
    static const char *const names[] = { "retry", "reject", "create" }; /* in the enum's order */
    for (size_t i = 0; i < N_ELEMENTS(names); i++)
        if (strcmp(text, names[i]) == 0) {
            *ret = (enum missing_collection)i;
            return true;
        }
    return false;
}

static enum load_action parse_option(int option, struct load_options *ret)
{
    switch (option) {
    case 'c':
        ret->checkpoint = optarg;
        return LOAD_RUN;
    case 'i':
        return num_parse_duration(optarg, 10, 3600000, &ret->checkpoint_interval_ms, NULL) == 0
                   ? LOAD_RUN
                   : complain("--checkpoint-interval: a time from 10ms to 1h was expected, like 5s, not '%s'", optarg);
    case 'j':
        return num_parse_i64(optarg, 1, 64, &ret->jobs, NULL) == 0
                   ? LOAD_RUN
                   : complain("--jobs: a number from 1 to 64 was expected, not '%s'", optarg);
    case 'J':
        ret->json = true;
        return LOAD_RUN;
    case 'm':
        return parse_missing(optarg, &ret->missing_collection)
                   ? LOAD_RUN
                   : complain("--missing-collection: reject, retry or create was expected, not '%s'", optarg);
    case 'n':
        ret->no_wait = true;
        return LOAD_RUN;
    case 'p':
        return parse_time(optarg, &ret->published_at_ms)
                   ? LOAD_RUN
                   : complain("--published-at: a time like 2021-01-01T00:00:00Z, or ms since 1970, was expected, not "
                              "'%s'",
                              optarg);
    case 'r':
        ret->rejects = optarg;
        return LOAD_RUN;
    case 's':
        ret->secret = optarg;
        return LOAD_RUN;
    case 'h':
        print_help();
        return LOAD_SHOWN;
    default:
        fputs("Try 'itemctl load --help'.\n", stderr); /* getopt has said what is wrong */
        return LOAD_USAGE;
    }
}

static enum load_action parse_operands(int n, char **operands, struct load_options *ret)
{
    if (n == 0 || (strcmp(operands[0], "items") != 0 && strcmp(operands[0], "collections") != 0))
        return complain("'items' or 'collections' was expected%s%s", n > 0 ? ", not " : "", n > 0 ? operands[0] : "");
    ret->collections = *operands[0] == 'c';
    ret->paths = operands + 1;
    ret->n_paths = (size_t)n - 1;
    if (n == 1)
        return complain("a FILE was expected, or '-' for stdin");
    int stdins = 0;
    for (size_t i = 0; i < ret->n_paths; i++)
        stdins += strcmp(ret->paths[i], "-") == 0;
    return stdins > 1 ? complain("stdin ('-') can be read only once") : LOAD_RUN;
}

enum load_action load_options_parse(int argc, char **argv, struct load_options *ret)
{
    *ret = (struct load_options){ .jobs = 2,
                                  .checkpoint_interval_ms = 5000,
                                  .missing_collection = MISSING_COLLECTION_REJECT };
    for (int option; (option = getopt_long(argc, argv, "h", long_options, NULL)) != -1;) {
        enum load_action action = parse_option(option, ret);
        if (action != LOAD_RUN)
            return action;
    }
    return parse_operands(argc - optind, argv + optind, ret);
}
