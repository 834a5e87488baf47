#include "sqs/sqs_internal.h"

static int compare_handles(const void *a, const void *b)
{
    const struct sqs_entry *const *x = a, *const *y = b;
    int order = strcmp((*x)->receipt_handle, (*y)->receipt_handle);
    if (order != 0)
        return order;
    return *x < *y ? -1 : *x > *y;
}

/* Sends repeated handles once, because SQS rejects a request that has one twice. */
static int settle_many(struct sqs *sqs, enum sqs_batch_op op, struct sqs_entry *entries, size_t n, struct err *err)
{
    if (n == 0)
        return 0;
    auto_free struct sqs_entry **sorted = calloc(n, sizeof(struct sqs_entry *));
    auto_free struct aws_batch_item *items = calloc(n, sizeof(*items));
    if (!sorted || !items)
        return err_no_memory(err);
    for (size_t i = 0; i < n; i++)
        sorted[i] = &entries[i];
    qsort(sorted, n, sizeof(struct sqs_entry *), compare_handles);
    size_t n_items = 0;
    for (size_t i = 0; i < n; i++)
        if (i == 0 || strcmp(sorted[i]->receipt_handle, sorted[i - 1]->receipt_handle) != 0)
            items[n_items++] = (struct aws_batch_item){ .index = (size_t)(sorted[i] - entries),
                                                        .size = strlen(sorted[i]->receipt_handle),
                                                        .result = &sorted[i]->result,
                                                        .err = &sorted[i]->err };

    const struct sqs_batch what = { .op = op, .entries = entries };
    int r = sqs_batch_run(sqs, &what, items, n_items, err);
    if (r != 0)
        return r;
    for (size_t i = 1; i < n; i++)
        if (strcmp(sorted[i]->receipt_handle, sorted[i - 1]->receipt_handle) == 0) {
            sorted[i]->result = sorted[i - 1]->result;
            sorted[i]->err = sorted[i - 1]->err;
        }
    return 0;
}

int sqs_delete_many(struct sqs *sqs, struct sqs_entry *entries, size_t n, struct err *err)
{
    return settle_many(sqs, SQS_BATCH_DELETE, entries, n, err);
}

int sqs_change_visibility_many(struct sqs *sqs, struct sqs_entry *entries, size_t n, struct err *err)
{
    return settle_many(sqs, SQS_BATCH_VISIBILITY, entries, n, err);
}
