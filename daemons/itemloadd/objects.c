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

static void tell(const struct documents *documents, const struct s3_reference *reference, const char *why)
{
    const struct sqs_message *message = documents->messages[reference->message].message;
    log_write(LOG_INFO, LOG_EVENT_OBJECT_PASSED_OVER,
              LOG_FIELDS({ "SQS_MESSAGE_ID", message->message_id }, { "BUCKET", reference->bucket },
                         { "KEY", reference->key }),
              "%s%s%s%s%s: nothing to load (message %s)", why, reference->key ? ": s3://" : "",
              reference->key ? reference->bucket : "", reference->key ? "/" : "", reference->key ? reference->key : "",
              message->message_id);
}

static void report(struct documents *documents, const struct s3_reference *reference, int result, const struct err *why)
{
    documents_report_source(documents, source_of(reference), 0, result, why);
}

/* ------------------------------------------------------ what is to be read */

static bool is_allowed(const struct objects *objects, const struct s3_reference *reference)
{
    const struct config_list *buckets = &objects->options->s3_buckets;
    for (size_t i = 0; i < buckets->n; i++)
        if (fnmatch(buckets->items[i], reference->bucket, 0) == 0)
            return true;
    return false;
}

/* Sorted: what is named twice stands side by side, and the last one brings the content for all. */
static bool comes_again(const struct s3_references *references, size_t i)
{
    for (size_t k = i + 1; k < references->n && s3_reference_is_same(&references->list[i], &references->list[k]); k++)
        if (references->list[k].kind == S3_REFERENCE_LOAD)
            return true;
    return false;
}

static bool is_to_be_read(const struct objects *objects, const struct s3_references *references, size_t i)
{
    const struct s3_reference *reference = &references->list[i];
    return reference->kind == S3_REFERENCE_LOAD && is_allowed(objects, reference) && !comes_again(references, i);
}

/* What is not to be read has its result. */
static void pass_over(const struct objects *objects, struct documents *documents, size_t i)
{
    const struct s3_reference *reference = &documents->objects.list[i];
    struct err why = ERR_INIT;
    int result = 0;
    if (reference->kind == S3_REFERENCE_BAD)
        result = err_never(&why, "invalid_event", "not an S3 event's record: %s", reference->wrong);
    else if (reference->kind != S3_REFERENCE_LOAD)
        tell(documents, reference, reference->event);
    else if (!is_allowed(objects, reference))
        result = err_never(&why, "bucket_not_allowed",
                           "itemloadd's s3_buckets do not list bucket %s: add it if its objects are to be loaded",
                           reference->bucket);
    else
        tell(documents, reference, "named again in the same batch");
    report(documents, reference, result, &why);
}

/* ----------------------------------------------------------------- getting */

static struct s3_get get_of(const struct s3_reference *reference, size_t max_len)
{
    return (struct s3_get){
        .object = { .bucket = reference->bucket, .key = reference->key, .version_id = reference->version_id },
        .max_len = max_len
    };
}

/* LATER where S3 is down, or the service stops: then nothing was got, and all of it is tried again. */
static int get(struct objects *objects, struct s3_get *gets, size_t n, struct err *err)
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

/* What is no object's content becomes the result of its reference. */
static void refuse(struct objects *objects, struct documents *documents, const struct s3_reference *reference,
                   const struct s3_get *get)
{
    struct err why = get->err;
    int result = get->result;
    if (err_is(&why, "no_such_key")) {
        tell(documents, reference, "the object is gone");
        result = 0;
    } else if (err_is(&why, "object_too_large")) {
        result =
            err_never(&why, "document_too_large", "the object is larger than itemloadd's document_limit, %lld bytes",
                      (long long)objects->options->document_limit);
    } else if (err_is(&why, "access_denied")) {
        result = err_later(
            &why, "access_denied",
            "%s (itemloadd's role needs s3:GetObject, s3:GetObjectVersion where there are versions, and s3:ListBucket "
            "to be told that a key is gone)",
            get->err.text);
    }
    report(documents, reference, result, &why);
}

/* Begins with its first document, again where all were looked at for collections. */
static void begin_look(const struct objects *objects, struct object *object, bool for_collections)
{
    size_t limit = (size_t)objects->options->document_limit;
    struct reader_options options = { .may_unpack = true, .document_max = limit, .unpacked_max = (int64_t)limit };
    reader_clear(&object->reader);
    reader_init(&object->reader, &options);
    object->rest = (struct split_input){ .data = buf_str(&object->text), .len = object->text.len, .end = true };
    object->is_first_look = for_collections;
}

static bool may_have_collections(const struct buf *text)
{
    static const char word[] = "\"Collection\"";
    bool is_packed = encoding_of(buf_str(text), text->len, true).kind != ENCODING_TEXT;
    return is_packed || memmem(buf_str(text), text->len, word, strlen(word)) != NULL;
}

static void open_text(const struct objects *objects, struct object *object, struct buf *text)
{
    object->text = *text;
    *text = (struct buf)BUF_INIT;
    object->is_got = true;
    object->has_collections = may_have_collections(&object->text);
    begin_look(objects, object, object->has_collections);
}

static void take(struct objects *objects, struct documents *documents, struct object *object, struct s3_get *got)
{
    if (got->result == 0)
        open_text(objects, object, &got->body);
    else
        refuse(objects, documents, object->reference, got);
}

static bool is_left_for_later(const struct objects *objects, const struct s3_get *got)
{
    return err_is(&got->err, "object_too_large") && got->result != 0 &&
           got->max_len < (size_t)objects->options->document_limit;
}

/* Looks at the next references, and gets what they name together. */
static int open_next(struct objects *objects, struct documents *documents, struct err *err)
{
    const struct s3_references *references = &documents->objects;
    size_t limit = (size_t)objects->options->document_limit, n = 0, i = objects->next;
    struct s3_get gets[OBJECTS_AT_ONCE];
    const struct s3_reference *chosen[OBJECTS_AT_ONCE];
    for (; i < references->n && n < OBJECTS_AT_ONCE; i++) {
        if (!is_to_be_read(objects, references, i))
            continue;
        chosen[n] = &references->list[i];
        gets[n++] = get_of(&references->list[i], limit < OBJECTS_SMALL ? limit : OBJECTS_SMALL);
    }
    int r = get(objects, gets, n, err);
    if (r != 0)
        return r;
    for (; objects->next < i; objects->next++)
        if (!is_to_be_read(objects, references, objects->next))
            pass_over(objects, documents, objects->next);
    objects->at = objects->n_open = 0;
    for (size_t k = 0; k < n; k++) {
        struct object *object = &objects->open[k];
        *object = (struct object){ .reference = chosen[k], .is_large = is_left_for_later(objects, &gets[k]) };
        objects->n_open = k + 1;
        if (!object->is_large)
            take(objects, documents, object, &gets[k]);
        buf_clear(&gets[k].body);
    }
    return 0;
}

static int open_large(struct objects *objects, struct documents *documents, struct object *object, struct err *err)
{
    struct s3_get get_one = get_of(object->reference, (size_t)objects->options->document_limit);
    int r = get(objects, &get_one, 1, err);
    if (r != 0)
        return r;
    object->is_large = false;
    take(objects, documents, object, &get_one);
    buf_clear(&get_one.body);
    return 0;
}

/* ----------------------------------------------------------------- reading */

static int look_at_type(const struct split_document *document, bool *ret_is_collection, struct err *err)
{
    static const char word[] = "\"Collection\"";
    auto_json cJSON *json = NULL;
    *ret_is_collection = false;
    if (!memmem(buf_str(&document->text), document->text.len, word, strlen(word)))
        return 0;
    struct err why = ERR_INIT;
    int r = split_document_parse(document, &json, &why);
    if (r < 0)
        *err = why;
    const char *type = json_get_string(json, "type");
    *ret_is_collection = type && strcmp(type, "Collection") == 0;
    return r < 0 ? r : 0;
}

/* The object has no further document, or none that can be read: `why` says what keeps it from that. */
static void end_object(const struct objects *objects, struct documents *documents, const struct object *object,
                       int result, struct err *why)
{
    const struct split_position *at = &object->reader.split.at;
    if (result == NEVER && err_is(why, "document_too_large"))
        (void)err_never(why, "document_too_large",
                        "unpacked, the object is larger than itemloadd's document_limit, %lld bytes",
                        (long long)objects->options->document_limit);
    if (result == NEVER && at->documents > 0)
        err_prefix(why, "line %lld", (long long)at->lines + 1);
    if (result == 0 && at->documents == 0)
        result = err_never(why, "no_items", "an empty list, or nothing at all: no item");
    if (result != 0)
        report(documents, object->reference, result, why);
}

/* Adds the object's next document; *ret_done: it has no other. */
static int read_next(struct objects *objects, struct documents *documents, struct object *object, bool *ret_done,
                     struct err *err)
{
    cleanup(split_document_clear) struct split_document document = { .text = BUF_INIT };
    struct err why = ERR_INIT;
    bool found = false, is_collection = false;
    /* One that could not be got has its result, and no text. */
    int r = object->is_got ? reader_next(&object->reader, &object->rest, &document, &found, &why) : 0;
    if (r < 0) {
        *err = why;
        return r;
    }
    if (!found && object->is_first_look) { /* what ends it early ends the second look too, and is reported then */
        begin_look(objects, object, false);
        return 0;
    }
    *ret_done = !found;
    if (!found && object->is_got)
        end_object(objects, documents, object, r, &why);
    if (!found)
        return 0;
    r = object->has_collections ? look_at_type(&document, &is_collection, err) : 0;
    if (r != 0 || is_collection != object->is_first_look)
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
        struct object *object = &objects->open[objects->at];
        bool is_done = false;
        if (objects->at < objects->n_open) {
            r = object->is_large ? open_large(objects, documents, object, err)
                                 : read_next(objects, documents, object, &is_done, err);
            if (is_done) {
                close_object(object);
                objects->at++;
            }
        } else if (objects->next < documents->objects.n) {
            r = open_next(objects, documents, err);
        } else {
            break;
        }
    }
    return r;
}
