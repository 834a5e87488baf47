/* load_counts: what became of the documents, for the progress, the checkpoint and the summary. */
#ifndef ITEMCTL_LOAD_COUNTS_H
#define ITEMCTL_LOAD_COUNTS_H

#include "itemctl/load_batch.h"

enum { LOAD_CODES = 32, LOAD_CODE_SIZE = 40 };

struct load_counts {
    int64_t read; /* documents that have their result */
    int64_t inserted, updated /* a collection: loaded */, stale, rejected;
    int64_t elapsed_ms;
    struct load_code {
        char code[LOAD_CODE_SIZE]; /* beyond LOAD_CODES kinds the last one is "other" */
        int64_t n;
    } codes[LOAD_CODES];
    size_t n_codes;
};

void load_counts_add(struct load_counts *counts, const struct load_entry *entry);
/* `n` more rejected for this reason. */
void load_counts_reject(struct load_counts *counts, const char *code, int64_t n);

/* As members of a JSON object, without elapsed_ms: "read":1,...,"errors":{"invalid_item":1}. */
void load_counts_write(const struct load_counts *counts, bool collections, struct buf *ret);
/* Reads the same back. False: something is not there. */
bool load_counts_read(const cJSON *json, bool collections, struct load_counts *ret) must_check;

/* For people, over several lines. */
void load_counts_describe(const struct load_counts *counts, bool collections, struct buf *ret);
/* Documents a second. */
double load_counts_rate(const struct load_counts *counts);

#endif
