/* venv_command: the commands that build an environment. Internal to venv/. */
#ifndef ITEMGEND_VENV_COMMAND_H
#define ITEMGEND_VENV_COMMAND_H

#include "base/strv.h"
#include "itemgend/options.h"
#include "itemgend/sandbox/command.h"

struct sandbox;

enum { VENV_COMMAND_TIME_MS = 10 * 60 * 1000 }; /* of all commands of one build together */

/* An environment that is being built. */
struct venv_command {
    struct itemgend_options options; /* the configuration, except cache_dir: the cache of uv */
    const struct sandbox *sandbox;   /* the next commands run in it; NULL: they run no package code */
    const char *requirement;
    int stop_fd;
    int64_t deadline_ms; /* time_mono_ms() */
    int niceness;        /* of Python */
    bool is_prepared;    /* in prepared_dir */
    char *directory, *venv, *temporary, *cache;
    char *uv;            /* the program's real path */
    char *interpreter;   /* the real path of the venv's python */
    char *python_prefix; /* sys.base_prefix of the interpreter */
};

void venv_command_clear(struct venv_command *build);

/*
 * Runs a program; `argv` has its name and arguments. 0: it exited; check the exit code. LATER: "interrupted",
 * "environment_slow", "environment_failed" (killed by a signal); LATER, an outage: "cannot_run". NEVER:
 * "environment_failed" (it met a limit).
 */
int venv_command_run(const struct venv_command *build, const struct strv *argv, struct command_result *ret,
                     struct err *err) must_check;

/* Runs a Python script with the venv and the requirement as its arguments. Results: those of venv_command_run, and
 * NEVER "environment_failed" if the exit code is not 0. */
int venv_command_python(const struct venv_command *build, const char *script, struct command_result *ret,
                        struct err *err) must_check;

/* The last line of the output, without its newline. The caller frees it. NULL: no memory. */
char *venv_command_last_line(struct buf *output) must_check;

#endif
