#include "itemctl/load_counts.h"

#include <stdio.h>

#include "base/json.h"

/* One list of names for writing and reading. */
static const struct {
    const char *name;
    size_t offset;
    bool collections, items;
} counters[] = {
    { "read", offsetof(struct load_counts, read), true, true },
    { "inserted", offsetof(struct load_counts, inserted), false, true },
    { "updated", offsetof(struct load_counts, updated), false, true },
    { "loaded", offsetof(struct load_counts, updated), true, false }, /* pgstac does not say whether it was inserted */
    { "stale", offsetof(struct load_counts, stale), true, true },
    { "rejected", offsetof(struct load_counts, rejected), true, true },
};

static int64_t *counter(struct load_counts *counts, size_t i)
{
    return (int64_t *)(void *)((char *)counts + counters[i].offset);
}

void load_counts_reject(struct load_counts *counts, const char *code, int64_t n)
{
    size_t i = 0;
    while (i < counts->n_codes && strcmp(counts->codes[i].code, code) != 0)
        i++;
    if (i == LOAD_CODES) {
        i = LOAD_CODES - 1;
        snprintf(counts->codes[i].code, LOAD_CODE_SIZE, "other");
    } else if (i == counts->n_codes) {
        snprintf(counts->codes[counts->n_codes++].code, LOAD_CODE_SIZE, "%s", code);
    }
    counts->codes[i].n += n;
}

void load_counts_add(struct load_counts *counts, const struct load_entry *entry)
{
    counts->read++;
    if (entry->result != 0) {
        counts->rejected++;
        load_counts_reject(counts, entry->why && entry->why->code ? entry->why->code : "unknown", 1);
    } else if (entry->outcome == PGSTAC_INSERTED) {
        counts->inserted++;
    } else if (entry->outcome == PGSTAC_UPDATED) {
        counts->updated++;
    } else {
        counts->stale++;
    }
}

void load_counts_write(const struct load_counts *counts, bool collections, struct buf *ret)
{
    struct load_counts copy = *counts;
    for (size_t i = 0; i < N_ELEMENTS(counters); i++)
        if (collections ? counters[i].collections : counters[i].items)
            buf_printf(ret, "\"%s\":%lld,", counters[i].name, (long long)*counter(&copy, i));
    buf_puts(ret, "\"errors\":{");
    for (size_t i = 0; i < counts->n_codes; i++)
        buf_printf(ret, "%s\"%s\":%lld", i ? "," : "", counts->codes[i].code, (long long)counts->codes[i].n);
    buf_putc(ret, '}');
}

bool load_counts_read(const cJSON *json, bool collections, struct load_counts *ret)
{
    *ret = (struct load_counts){ .read = 0 };
    bool ok = cJSON_IsObject(json_get(json, "errors"));
    for (size_t i = 0; i < N_ELEMENTS(counters); i++)
        if (collections ? counters[i].collections : counters[i].items)
            ok = json_get_i64(json, counters[i].name, 0, INT64_MAX, counter(ret, i)) && ok;
    const cJSON *errors = json_get(json, "errors");
    for (const cJSON *code = ok ? errors->child : NULL; code; code = code->next) {
        int64_t n = 0;
        ok = json_get_i64(errors, code->string, 0, INT64_MAX, &n) && ok;
        load_counts_reject(ret, code->string, n);
    }
    return ok;
}

double load_counts_rate(const struct load_counts *counts)
{
    return counts->elapsed_ms > 0 ? (double)counts->read * 1000 / (double)counts->elapsed_ms : 0;
}

void load_counts_describe(const struct load_counts *counts, bool collections, struct buf *ret)
{
    buf_printf(ret, "%lld %s read in %.1f s (%.0f/s):", (long long)counts->read, collections ? "collections" : "items",
               (double)counts->elapsed_ms / 1000, load_counts_rate(counts));
    if (collections)
        buf_printf(ret, " %lld loaded,", (long long)counts->updated);
    else
        buf_printf(ret, " %lld inserted, %lld updated,", (long long)counts->inserted, (long long)counts->updated);
    buf_printf(ret, " %lld stale, %lld rejected\n", (long long)counts->stale, (long long)counts->rejected);
    for (size_t i = 0; i < counts->n_codes; i++)
        buf_printf(ret, "  %s: %lld\n", counts->codes[i].code, (long long)counts->codes[i].n);
}
