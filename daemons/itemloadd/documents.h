/*
 * documents: what the messages of a batch carry: STAC items and collections.
 *
 * A message is whatever stac/reader.h reads, but not packed; or it names S3 objects that hold that (aws/s3_event.h),
 * which objects.h brings into the list later. Each document is checked alone; of an item that is there more than once
 * the newest is loaded.
 */
#ifndef ITEMLOADD_DOCUMENTS_H
#define ITEMLOADD_DOCUMENTS_H

#include "aws/s3_event.h"
#include "pgstac/dedupe.h"
#include "sqs/envelope.h"
#include "stac/reader.h"

struct document {
    size_t message;                    /* index of the message that it came with */
    int64_t number, line;              /* in that message, or in the object: from 1; 0: it is all of the message */
    const struct s3_reference *object; /* that it came from; NULL: the message itself */
    char *text;                        /* NULL: all of the message, and in its payload */
    char *id;                          /* NULL: it has none */
    bool is_collection;
    struct pgstac_item item; /* of a collection: text, published_at_ms, result and err */
    bool settled;            /* result and err are final */
    bool superseded;         /* a newer version of the item was in the same batch */
};

/* A received message, opened. */
struct opened {
    const struct sqs_message *message;
    struct envelope envelope; /* the documents' texts are in its payload, which is freed with them */
    cJSON *json;              /* where it names S3 objects: what they are named in */
    size_t n_objects;         /* so many */
    size_t n_listed;          /* of its documents: in the list, without a result that counts */
    int result;               /* the worst that was reported; its err, complete after documents_conclude */
    struct err err;
    size_t n_documents, n_failed, n_told; /* reported; those of them that had `result`; those that are named */
    struct buf failures, lines;           /* what is told of them; the lines of those for which there was no room */
};

struct documents {
    const struct pgstac *pgstac; /* that they are read for */
    struct opened *messages;     /* in the order in which they were received */
    size_t n_messages;
    struct document *list;
    size_t n, cap;
    struct s3_references objects; /* that messages name, sorted */
};
void documents_clear(struct documents *documents);
#define auto_documents cleanup(documents_clear)

/* Opens all, one after the other: only texts stay. What a message or a document lacks is its own result. < 0 only. */
int documents_open(const struct pgstac *pgstac, const struct sqs_messages *messages, struct documents *ret,
                   struct err *err) must_check;

/* Where a document comes from: its message, and the object that the message names, or NULL. */
struct document_source {
    size_t message;
    const struct s3_reference *object;
};
/*
 * Adds the document that was read, whose text is taken. One that is not JSON, or not a good item or collection, has its
 * result. < 0 only.
 */
int documents_add(struct documents *documents, struct document_source source, struct split_document *document,
                  struct err *err) must_check;

/* Adds to the message what became of one of its documents, which begins at this line (0: no matter). `err`: where
 * result is LATER or NEVER. */
void documents_report(struct documents *documents, size_t message, int64_t line, int result, const struct err *err);
/* The same of something that the source holds, named before the text. */
void documents_report_source(struct documents *documents, struct document_source source, int64_t line, int result,
                             const struct err *err);

/* The items without a result, sorted (newest.h), to `ret` (room for documents->n). Returns how many. */
size_t documents_versions(struct documents *documents, struct dedupe_version *ret);
/* After all of them are settled. */
void documents_settle(struct documents *documents, const struct dedupe_version *versions, size_t n);

/*
 * Reports the documents of the list, which is empty from then on. Each message's result is LATER where any of its
 * documents' is (the good ones load again without harm), else NEVER where any is; its err names each bad one.
 */
void documents_conclude(struct documents *documents);

#endif
