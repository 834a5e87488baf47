#include "pgstac/dedupe.h"

#include <string.h>

static int compare_names(const struct dedupe_version *a, const struct dedupe_version *b)
{
    int order = strcmp(a->item->item.collection, b->item->item.collection);
    return order != 0 ? order : strcmp(a->item->item.id, b->item->item.id);
}

/* By item, then by age. */
static int compare(const void *a, const void *b)
{
    const struct dedupe_version *x = a, *y = b;
    int order = compare_names(x, y);
    if (order == 0)
        order = (x->item->published_at_ms > y->item->published_at_ms) -
                (x->item->published_at_ms < y->item->published_at_ms);
    return order != 0 ? order : (x->order > y->order) - (x->order < y->order);
}

int dedupe_init(struct dedupe *dedupe, size_t max, struct err *err)
{
    *dedupe = (struct dedupe){ .versions = calloc(max + 1, sizeof(*dedupe->versions)),
                               .round = calloc(max + 1, sizeof(struct pgstac_item *)) };
    return dedupe->versions && dedupe->round ? 0 : err_no_memory(err);
}

void dedupe_clear(struct dedupe *dedupe)
{
    free(TAKE(dedupe->versions));
    free(TAKE(dedupe->round));
}

void dedupe_add(struct dedupe *dedupe, struct pgstac_item *item, size_t order)
{
    dedupe->versions[dedupe->n++] = (struct dedupe_version){ .item = item, .order = order };
}

/* The index after the last version of the item at `first`. */
static size_t item_end(const struct dedupe_version *versions, size_t n, size_t first)
{
    size_t end = first + 1;
    while (end < n && compare_names(&versions[first], &versions[end]) == 0)
        end++;
    return end;
}

/* The newest unsettled version of one item, or `end`. */
static size_t newest_of(const struct dedupe_version *versions, size_t first, size_t end)
{
    for (size_t i = end; i-- > first;)
        if (!versions[i].settled)
            return i;
    return end;
}

/* Settles the newest version, which has a result now, and the older ones that it supersedes. */
static void settle(struct dedupe_version *versions, size_t first, size_t newest)
{
    versions[newest].settled = true;
    for (size_t i = first; i < newest && versions[newest].item->result != NEVER; i++) {
        if (versions[i].settled)
            continue;
        versions[i].item->result = 0;
        versions[i].item->outcome = PGSTAC_SUPERSEDED;
        versions[i].settled = true;
    }
}

static void begin_round(struct dedupe *dedupe)
{
    struct dedupe_version *versions = dedupe->versions;
    dedupe->n_round = dedupe->at = 0;
    for (size_t first = 0, end; first < dedupe->n; first = end) {
        end = item_end(versions, dedupe->n, first);
        size_t newest = newest_of(versions, first, end);
        if (dedupe->has_begun && newest < end) {
            settle(versions, first, newest);
            newest = newest_of(versions, first, end);
        }
        if (newest < end)
            dedupe->round[dedupe->n_round++] = versions[newest].item;
    }
    dedupe->has_begun = true;
}

size_t dedupe_next(struct dedupe *dedupe, size_t max, struct pgstac_item ***ret_items)
{
    if (!dedupe->has_begun && dedupe->n > 0)
        qsort(dedupe->versions, dedupe->n, sizeof(*dedupe->versions), compare);
    if (dedupe->at == dedupe->n_round)
        begin_round(dedupe);
    size_t left = dedupe->n_round - dedupe->at, n = left < max ? left : max;
    *ret_items = dedupe->round + dedupe->at;
    dedupe->at += n;
    return n;
}
