#include "pgstac/statistics.h"

#include <stdio.h>
#include <string.h>

#include "base/time.h"

enum { REMEMBERED_MAX = 10000 };

void statistics_clear(struct statistics *statistics)
{
    free(statistics->entries);
    *statistics = (struct statistics){ .entries = NULL };
}

void statistics_trim(struct statistics *statistics)
{
    if (statistics->n <= REMEMBERED_MAX)
        return;
    size_t kept = 0;
    for (size_t i = 0; i < statistics->n; i++)
        if (statistics->entries[i].due)
            statistics->entries[kept++] = statistics->entries[i];
    statistics->n = kept;
}

int statistics_mark(struct statistics *statistics, const char *partition, struct err *err)
{
    for (size_t i = 0; i < statistics->n; i++)
        if (strcmp(statistics->entries[i].partition, partition) == 0) {
            statistics->entries[i].due = true;
            return 0;
        }
    if (statistics->n == statistics->cap) {
        size_t cap = statistics->cap ? statistics->cap * 2 : 64;
        struct statistics_entry *grown = reallocarray(statistics->entries, cap, sizeof(*grown));
        if (!grown)
            return err_no_memory(err);
        statistics->entries = grown;
        statistics->cap = cap;
    }
    struct statistics_entry *entry = &statistics->entries[statistics->n++];
    *entry = (struct statistics_entry){ .due = true };
    snprintf(entry->partition, sizeof(entry->partition), "%s", partition);
    return 0;
}

/* `istrigger` true: the other form rebuilds the constraint under ACCESS EXCLUSIVE and ends readers in deadlocks. */
static int write_one(const struct catalog *catalog, struct pg *pg, const char *partition, struct err *err)
{
    const char *params[] = { partition };
    int r = catalog_begin(catalog, pg, err);
    if (r == 0)
        r = pg_run(pg, PARTITION_LOCK, err);
    if (r == 0)
        r = pg_exec(pg, "SELECT update_partition_stats($1, true) WHERE to_regclass(quote_ident($1)) IS NOT NULL",
                    params, 1, NULL, err);
    if (r == 0)
        r = pg_run(pg, "COMMIT", err);
    if (r != 0)
        pg_rollback(pg);
    return r;
}

int statistics_update(struct statistics *statistics, const struct catalog *catalog, struct pg *pg, int interval_ms,
                      struct err *err)
{
    bool failed = false;
    for (size_t i = 0; i < statistics->n; i++) {
        struct statistics_entry *entry = &statistics->entries[i];
        int64_t now_ms = time_mono_ms();
        if (!entry->due || (entry->at_ms && now_ms - entry->at_ms < interval_ms))
            continue;
        struct err why = ERR_INIT;
        int r = write_one(catalog, pg, entry->partition, &why);
        if (r != 0 && err)
            *err = why;
        if (r < 0 || (r != 0 && why.outage))
            return r;
        entry->at_ms = now_ms; /* also of a failure: its next turn is as far away */
        entry->due = r != 0;
        failed |= r != 0;
    }
    return failed ? LATER : 0;
}
