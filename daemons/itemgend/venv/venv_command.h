/* environment_command: an environment in the making, and the commands that are run for it. Internal to environment. */
#ifndef ITEMGEND_ENVIRONMENT_COMMAND_H
#define ITEMGEND_ENVIRONMENT_COMMAND_H

#include "itemgend/sandbox/command.h"
#include "itemgend/venv/venv_cache.h"
#include "base/strv.h"

enum { ENVIRONMENT_COMMAND_TIME_MS = 10 * 60 * 1000 }; /* for all commands of one build together */

struct environment_command {
    struct itemgend_options options; /* as they are, but for cache_dir: uv's own cache */
    const struct sandbox *sandbox;   /* what is run from now on is run in it; NULL: no stranger's code is run */
    const char *requirement;
    int stop_fd;
    int64_t deadline_ms; /* time_mono_ms() */
    int niceness;        /* of Python */
    bool is_prepared;    /* lies in prepared_dir */
    char *directory, *venv, *temporary, *cache;
    char *uv;            /* the program's real path */
    char *interpreter;   /* behind the venv's python */
    char *python_prefix; /* its sys.base_prefix */
};

void environment_command_clear(struct environment_command *build);

/*
 * `program`: its words. 0: it came to an end by itself, see its exit code. LATER: "interrupted", "environment_slow",
 * "environment_failed" (killed), an outage "cannot_run"; NEVER: "environment_failed" (it took too much).
 */
int environment_command_run(const struct environment_command *build, const struct strings *program,
                            struct command_result *ret, struct err *err) must_check;

/* Has Python run a script with the venv and the requirement as its arguments. NEVER, "environment_failed", also where
 * the exit code is not 0. */
int environment_command_python(const struct environment_command *build, const char *script, struct command_result *ret,
                               struct err *err) must_check;

/* The one line that a program printed last, the caller's to free. */
char *environment_command_last_line(struct buf *output) must_check;

#endif
