/* venv_table: the environments that this process knows, by requirement. Internal to venv/: venv_cache holds its lock
 * during each call. */
#ifndef ITEMGEND_VENV_TABLE_H
#define ITEMGEND_VENV_TABLE_H

#include "itemgend/venv/venv_store.h"

/* Exists while it has an environment or waiters. */
struct venv_entry {
    struct venv_entry *next;
    char *requirement;
    struct stored_venv *current; /* NULL: none known */
    size_t waiters;
    uint64_t failures; /* builds that failed while there were waiters; `result` and `err` are of the last one */
    int result;
    struct err err;
    bool wants_refresh;
    int64_t refresh_after_ms; /* time_mono_ms(): no refresh before */
};

struct venv_table {
    struct venv_entry *entries;
    int64_t ttl_ms;
    int work_fd;     /* an eventfd, borrowed: readable when there is something to refresh or tidy */
    bool wants_tidy; /* an environment was added or replaced */
};

void venv_table_clear(struct venv_table *table);

/* The entry of a requirement. The caller is one of its waiters until venv_table_leave. NULL: no memory. */
struct venv_entry *venv_table_enter(struct venv_table *table, const char *requirement) must_check;
void venv_table_leave(struct venv_table *table, struct venv_entry *entry);

/* Takes the entry's environment into use; asks for a refresh if it is too old. NULL: there is none, or it was removed.
 */
struct stored_venv *venv_table_take(struct venv_table *table, struct venv_entry *entry) must_check;
void venv_table_release(struct venv_table *table, struct stored_venv *stored);

/* Replaces the entry's environment. The old one is freed when it has no users left. */
void venv_table_put(struct venv_table *table, struct venv_entry *entry, struct stored_venv *stored);
void venv_table_ask_for_tidying(struct venv_table *table);
void venv_table_forget_removed(struct venv_table *table);

/* Takes an environment that is not compiled into use; NULL: none. */
struct stored_venv *venv_table_next_uncompiled(struct venv_table *table) must_check;

/* An entry that wants a refresh. The caller is one of its waiters until venv_table_refreshed. NULL: none. */
struct venv_entry *venv_table_next_refresh(struct venv_table *table) must_check;
/* The refresh was tried, with or without success. */
void venv_table_refreshed(struct venv_table *table, struct venv_entry *entry);

#endif
