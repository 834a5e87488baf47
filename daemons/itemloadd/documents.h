/*
 * documents: the STAC items and collections in the messages of a batch.
 *
 * A message contains documents, in any form that stac/reader.h reads, but not compressed. Or it names S3 objects that
 * contain them (aws/s3_event.h); objects.h adds those later. Each document is checked alone. If an item is there more
 * than once, the newest version is loaded.
 */
#ifndef ITEMLOADD_DOCUMENTS_H
#define ITEMLOADD_DOCUMENTS_H

#include "aws/s3_event.h"
#include "pgstac/dedupe.h"
#include "sqs/envelope.h"
#include "stac/reader.h"
#include "worker/parts.h"
#include "worker/settle.h"

struct document {
    size_t message;                    /* index of the message that it came with */
    int64_t number, line;              /* in that message, or in the object: from 1; 0: it is the whole message */
    const struct s3_reference *object; /* that it came from; NULL: the message itself */
    char *text;                        /* NULL: it is the whole message, and its text is in the payload */
    char *id;                          /* NULL: it has none */
    bool is_collection;
    bool is_valid;           /* it can be loaded; else item.result says why not */
    struct pgstac_item item; /* of a collection: text, published_at_ms, result and err */
};

/* A received message, opened. */
struct opened_message {
    const struct sqs_message *message;
    struct envelope envelope; /* its payload has the text of a document that is the whole message */
    cJSON *json;              /* if it names S3 objects: the names are in it */
    size_t n_objects;         /* that it names */
    size_t n_listed;          /* its documents in the list, which have no final result yet */
    struct parts parts;       /* the results of its documents */
    enum { MESSAGE_OPEN, MESSAGE_DONE, MESSAGE_RETURNED, MESSAGE_SETTLED } state;
};

struct documents {
    const struct pgstac *pgstac;     /* that they are read for */
    struct opened_message *messages; /* in the order in which they were received */
    size_t n_messages;
    struct document *list;
    size_t n, cap;
    struct s3_references objects; /* that messages name, sorted */
};
void documents_clear(struct documents *documents);
#define auto_documents cleanup(documents_clear)

/* Opens all messages, one after the other; of each only the text is kept. A message or a document that cannot be read
 * gets a result. < 0 only. */
int documents_open(const struct pgstac *pgstac, const struct sqs_messages *messages, struct documents *ret,
                   struct err *err) must_check;

/* Where a document comes from: its message, and the object that the message names, or NULL. */
struct document_source {
    size_t message;
    const struct s3_reference *object;
};
/*
 * Adds a document to the list, and takes its text. One that is not JSON, or not a valid item or collection, gets a
 * result. < 0 only.
 */
int documents_add(struct documents *documents, struct document_source source, struct split_document *document,
                  struct err *err) must_check;
/* Reports the result of a document, object or event record that cannot become a document of the list. `err`, which
 * gets the object's name before its text, is that of LATER and NEVER. */
void documents_report(struct documents *documents, struct document_source source, int64_t line, int result,
                      const struct err *err);

/* The valid items of the list. */
int documents_dedupe(struct documents *documents, struct dedupe *ret, struct err *err) must_check;

/*
 * After the documents of the list have their results: reports them to their messages (worker/parts.h), and empties the
 * list. Messages that name no objects are done then.
 */
void documents_conclude(struct documents *documents);
/* After all objects were concluded: the messages that name them are done too. */
void documents_end_objects(struct documents *documents);
/* The service stops during an outage: messages that are not done are returned, except those that cannot be read. */
void documents_interrupt(struct documents *documents);
/* Messages that are done or returned, and were not given before, to `ret` (room for n_messages). Returns how many. */
size_t documents_settlements(struct documents *documents, struct settlement *ret);

#endif
