/* load_options: parses the command line of `itemctl load`. */
#ifndef ITEMCTL_LOAD_OPTIONS_H
#define ITEMCTL_LOAD_OPTIONS_H

#include "pgstac/pgstac.h"

struct load_options {
    bool collections; /* else items */
    char **paths;     /* "-": stdin */
    size_t n_paths;
    int64_t jobs;
    int64_t published_at_ms; /* 0: not given */
    enum missing_collection missing_collection;
    const char *secret;     /* NULL: libpq looks up the database */
    const char *rejects;    /* NULL: none */
    const char *checkpoint; /* NULL: none */
    int64_t checkpoint_interval_ms;
    bool no_wait, json;
};

enum load_action { LOAD_RUN, LOAD_SHOWN /* help */, LOAD_USAGE /* the error is on stderr */ };

enum load_action load_options_parse(int argc, char **argv, struct load_options *ret);

#endif
