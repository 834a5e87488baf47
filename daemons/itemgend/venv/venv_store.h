/*
 * environment_store: environments on disk. Internal to environment.
 *
 * ROOT is CACHE_DIR/environments; CACHE_DIR must be absolute.
 *
 *     ROOT/KEY/lock: who builds or removes anything in ROOT/KEY holds it (flock)
 *
 *     ROOT/KEY/build-XXXXXX/: one build, never renamed; once it is whole nothing changes but bytecode that is added
 *
 *     ROOT/KEY/build-XXXXXX/venv/: the virtual environment
 *
 *     ROOT/KEY/build-XXXXXX/environment.json: its mark, the build is whole; written last, by rename. Locked (shared) by
 * each process that uses it, its mtime is when it was last taken into use
 *
 *     ROOT/KEY/build-XXXXXX/compiled: its modules are compiled
 *
 * prepared_dir looks the same and may be read-only: nothing is locked or noted there but shared locks.
 *
 * KEY is a hash of all that decides what is installed. A build without a mark whose folder nobody has locked was
 * killed.
 */
#ifndef ITEMGEND_ENVIRONMENT_STORE_H
#define ITEMGEND_ENVIRONMENT_STORE_H

#include "itemgend/venv/venv_cache.h"

/* ROOT/KEY, the caller's to free. LATER, an outage, "no_environment": the constraints cannot be read. */
int environment_store_folder(const struct itemgend_options *options, const char *requirement, char **ret,
                             struct err *err) must_check;

/* Makes the folder and tries to lock it: the descriptor is the lock, -1: somebody else has it. LATER, an outage,
 * "no_environment": the folder cannot be made. */
int environment_store_lock(const char *folder, int *ret_fd, struct err *err) must_check;

/* Makes an empty build in the locked folder, one that is prepared under the same name each time; the path is the
 * caller's to free. LATER, an outage, "no_environment". */
int environment_store_begin(const char *folder, bool is_prepared, char **ret_build, struct err *err) must_check;
/* Marks it as whole. `mark` needs requirement, interpreter (the real path behind its python),
 * python_prefix, package and version; the rest is added, the size without
 * bytecode among it. One that is prepared has neither age nor size, and is the same each time. */
int environment_store_finish(const char *build, bool is_prepared, cJSON *mark, struct err *err) must_check;

/* The newest whole build of the folder that can still be used; NULL: none. < 0 only. */
int environment_store_newest(const char *folder, struct environment **ret, struct err *err) must_check;
/* The one that lies in prepared_dir; NULL: none. LATER, an outage, as environment_store_folder. */
int environment_store_prepared(const struct itemgend_options *options, const char *requirement,
                               struct environment **ret, struct err *err) must_check;
void environment_free(struct environment *environment);

/* Notes that its modules are compiled. LATER, an outage. */
int environment_store_compiled(const struct environment *environment, struct err *err) must_check;

/* Locks it against removal and notes the time; false: it is gone, or just being removed. */
bool environment_store_hold(const struct environment *environment) must_check;
void environment_store_let_go(const struct environment *environment);
/* Whether nobody has removed it. */
bool environment_store_is_there(const struct environment *environment);

/*
 * Removes, of all folders that nobody has locked, killed builds and those with a newer one beside them, and of the
 * rest those used longest ago until all together take at most cache_limit; never one that is held. Returns what is
 * left, in bytes.
 */
int64_t environment_store_tidy(const struct itemgend_options *options);

#endif
