/*
 * environment_table: what this process knows of the environment of each requirement. Internal to environment, which
 * calls all of it with its lock held.
 */
#ifndef ITEMGEND_ENVIRONMENT_TABLE_H
#define ITEMGEND_ENVIRONMENT_TABLE_H

#include "itemgend/venv/venv_cache.h"

/* Stays while there is an environment or somebody who waits for one. */
struct environment_entry {
    struct environment_entry *next;
    char *requirement;
    struct environment *current; /* NULL: none known */
    size_t waiters;
    uint64_t failures; /* builds that failed while there were waiters; of the last one: */
    int result;
    struct err err;
    bool wants_refresh;
    int64_t refresh_after_ms; /* time_mono_ms(): not before it */
};

struct environment_table {
    struct environment_entry *entries;
    int64_t ttl_ms;
    int work_fd;     /* an eventfd, borrowed: made readable when there is something to refresh or to tidy */
    bool wants_tidy; /* something is there that nobody needs any longer, or something new */
};

void environment_table_clear(struct environment_table *table);

/* The entry, which has a waiter more until leave. NULL: no memory. */
struct environment_entry *environment_table_enter(struct environment_table *table, const char *requirement) must_check;
void environment_table_leave(struct environment_table *table, struct environment_entry *entry);

/* Its environment, with a user more; one that is too old is to be refreshed. NULL: there is none, or it was removed. */
struct environment *environment_table_take(struct environment_table *table, struct environment_entry *entry) must_check;
void environment_table_release(struct environment_table *table, struct environment *environment);

/* Puts a new one in the place of the old, which goes when nobody uses it any longer. */
void environment_table_put(struct environment_table *table, struct environment_entry *entry,
                           struct environment *environment);
void environment_table_ask_for_tidying(struct environment_table *table);
void environment_table_forget_removed(struct environment_table *table);

/* One that is not compiled, with a user more; NULL: none. */
struct environment *environment_table_next_uncompiled(struct environment_table *table) must_check;

/* An entry that is to be refreshed, with a waiter more until refreshed. NULL: none. */
struct environment_entry *environment_table_next_refresh(struct environment_table *table) must_check;
/* It was tried, with or without success. */
void environment_table_refreshed(struct environment_table *table, struct environment_entry *entry);

#endif
