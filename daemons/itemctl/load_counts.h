/* load_counts: counts the results of documents, for the progress, the checkpoint and the summary. */
#ifndef ITEMCTL_LOAD_COUNTS_H
#define ITEMCTL_LOAD_COUNTS_H

#include "itemctl/load_batch.h"

enum { LOAD_CODES = 32, LOAD_CODE_SIZE = 40 };

struct load_counts {
    int64_t read; /* documents with a result */
    int64_t inserted, updated /* a collection: loaded */, stale, rejected;
    int64_t elapsed_ms;
    struct load_code {
        char code[LOAD_CODE_SIZE]; /* if there are more than LOAD_CODES, the last one is "other" */
        int64_t n;
    } codes[LOAD_CODES];
    size_t n_codes;
};

void load_counts_add(struct load_counts *counts, const struct load_entry *entry);
/* Counts `n` more rejected documents with this code. */
void load_counts_reject(struct load_counts *counts, const char *code, int64_t n);

/* Appends members of a JSON object, without elapsed_ms: "read":1,...,"errors":{"invalid_item":1}. */
void load_counts_write(const struct load_counts *counts, bool collections, struct buf *ret);
/* Reads what load_counts_write wrote. False: a member is missing. */
bool load_counts_read(const cJSON *json, bool collections, struct load_counts *ret) must_check;

/* Appends a summary for people, of several lines. */
void load_counts_describe(const struct load_counts *counts, bool collections, struct buf *ret);
/* Documents per second. */
double load_counts_rate(const struct load_counts *counts);

#endif
