/* load_batch: documents that go to one worker together, as text, and come back with their results. */
#ifndef ITEMCTL_LOAD_BATCH_H
#define ITEMCTL_LOAD_BATCH_H

#include "pgstac/pgstac.h"
#include "stac/split.h"

/* As itemloadd's batches. */
enum { LOAD_BATCH_DOCUMENTS = 1000, LOAD_BATCH_BYTES = 6 << 20 };

struct load_entry {
    struct split_document document; /* of a rejected one the text is its JSON in one line, where it is JSON */
    size_t input;                   /* index of the file it came from */
    /* Results */
    int result; /* 0 or NEVER */
    enum pgstac_outcome outcome;
    bool is_json;    /* of a rejected one: its text is */
    struct err *why; /* of a rejected one */
};

struct load_batch {
    size_t worker; /* whose it is */
    int64_t begun_at_ms;
    size_t n, bytes;
    int result; /* not 0: the batch was not loaded, no entry has a result */
    struct err err;
    struct load_entry entries[LOAD_BATCH_DOCUMENTS];
};

/* NULL: no memory. */
struct load_batch *load_batch_new(size_t worker);
void load_batch_free(struct load_batch *batch);

/* Moves the document in. There must be room: the batch is not full. */
void load_batch_add(struct load_batch *batch, struct split_document *document, size_t input);
bool load_batch_is_full(const struct load_batch *batch);

/* Makes the entry a rejected one. < 0: no memory. */
int load_entry_reject(struct load_entry *entry, const struct err *why) must_check;

#endif
