#include "itemgend/venv/venv_table.h"

#include <sys/eventfd.h>

#include "base/time.h"
#include "itemgend/venv/venv_store.h"

enum { REFRESH_RETRY_MS = 15 * 60 * 1000 }; /* after a refresh that failed */

static void wake(const struct environment_table *table)
{
    eventfd_write(table->work_fd, 1); /* full: it is readable already */
}

void environment_table_ask_for_tidying(struct environment_table *table)
{
    table->wants_tidy = true;
    wake(table);
}

struct environment_entry *environment_table_enter(struct environment_table *table, const char *requirement)
{
    struct environment_entry *entry = table->entries;
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

/* Requests may name anything: only what came to be is kept. */
void environment_table_leave(struct environment_table *table, struct environment_entry *entry)
{
    entry->waiters--;
    if (entry->waiters > 0 || entry->current)
        return;
    struct environment_entry **at = &table->entries;
    while (*at != entry)
        at = &(*at)->next;
    *at = entry->next;
    free(entry->requirement);
    free(entry);
}

static void retire(struct environment_table *table, struct environment_entry *entry)
{
    struct environment *environment = TAKE(entry->current);
    if (!environment)
        return;
    environment->retired = true;
    environment_table_ask_for_tidying(table);
    if (environment->users == 0)
        environment_free(environment);
}

static void ask_for_refresh(struct environment_table *table, struct environment_entry *entry)
{
    if (entry->wants_refresh || entry->current->is_prepared ||
        time_now_ms() - entry->current->built_at_ms < table->ttl_ms || time_mono_ms() < entry->refresh_after_ms)
        return;
    entry->wants_refresh = true;
    wake(table);
}

struct environment *environment_table_take(struct environment_table *table, struct environment_entry *entry)
{
    if (entry->current && !environment_store_hold(entry->current))
        retire(table, entry);
    if (!entry->current)
        return NULL;
    entry->current->users++;
    ask_for_refresh(table, entry);
    return entry->current;
}

void environment_table_put(struct environment_table *table, struct environment_entry *entry,
                           struct environment *environment)
{
    retire(table, entry);
    entry->current = environment;
}

void environment_table_forget_removed(struct environment_table *table)
{
    struct environment_entry *next = NULL;
    for (struct environment_entry *entry = table->entries; entry; entry = next) {
        next = entry->next;
        if (!entry->current || environment_store_is_there(entry->current))
            continue;
        retire(table, entry);
        entry->waiters++; /* its last one */
        environment_table_leave(table, entry);
    }
}

void environment_table_release(struct environment_table *table, struct environment *environment)
{
    if (--environment->users > 0)
        return;
    environment_store_let_go(environment);
    if (!environment->retired)
        return;
    environment_free(environment);
    environment_table_ask_for_tidying(table);
}

struct environment *environment_table_next_uncompiled(struct environment_table *table)
{
    for (struct environment_entry *entry = table->entries; entry; entry = entry->next) {
        struct environment *environment = entry->current;
        if (!environment || environment->is_compiled || !environment_store_hold(environment))
            continue;
        environment->users++;
        return environment;
    }
    return NULL;
}

struct environment_entry *environment_table_next_refresh(struct environment_table *table)
{
    struct environment_entry *entry = table->entries;
    while (entry && !entry->wants_refresh)
        entry = entry->next;
    if (entry)
        entry->waiters++;
    return entry;
}

void environment_table_refreshed(struct environment_table *table, struct environment_entry *entry)
{
    entry->refresh_after_ms = time_mono_ms() + (table->ttl_ms < REFRESH_RETRY_MS ? table->ttl_ms : REFRESH_RETRY_MS);
    entry->wants_refresh = false;
    environment_table_leave(table, entry);
}

void environment_table_clear(struct environment_table *table)
{
    for (struct environment_entry *entry = table->entries, *next; entry; entry = next) {
        next = entry->next;
        environment_free(entry->current);
        free(entry->requirement);
        free(entry);
    }
    table->entries = NULL;
}
