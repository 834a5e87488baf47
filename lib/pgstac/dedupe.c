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

void dedupe_sort(struct dedupe_version *versions, size_t n)
{
    if (n > 0)
        qsort(versions, n, sizeof(*versions), compare);
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

size_t dedupe_pick(const struct dedupe_version *versions, size_t n, size_t *ret_index)
{
    size_t picked = 0;
    for (size_t first = 0, end; first < n; first = end) {
        end = item_end(versions, n, first);
        size_t newest = newest_of(versions, first, end);
        if (newest < end)
            ret_index[picked++] = newest;
    }
    return picked;
}

void dedupe_settle(struct dedupe_version *versions, size_t n)
{
    for (size_t first = 0, end; first < n; first = end) {
        end = item_end(versions, n, first);
        size_t newest = newest_of(versions, first, end);
        if (newest == end)
            continue;
        versions[newest].settled = true;
        for (size_t i = first; i < newest && versions[newest].item->result != NEVER; i++) {
            if (versions[i].settled)
                continue;
            versions[i].item->result = 0;
            versions[i].settled = versions[i].superseded = true;
        }
    }
}
