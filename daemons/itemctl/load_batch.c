#include "itemctl/load_batch.h"

#include <errno.h>

#include "base/time.h"

struct load_batch *load_batch_new(size_t worker)
{
    struct load_batch *batch = calloc(1, sizeof(*batch));
    if (batch) {
        batch->worker = worker;
        batch->begun_at_ms = time_mono_ms();
    }
    return batch;
}

void load_batch_free(struct load_batch *batch)
{
    if (!batch)
        return;
    for (size_t i = 0; i < batch->n; i++) {
        split_document_clear(&batch->entries[i].document);
        free(batch->entries[i].why);
    }
    free(batch);
}

void load_batch_add(struct load_batch *batch, struct split_document *document, size_t input)
{
    batch->bytes += document->text.len;
    batch->entries[batch->n++] = (struct load_entry){ .document = *document, .input = input };
    document->text = (struct buf)BUF_INIT;
}

bool load_batch_is_full(const struct load_batch *batch)
{
    return batch->n == LOAD_BATCH_DOCUMENTS || batch->bytes >= LOAD_BATCH_BYTES;
}

int load_entry_reject(struct load_entry *entry, const struct err *why)
{
    entry->result = NEVER;
    if (!entry->why)
        entry->why = malloc(sizeof(*entry->why));
    if (!entry->why)
        return -ENOMEM;
    *entry->why = *why;
    return 0;
}
