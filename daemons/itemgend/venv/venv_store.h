/*
 * venv_store: environments on disk. Internal to venv/.
 *
 *     ROOT/KEY/lock                          locked (flock) by whoever builds or removes anything in ROOT/KEY
 *     ROOT/KEY/build-XXXXXX/                 one build; never renamed
 *     ROOT/KEY/build-XXXXXX/venv/            the virtual environment
 *     ROOT/KEY/build-XXXXXX/environment.json its mark: the build is complete
 *     ROOT/KEY/build-XXXXXX/compiled         its modules are compiled
 *
 * - ROOT is CACHE_DIR/environments; CACHE_DIR must be absolute. KEY is a hash of all that decides what is installed.
 * - The mark is written last, by rename. A build without a mark in a folder that is not locked was killed.
 * - Each process that uses a build holds a shared lock on its mark. The mark's mtime is the time of the last use.
 * - A complete build does not change, except that bytecode is added.
 * - prepared_dir has the same layout and may be read-only: only shared locks are taken there.
 */
#ifndef ITEMGEND_VENV_STORE_H
#define ITEMGEND_VENV_STORE_H

#include "base/json.h"
#include "itemgend/options.h"
#include "itemgend/venv/venv.h"

struct stored_venv {
    struct venv venv; /* points into json */
    cJSON *json;      /* the mark's content */
    char *build;      /* path of the build that holds it */
    int mark_fd;      /* of the mark, locked while it has users */
    int64_t built_at_ms;
    size_t users;     /* in this process */
    bool is_prepared; /* in prepared_dir: never refreshed */
    bool is_compiled; /* or its compilation has failed */
    bool retired;     /* replaced, or removed */
};
void venv_store_free(struct stored_venv *stored);
static inline void venv_store_free_pointer(struct stored_venv **stored)
{
    venv_store_free(*stored);
}
#define auto_stored_venv cleanup(venv_store_free_pointer)

/* The path ROOT/KEY, which the caller frees. LATER, an outage, "no_environment": cannot read the constraints. */
int venv_store_folder(const struct itemgend_options *options, const char *requirement, char **ret, struct err *err)
    must_check;

/* Makes the folder and tries to lock it. The descriptor holds the lock; -1: it is locked already. LATER, an outage,
 * "no_environment": cannot make the folder. */
int venv_store_lock(const char *folder, int *ret_fd, struct err *err) must_check;

/* Makes an empty build in the locked folder; the caller frees its path. A prepared build always has the same name.
 * LATER, an outage, "no_environment". */
int venv_store_begin(const char *folder, bool is_prepared, char **ret_build, struct err *err) must_check;
/* Completes a build by writing its mark. The caller sets `requirement`, `interpreter` (the real path of its python),
 * `python_prefix`, `package` and `version` in `mark`; this adds the rest, such as the size without bytecode. A prepared
 * build has neither time nor size, so the same build gives the same bytes. */
int venv_store_finish(const char *build, bool is_prepared, cJSON *mark, struct err *err) must_check;

/* The newest complete build of the folder that can be used; NULL: none. < 0 only. */
int venv_store_newest(const char *folder, struct stored_venv **ret, struct err *err) must_check;
/* The environment in prepared_dir; NULL: none. LATER, an outage: see venv_store_folder. */
int venv_store_prepared(const struct itemgend_options *options, const char *requirement, struct stored_venv **ret,
                        struct err *err) must_check;

/* Notes that the modules are compiled. LATER, an outage. */
int venv_store_compiled(const struct stored_venv *stored, struct err *err) must_check;

/* Locks it against removal, and notes the time of use. False: it is removed, or being removed. */
bool venv_store_hold(const struct stored_venv *stored) must_check;
void venv_store_let_go(const struct stored_venv *stored);
/* True: nobody has removed it. */
bool venv_store_is_there(const struct stored_venv *stored);

/*
 * Removes, in folders that nobody has locked: killed builds, builds that a newer one replaces, and then the least
 * recently used builds, until all together take at most cache_limit. Never removes a build in use. Returns the size of
 * the remaining ones in bytes.
 */
int64_t venv_store_tidy(const struct itemgend_options *options);

#endif
