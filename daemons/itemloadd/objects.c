#include "itemloadd/objects.h"

#include <fnmatch.h>
#include <string.h>

#include "daemon/log.h"

static void close_object(struct object *object)
{
    buf_clear(&object->text);
    reader_clear(&object->reader);
    *object = (struct object){ .reference = NULL };
}

void objects_clear(struct objects *objects)
{
    for (size_t i = 0; i < objects->n_open; i++)
        close_object(&objects->open[i]);
    objects->n_open = objects->at = 0;
}

static struct document_source source_of(const struct s3_reference *reference)
{
    return (struct document_source){ reference->message, reference };
}

static void log_passed_over(const struct documents *documents, const struct s3_reference *reference, const char *why)
{
    const struct sqs_message *message = documents->messages[reference->message].message;
    log_write(LOG_INFO, LOG_EVENT_OBJECT_PASSED_OVER,
              LOG_FIELDS({ "SQS_MESSAGE_ID", message->message_id }, { "BUCKET", reference->bucket },
                         { "KEY", reference->key }),
              "%s%s%s%s%s: nothing to load (message %s)", why, reference->key ? ": s3://" : "",
              reference->key ? reference->bucket : "", reference->key ? "/" : "", reference->key ? reference->key : "",
              message->message_id);
}

/* -------------------------------------------------------------- which are read */

static bool is_allowed(const struct objects *objects, const struct s3_reference *reference)
{
    const struct config_list *buckets = &objects->options->s3_buckets;
    for (size_t i = 0; i < buckets->n; i++)
        if (fnmatch(buckets->items[i], reference->bucket, 0) == 0)
            return true;
    return false;
}

/* References to the same object are neighbours. The last one loads it for all of them. */
static bool is_named_again(const struct s3_references *references, size_t i)
{
    for (size_t k = i + 1; k < references->n && s3_reference_is_same(&references->list[i], &references->list[k]); k++)
        if (references->list[k].kind == S3_REFERENCE_LOAD)
            return true;
    return false;
}

static bool is_to_be_read(const struct objects *objects, const struct s3_references *references, size_t i)
{
    const struct s3_reference *reference = &references->list[i];
    return reference->kind == S3_REFERENCE_LOAD && is_allowed(objects, reference) && !is_named_again(references, i);
}

/* Reports or logs why the object of this reference is not read. */
static void pass_over(const struct objects *objects, struct documents *documents, const struct s3_reference *reference)
{
    struct err why = ERR_INIT;
    int result = 0;
    if (reference->kind == S3_REFERENCE_BAD)
        result = err_never(&why, "invalid_event", "not a record of an S3 event: %s", reference->wrong);
    else if (reference->kind != S3_REFERENCE_LOAD)
        log_passed_over(documents, reference, reference->event);
    else if (!is_allowed(objects, reference))
        result = err_never(&why, "bucket_not_allowed",
                           "bucket %s is not listed in itemloadd's s3_buckets; add it to load its objects",
                           reference->bucket);
    else
        log_passed_over(documents, reference, "named again in the same batch");
    documents_report(documents, source_of(reference), 0, result, &why);
}

/* ---------------------------------------------------------------- fetching */

static struct s3_get get_of(const struct s3_reference *reference, size_t max_len)
{
    return (struct s3_get){
        .object = { .bucket = reference->bucket, .key = reference->key, .version_id = reference->version_id },
        .max_len = max_len
    };
}

/* LATER: S3 is down or the service stops. Nothing was fetched then, and the caller tries all of it again. */
static int fetch(struct objects *objects, struct s3_get *gets, size_t n, struct err *err)
{
    size_t limit = (size_t)objects->options->document_limit;
    service_pulse(objects->worker, 600000 + (int64_t)(limit / 1024) * 10); /* three attempts at the largest */
    int r = s3_get_many(objects->client, gets, n, err);
    for (size_t i = 0; r == 0 && i < n; i++) {
        bool is_interrupted = err_is(&gets[i].err, "interrupted");
        if (gets[i].result != LATER || !(gets[i].err.outage || is_interrupted))
            continue;
        *err = gets[i].err;
        err->outage = true;
        err_prefix(err, "s3://%s/%.200s", gets[i].object.bucket, gets[i].object.key);
        r = LATER;
    }
    for (size_t i = 0; r != 0 && i < n; i++)
        buf_clear(&gets[i].body);
    return r;
}

/* Reports why the object was not fetched. */
static void refuse_object(const struct objects *objects, struct documents *documents,
                          const struct s3_reference *reference, const struct s3_get *get)
{
    struct err why = get->err;
    int result = get->result;
    if (err_is(&why, "no_such_key")) {
        log_passed_over(documents, reference, "the object no longer exists");
        result = 0;
    } else if (err_is(&why, "object_too_large")) {
        result =
            err_never(&why, "document_too_large", "the object is larger than itemloadd's document_limit, %lld bytes",
                      (long long)objects->options->document_limit);
    } else if (err_is(&why, "access_denied")) {
        result = err_later(&why, "access_denied",
                           "%s (itemloadd's role needs s3:GetObject, s3:GetObjectVersion for buckets with versions, "
                           "and s3:ListBucket, "
                           "without which S3 does not say that a key does not exist)",
                           get->err.text);
    }
    documents_report(documents, source_of(reference), 0, result, &why);
}

/* Begins to read the text, from its first document on. */
static void begin_reading(const struct objects *objects, struct object *object, enum object_state state)
{
    size_t limit = (size_t)objects->options->document_limit;
    struct reader_options options = { .may_unpack = true, .document_max = limit, .unpacked_max = (int64_t)limit };
    reader_clear(&object->reader);
    reader_init(&object->reader, &options);
    object->rest = (struct split_input){ .data = buf_str(&object->text), .len = object->text.len, .end = true };
    object->state = state;
}

static const char collection_word[] = "\"Collection\"";

static bool has_collection_word(const struct buf *text)
{
    return memmem(buf_str(text), text->len, collection_word, strlen(collection_word)) != NULL;
}

/* Takes the content. */
static void open_object(const struct objects *objects, struct documents *documents, struct object *object,
                        struct s3_get *got)
{
    if (got->result != 0) {
        refuse_object(objects, documents, object->reference, got);
        object->state = OBJECT_END;
        return;
    }
    object->text = got->body;
    got->body = (struct buf)BUF_INIT;
    bool is_compressed = encoding_of(buf_str(&object->text), object->text.len, true).kind != ENCODING_TEXT;
    object->may_have_collections = is_compressed || has_collection_word(&object->text);
    begin_reading(objects, object, object->may_have_collections ? OBJECT_COLLECTIONS : OBJECT_REST);
}

/* Fetches the objects of the next references, together. Those over OBJECTS_SMALL wait for their turn. */
static int open_next(struct objects *objects, struct documents *documents, struct err *err)
{
    const struct s3_references *references = &documents->objects;
    size_t limit = (size_t)objects->options->document_limit, n = 0, end = objects->next;
    struct s3_get gets[OBJECTS_AT_ONCE];
    for (; end < references->n && n < OBJECTS_AT_ONCE; end++)
        if (is_to_be_read(objects, references, end))
            gets[n++] = get_of(&references->list[end], limit < OBJECTS_SMALL ? limit : OBJECTS_SMALL);
    int r = fetch(objects, gets, n, err);
    if (r != 0)
        return r;
    objects->at = objects->n_open = 0;
    for (; objects->next < end; objects->next++) {
        const struct s3_reference *reference = &references->list[objects->next];
        if (!is_to_be_read(objects, references, objects->next)) {
            pass_over(objects, documents, reference);
            continue;
        }
        struct s3_get *got = &gets[objects->n_open];
        struct object *object = &objects->open[objects->n_open++];
        *object = (struct object){ .reference = reference, .state = OBJECT_LARGE };
        if (got->result == 0 || !err_is(&got->err, "object_too_large") || got->max_len == limit)
            open_object(objects, documents, object, got);
        buf_clear(&got->body);
    }
    return 0;
}

static int open_large(struct objects *objects, struct documents *documents, struct object *object, struct err *err)
{
    struct s3_get get = get_of(object->reference, (size_t)objects->options->document_limit);
    int r = fetch(objects, &get, 1, err);
    if (r != 0)
        return r;
    open_object(objects, documents, object, &get);
    buf_clear(&get.body);
    return 0;
}

/* ----------------------------------------------------------------- reading */

static int look_at_type(const struct split_document *document, bool *ret_is_collection, struct err *err)
{
    auto_json cJSON *json = NULL;
    *ret_is_collection = false;
    if (!has_collection_word(&document->text))
        return 0;
    struct err why = ERR_INIT;
    int r = split_document_parse(document, &json, &why);
    if (r < 0)
        *err = why;
    const char *type = json_get_string(json, "type");
    *ret_is_collection = type && strcmp(type, "Collection") == 0;
    return r < 0 ? r : 0;
}

/* The object has no further document (0), or none that can be read (NEVER, `why`). */
static void end_object(const struct objects *objects, struct documents *documents, struct object *object, int result,
                       struct err *why)
{
    const struct split_position *at = &object->reader.split.at;
    object->state = OBJECT_END;
    if (result == NEVER && err_is(why, "document_too_large"))
        (void)err_never(why, "document_too_large",
                        "unpacked, the object is larger than itemloadd's document_limit, %lld bytes",
                        (long long)objects->options->document_limit);
    if (result == NEVER && at->documents > 0)
        err_prefix(why, "line %lld", (long long)at->lines + 1);
    if (result == 0 && at->documents == 0)
        result = err_never(why, "no_items", "the object has no items: it is empty, or an empty list");
    if (result != 0)
        documents_report(documents, source_of(object->reference), 0, result, why);
}

/* Reads one document, and adds it if it is its turn: collections in the first pass, all others in the second. */
static int read_next(struct objects *objects, struct documents *documents, struct object *object, struct err *err)
{
    cleanup(split_document_clear) struct split_document document = { .text = BUF_INIT };
    struct err why = ERR_INIT;
    bool found = false, is_collection = false;
    int r = reader_next(&object->reader, &object->rest, &document, &found, &why);
    if (r < 0) {
        *err = why;
        return r;
    }
    if (!found && object->state == OBJECT_COLLECTIONS) {
        begin_reading(objects, object, OBJECT_REST); /* an error comes again there, and is reported then */
        return 0;
    }
    if (!found) {
        end_object(objects, documents, object, r, &why);
        return 0;
    }
    r = object->may_have_collections ? look_at_type(&document, &is_collection, err) : 0;
    if (r != 0 || is_collection != (object->state == OBJECT_COLLECTIONS))
        return r;
    objects->bytes += document.text.len;
    return documents_add(documents, source_of(object->reference), &document, err);
}

static bool is_full(const struct objects *objects, const struct documents *documents)
{
    return documents->n >= (size_t)objects->options->batch_items ||
           objects->bytes >= (size_t)objects->options->batch_bytes;
}

int objects_fill(struct objects *objects, struct documents *documents, struct err *err)
{
    int r = 0;
    if (documents->n == 0)
        objects->bytes = 0;
    while (r == 0 && !is_full(objects, documents)) {
        if (objects->at == objects->n_open) {
            if (objects->next == documents->objects.n)
                break;
            r = open_next(objects, documents, err);
            continue;
        }
        struct object *object = &objects->open[objects->at];
        switch (object->state) {
        case OBJECT_LARGE:
            r = open_large(objects, documents, object, err);
            break;
        case OBJECT_COLLECTIONS:
        case OBJECT_REST:
            r = read_next(objects, documents, object, err);
            break;
        case OBJECT_END:
            close_object(object);
            objects->at++;
            break;
        }
    }
    return r;
}
