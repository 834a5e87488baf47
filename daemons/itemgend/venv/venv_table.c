#include "itemgend/venv/venv_table.h"

#include <sys/eventfd.h>

#include "base/time.h"
#include "itemgend/venv/venv_store.h"

enum { REFRESH_RETRY_MS = 15 * 60 * 1000 }; /* after a failed refresh */

static void wake(const struct venv_table *table)
{
    eventfd_write(table->work_fd, 1); /* fails only if it is readable already */
}

void venv_table_ask_for_tidying(struct venv_table *table)
{
    table->wants_tidy = true;
    wake(table);
}

struct venv_entry *venv_table_enter(struct venv_table *table, const char *requirement)
{
    struct venv_entry *entry = table->entries;
    while (entry && strcmp(entry->requirement, requirement) != 0)
        entry = entry->next;
    if (!entry) {
        auto_free char *copy = strdup(requirement);
        entry = copy ? calloc(1, sizeof(*entry)) : NULL;
        if (!entry)
            return NULL;
        entry->requirement = TAKE(copy);
        entry->next = table->entries;
        table->entries = entry;
    }
    entry->waiters++;
    return entry;
}

/* Requests can name any package: only entries with an environment are kept. */
void venv_table_leave(struct venv_table *table, struct venv_entry *entry)
{
    entry->waiters--;
    if (entry->waiters > 0 || entry->current)
        return;
    struct venv_entry **at = &table->entries;
    while (*at != entry)
        at = &(*at)->next;
    *at = entry->next;
    free(entry->requirement);
    free(entry);
}

static void retire(struct venv_table *table, struct venv_entry *entry)
{
    struct stored_venv *stored = TAKE(entry->current);
    if (!stored)
        return;
    stored->retired = true;
    venv_table_ask_for_tidying(table);
    if (stored->users == 0)
        venv_store_free(stored);
}

static void ask_for_refresh(struct venv_table *table, struct venv_entry *entry)
{
    if (entry->wants_refresh || entry->current->is_prepared ||
        time_now_ms() - entry->current->built_at_ms < table->ttl_ms || time_mono_ms() < entry->refresh_after_ms)
        return;
    entry->wants_refresh = true;
    wake(table);
}

struct stored_venv *venv_table_take(struct venv_table *table, struct venv_entry *entry)
{
    if (entry->current && !venv_store_hold(entry->current))
        retire(table, entry);
    if (!entry->current)
        return NULL;
    entry->current->users++;
    ask_for_refresh(table, entry);
    return entry->current;
}

void venv_table_put(struct venv_table *table, struct venv_entry *entry, struct stored_venv *stored)
{
    retire(table, entry);
    entry->current = stored;
}

void venv_table_forget_removed(struct venv_table *table)
{
    struct venv_entry *next = NULL;
    for (struct venv_entry *entry = table->entries; entry; entry = next) {
        next = entry->next;
        if (!entry->current || venv_store_is_there(entry->current))
            continue;
        retire(table, entry);
        entry->waiters++; /* venv_table_leave takes it, and frees the entry */
        venv_table_leave(table, entry);
    }
}

void venv_table_release(struct venv_table *table, struct stored_venv *stored)
{
    if (--stored->users > 0)
        return;
    venv_store_let_go(stored);
    if (!stored->retired)
        return;
    venv_store_free(stored);
    venv_table_ask_for_tidying(table);
}

struct stored_venv *venv_table_next_uncompiled(struct venv_table *table)
{
    for (struct venv_entry *entry = table->entries; entry; entry = entry->next) {
        struct stored_venv *stored = entry->current;
        if (!stored || stored->is_compiled || !venv_store_hold(stored))
            continue;
        stored->users++;
        return stored;
    }
    return NULL;
}

struct venv_entry *venv_table_next_refresh(struct venv_table *table)
{
    struct venv_entry *entry = table->entries;
    while (entry && !entry->wants_refresh)
        entry = entry->next;
    if (entry)
        entry->waiters++;
    return entry;
}

void venv_table_refreshed(struct venv_table *table, struct venv_entry *entry)
{
    entry->refresh_after_ms = time_mono_ms() + (table->ttl_ms < REFRESH_RETRY_MS ? table->ttl_ms : REFRESH_RETRY_MS);
    entry->wants_refresh = false;
    venv_table_leave(table, entry);
}

void venv_table_clear(struct venv_table *table)
{
    for (struct venv_entry *entry = table->entries, *next; entry; entry = next) {
        next = entry->next;
        venv_store_free(entry->current);
        free(entry->requirement);
        free(entry);
    }
    table->entries = NULL;
}
