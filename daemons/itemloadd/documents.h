/*
 * documents: what the messages of a batch carry: STAC items and collections.
 *
 * A message is an item, a collection, a FeatureCollection or an array of these. Each document is
 * checked alone; of an item that is there more than once the newest is loaded.
 */
#ifndef ITEMLOADD_DOCUMENTS_H
#define ITEMLOADD_DOCUMENTS_H

#include "common/newest.h"
#include "sqs/envelope.h"

struct document {
    size_t message; /* index of the message that it came with */
    char *id;       /* NULL: it has none */
    bool is_collection;
    struct pgstac_item item; /* of a collection: text, published_at_ms, result and err */
    bool settled;            /* result and err are final */
    bool superseded;         /* a newer version was in the same batch */
};

/* A received message, opened. */
struct opened {
    const struct sqs_message *message;
    struct envelope envelope; /* the documents' texts are in its payload */
    int result;               /* of opening; then the worst of its documents */
    struct err err;
    size_t n_documents;
};

struct documents {
    struct opened *messages; /* in the order in which they were received */
    size_t n_messages;
    struct document *list;
    size_t n, cap;
};
void documents_clear(struct documents *documents);
#define auto_documents cleanup(documents_clear)

/* Opens all, one after the other: only texts stay. What a message or a document lacks is its own result. < 0 only. */
int documents_open(const struct pgstac *pgstac, const struct sqs_messages *messages, struct documents *ret,
                   struct err *err) must_check;

/* The items without a result, sorted (newest.h), to `ret` (room for documents->n). Returns how many. */
size_t documents_versions(struct documents *documents, struct newest_version *ret);
/* After all of them are settled. */
void documents_settle(struct documents *documents, const struct newest_version *versions, size_t n);

/*
 * Each message's result from its documents': LATER where any is (the good ones load again without harm), else NEVER
 * where any is; its err names each bad one.
 */
void documents_conclude(struct documents *documents);

#endif
