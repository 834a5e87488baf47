/*
 * environment: the virtual environments that packages run in, built by uv, shared and kept.
 *
 * One for each requirement together with all that decides what is installed for it (`with`, constraints, Python,
 * indexes, source_builds). It is built once however many threads and processes wait, kept across restarts, made anew in
 * the background when it is older than environment_ttl, and removed when it was used longest ago and cache_limit is
 * exceeded, never while it is in use. One that lies in prepared_dir is used as it is. Its files are hard links into
 * uv's cache: nobody may write into them.
 *
 * No code of a package runs while its environment is made, but where source_builds allows it, and then in the sandbox.
 */
#ifndef ITEMGEND_ENVIRONMENT_H
#define ITEMGEND_ENVIRONMENT_H

#include "base/json.h"
#include "itemgend/options.h"

struct environments; /* those of one run of the service; thread-safe */
struct sandbox;

struct environment {           /* immutable for who uses it */
    const char *requirement;   /* as requested, but for its name, which is normalized */
    const char *directory;     /* of the virtual environment, absolute; a refreshed one has another */
    const char *python;        /* DIRECTORY/bin/python */
    const char *python_prefix; /* sys.base_prefix of the interpreter behind it: a sandbox must show it */
    const char *package;       /* the requirement's normalized name */
    const char *version;       /* that is installed */

    /* Of environments and of environment_store alone. */
    int64_t built_at_ms;
    char *build;      /* the directory that holds all of it */
    cJSON *json;      /* what the above point into */
    int mark_fd;      /* its mark, locked while there are users */
    size_t users;     /* in this process */
    bool is_prepared; /* lies in prepared_dir: it stays as it is */
    bool is_compiled; /* or was tried to be */
    bool retired;     /* another one has taken its place, or it is gone */
};

enum {
    ENVIRONMENT_WAIT_MS = 22 * 60 * 1000, /* no environments_use takes longer: LATER "environment_slow" */
};

/*
 * `options` and `sandbox` (NULL: builds run without one) outlive it. Starts a thread that builds the environments of
 * `packages`, refreshes and evicts; what it cannot do is a warning in the log. < 0 only.
 */
int environments_open(const struct itemgend_options *options, const struct sandbox *sandbox, struct environments **ret,
                      struct err *err) must_check;
/* Ends a build that the thread has under way. All environments have been released. NULL is allowed. */
void environments_close(struct environments *environments);

/*
 * The environment of a requirement (that requirement_check has passed), which is one for all spellings of its name:
 * takes what is there, builds it, or waits for who builds it, and then shares its result, good or bad. Ends early when
 * `stop_fd` becomes readable: LATER "interrupted". NEVER: "unresolvable" (with uv's last lines), "needs_source_build",
 * "environment_failed"; LATER: "environment_slow"; LATER, an outage: "registry_unavailable", "no_environment" (not even
 * without the package: no Python, no space), "cannot_run" (no uv).
 */
int environments_use(struct environments *environments, const char *requirement, int stop_fd, struct environment **ret,
                     struct err *err) must_check;
/* Holds once more what is held: it is released as often as it was used and held. */
void environments_hold(struct environments *environments, struct environment *environment);
/* NULL is allowed. */
void environments_release(struct environments *environments, struct environment *environment);

#endif
