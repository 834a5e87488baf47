/*
 * objects: adds the documents of S3 objects to the list, one batch at a time.
 *
 * - Only objects in the buckets that the configuration lists are read, because anybody may have published the message.
 * - Small objects are fetched many at once; large ones, up to document_limit, alone.
 * - Only one batch of documents at a time is unpacked and parsed, so memory is bounded whatever the messages name.
 */
#ifndef ITEMLOADD_OBJECTS_H
#define ITEMLOADD_OBJECTS_H

#include "aws/s3.h"
#include "daemon/service.h"
#include "itemloadd/documents.h"
#include "itemloadd/options.h"
#include "stac/reader.h"

enum { OBJECTS_AT_ONCE = 32, OBJECTS_SMALL = 256 * 1024 /* bytes of one that is fetched with others */ };

/* Of each object the collections are added first, because its items may belong to them. */
enum object_state {
    OBJECT_LARGE,       /* it is fetched next, alone */
    OBJECT_COLLECTIONS, /* its collections are being added */
    OBJECT_REST,        /* its other documents are; all, if it cannot have collections */
    OBJECT_END,
};

struct object {
    const struct s3_reference *reference;
    enum object_state state;
    struct buf text;           /* as fetched, perhaps compressed */
    bool may_have_collections; /* then each document is looked at */
    struct reader reader;
    struct split_input rest; /* of the text */
};

struct objects {
    const struct itemloadd_options *options;
    struct aws_client *client;
    struct worker *worker; /* service_pulse is called for it while objects are fetched */
    size_t next;           /* index of the first of documents->objects that was not looked at */
    struct object open[OBJECTS_AT_ONCE];
    size_t n_open, at; /* those before `at` are done */
    size_t bytes;      /* of text in the list */
};
void objects_clear(struct objects *objects);
#define auto_objects cleanup(objects_clear)

/*
 * Fills the empty list with the next documents: at most batch_items, and about batch_bytes. The list stays empty when
 * all objects have been read. An object that cannot be read is reported; one that no longer exists is logged.
 * LATER (outage): S3 cannot be reached, or the service stops; call it again with the list as it is.
 */
int objects_fill(struct objects *objects, struct documents *documents, struct err *err) must_check;

#endif
