/*
 * objects: brings the documents of S3 objects into the list, a batch at a time.
 *
 * A message is a stranger's: only objects of the buckets that the configuration lists are read. Small objects are
 * fetched many at once, large ones (up to document_limit) alone, and of their text only a batch of documents at a time
 * is unpacked, where it is packed, and becomes trees: memory is bounded whatever messages name.
 */
#ifndef ITEMLOADD_OBJECTS_H
#define ITEMLOADD_OBJECTS_H

#include "aws/s3.h"
#include "daemon/service.h"
#include "itemloadd/documents.h"
#include "itemloadd/options.h"
#include "stac/reader.h"

enum { OBJECTS_AT_ONCE = 32, OBJECTS_SMALL = 256 * 1024 /* bytes of one that is fetched with others */ };

/* An object whose documents are being read. */
struct object {
    const struct s3_reference *reference;
    bool is_large; /* not fetched yet: it goes alone */
    bool is_got;
    struct buf text; /* as it was got, perhaps packed */
    struct reader reader;
    struct split_input rest; /* of the text */
    bool has_collections;    /* perhaps: then a first look takes only them, and a second all else */
    bool is_first_look;
};

struct objects {
    const struct itemloadd_options *options;
    struct aws_client *client;
    struct worker *worker; /* whose pulse is given while objects are fetched */
    size_t next;           /* index of the first of documents->objects that was not looked at */
    struct object open[OBJECTS_AT_ONCE];
    size_t n_open, at; /* those before `at` are done with */
    size_t bytes;      /* of text in the list */
};
void objects_clear(struct objects *objects);
#define auto_objects cleanup(objects_clear)

/*
 * Fills the (empty) list with the next documents, at most batch_items and about batch_bytes; of one object the
 * collections come first. None: all objects have been read. What cannot be read is reported, what is gone is told in
 * the log. LATER (outage): S3 cannot be had, or the service stops; call it again with the list as it is.
 */
int objects_fill(struct objects *objects, struct documents *documents, struct err *err) must_check;

#endif
