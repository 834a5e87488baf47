/* load_batch: documents that are sent to a worker together, as text, and returned with their results. */
#ifndef ITEMCTL_LOAD_BATCH_H
#define ITEMCTL_LOAD_BATCH_H

#include "pgstac/pgstac.h"
#include "stac/split.h"

/* Like itemloadd's batches by default. */
enum { LOAD_BATCH_DOCUMENTS = 1000, LOAD_BATCH_BYTES = 6 << 20 };

struct load_entry {
    struct split_document document; /* if it is rejected and is JSON: its text is on one line */
    size_t input;                   /* index of the file it came from */
    /* Results */
    int result; /* 0 or NEVER */
    enum pgstac_outcome outcome;
    bool is_json;    /* it is rejected, and its text is JSON */
    struct err *why; /* NULL: it is not rejected */
};

struct load_batch {
    size_t worker; /* index of the worker that loads it */
    int64_t begun_at_ms;
    size_t n, bytes;
    int result; /* not 0: the batch was not loaded, and its entries have no results */
    struct err err;
    struct load_entry entries[LOAD_BATCH_DOCUMENTS];
};

/* NULL: no memory. */
struct load_batch *load_batch_new(size_t worker);
void load_batch_free(struct load_batch *batch);

/* Takes the document. Requires a batch that is not full. `input`: index of its file. */
void load_batch_add(struct load_batch *batch, struct split_document *document, size_t input);
bool load_batch_is_full(const struct load_batch *batch);

/* Marks the entry as rejected. < 0: no memory. */
int load_entry_reject(struct load_entry *entry, const struct err *why) must_check;

#endif
