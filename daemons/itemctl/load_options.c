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
    fputs(
        "itemctl load: load items or collections from files into pgstac\n\n"
        "Usage: itemctl load items [OPTION...] FILE...\n"
        "       itemctl load collections [OPTION...] FILE...\n\n"
        "Each FILE, or '-' for stdin, contains one document per line (ndjson), a JSON array, a FeatureCollection or\n"
        "documents that span lines. A file can have any size, a document up to 64 MiB.\n\n"
        "      --checkpoint FILE   record the progress in FILE; after an interruption the same command continues from\n"
        "                          there; FILE is removed at the end\n"
        "      --checkpoint-interval TIME\n"
        "                          how often to record the progress (default: 5s); this waits for open batches\n"
        "      --jobs N            number of connections for loading items, 1 to 64 (default: 2)\n"
        "      --json              print the summary as JSON\n"
        "      --missing-collection reject|retry|create\n"
        "                          if the collection of an item does not exist: reject the item (default), retry for\n"
        "                          30 s, or create a minimal collection\n"
        "      --no-wait           fail if the database is not available, instead of waiting for it\n"
        "      --published-at TIME publication time of the documents, in RFC 3339 or in ms since 1970 (default: now);\n"
        "                          a newer version in the catalog is kept\n"
        "      --rejects FILE      write rejected documents with the reason to FILE, which can be corrected and\n"
        "                          loaded again\n"
        "      --secret ARN|NAME   read the address and password of the database from Secrets Manager\n"
        "  -h, --help              print this help, and exit\n\n",
        stdout);
    fputs("Without --secret, libpq looks up the database: PGHOST, PGPORT, PGDATABASE, PGUSER, PGPASSWORD, PGSERVICE,\n"
          "~/.pgpass. Ctrl-C finishes the work in progress and stops; a second one stops at once.\n\n"
          "Exit status: 0 all documents are loaded, 1 failed (stderr has the reason), 2 some documents were rejected,\n"
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
                   : complain("--checkpoint-interval: expected a duration from 10ms to 1h, for example 5s, got '%s'",
                              optarg);
    case 'j':
        return num_parse_i64(optarg, 1, 64, &ret->jobs, NULL) == 0
                   ? LOAD_RUN
                   : complain("--jobs: expected a number from 1 to 64, got '%s'", optarg);
    case 'J':
        ret->json = true;
        return LOAD_RUN;
    case 'm':
        return parse_missing(optarg, &ret->missing_collection)
                   ? LOAD_RUN
                   : complain("--missing-collection: '%s' is not one of reject, retry, create", optarg);
    case 'n':
        ret->no_wait = true;
        return LOAD_RUN;
    case 'p':
        return parse_time(optarg, &ret->published_at_ms)
                   ? LOAD_RUN
                   : complain("--published-at: expected a time like 2021-01-01T00:00:00Z or ms since 1970, got '%s'",
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
        fputs("Try 'itemctl load --help'.\n", stderr); /* getopt has printed the error */
        return LOAD_USAGE;
    }
}

static enum load_action parse_operands(int n, char **operands, struct load_options *ret)
{
    if (n == 0 || (strcmp(operands[0], "items") != 0 && strcmp(operands[0], "collections") != 0))
        return complain("expected 'items' or 'collections'%s%s", n > 0 ? ", got " : "", n > 0 ? operands[0] : "");
    ret->collections = *operands[0] == 'c';
    ret->paths = operands + 1;
    ret->n_paths = (size_t)n - 1;
    if (n == 1)
        return complain("expected a FILE, or '-' for stdin");
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
