#include "aws/s3_event.h"

#include <string.h>

#include "base/time.h"
#include "http/http.h"

void s3_references_clear(struct s3_references *references)
{
    for (size_t i = 0; i < references->n; i++)
        free(references->list[i].key);
    free(references->list);
    *references = (struct s3_references){ .list = NULL };
}

static bool is_test_event(const cJSON *json)
{
    const char *event = json_get_string(json, "Event");
    return event && strcmp(event, "s3:TestEvent") == 0;
}

static bool is_eventbridge(const cJSON *json)
{
    const char *source = json_get_string(json, "source");
    return source && strcmp(source, "aws.s3") == 0 && json_get_string(json, "detail-type") &&
           cJSON_IsObject(json_get(json, "detail"));
}

/* The first element of a pointer to S3, its class. NULL: `json` is not a pointer. */
static const cJSON *pointer_of(const cJSON *json)
{
    static const char *const classes[] = { "software.amazon.payloadoffloading.PayloadS3Pointer",
                                           "com.amazon.sqs.javamessaging.MessageS3Pointer" };
    const cJSON *name = json && cJSON_IsArray(json) ? json->child : NULL;
    const char *text = cJSON_GetStringValue(name);
    for (size_t i = 0; text && i < N_ELEMENTS(classes); i++)
        if (strcmp(text, classes[i]) == 0)
            return name;
    return NULL;
}

bool s3_is_reference(const cJSON *json)
{
    if (json_get(json, "type")) /* GeoJSON; an item may have foreign members with any name */
        return false;
    return is_test_event(json) || cJSON_IsArray(json_get(json, "Records")) || is_eventbridge(json) || pointer_of(json);
}

/* Moves the reference to the end of the list, with its key. */
static int append_reference(struct s3_references *references, struct s3_reference *reference, struct err *err)
{
    if (references->n == references->cap) {
        size_t cap = references->cap ? references->cap * 2 : 16;
        struct s3_reference *grown = reallocarray(references->list, cap, sizeof(*grown));
        if (!grown)
            return err_no_memory(err);
        references->list = grown;
        references->cap = cap;
    }
    references->list[references->n++] = *reference;
    reference->key = NULL;
    return 0;
}

static void free_key(struct s3_reference *reference)
{
    free(reference->key);
}

static bool is_text(const char *text)
{
    return text && *text;
}

static int read_pointer(const cJSON *name, struct s3_reference *ret, struct err *err)
{
    const char *bucket = json_get_string(name->next, "s3BucketName"), *key = json_get_string(name->next, "s3Key");
    if (!is_text(bucket) || !is_text(key)) {
        ret->wrong = "the pointer has no s3BucketName and s3Key";
        return 0;
    }
    ret->key = strdup(key);
    if (!ret->key)
        return err_no_memory(err);
    ret->bucket = bucket;
    ret->kind = S3_REFERENCE_LOAD;
    return 0;
}

static bool begins_with(const char *text, const char *beginning)
{
    return strncmp(text, beginning, strlen(beginning)) == 0;
}

static enum s3_reference_kind kind_of(const char *event)
{
    if (begins_with(event, "s3:")) /* other stores than Amazon's write this prefix */
        event += strlen("s3:");
    if (begins_with(event, "ObjectCreated:") || strcmp(event, "Object Created") == 0)
        return S3_REFERENCE_LOAD;
    if (begins_with(event, "ObjectRemoved:") || begins_with(event, "LifecycleExpiration:") ||
        strcmp(event, "Object Deleted") == 0)
        return S3_REFERENCE_REMOVED;
    return S3_REFERENCE_OTHER;
}

/* *ret stays NULL if the key is invalid. */
static int decode_key(const char *encoded, char **ret, struct err *err)
{
    auto_buf struct buf key = BUF_INIT;
    bool ok = http_percent_decode(encoded, strlen(encoded), true, &key);
    if (buf_failed(&key))
        return err_no_memory(err);
    if (!ok || key.len == 0 || strlen(buf_str(&key)) < key.len)
        return 0;
    *ret = buf_take(&key);
    return *ret ? 0 : err_no_memory(err);
}

/* The parts that both kinds of events have. */
static void set_details(const char *bucket, const char *version_id, const char *sequencer, const char *time,
                        struct s3_reference *ret)
{
    int64_t time_us = 0;
    ret->bucket = bucket;
    ret->version_id = is_text(version_id) ? version_id : NULL;
    ret->sequencer = is_text(sequencer) ? sequencer : NULL;
    ret->kind = kind_of(ret->event);
    if (time && time_parse_rfc3339(time, &time_us) && time_us >= 0)
        ret->published_at_ms = time_us / 1000;
}

static int read_record(const cJSON *record, struct s3_reference *ret, struct err *err)
{
    const cJSON *s3 = json_get(record, "s3"), *object = json_get(s3, "object");
    const char *bucket = json_get_string(json_get(s3, "bucket"), "name"), *key = json_get_string(object, "key");
    ret->event = json_get_string(record, "eventName");
    if (!ret->event)
        ret->wrong = "no eventName";
    else if (!is_text(bucket))
        ret->wrong = "no s3.bucket.name";
    else if (!is_text(key))
        ret->wrong = "no s3.object.key";
    if (ret->wrong)
        return 0;
    int r = decode_key(key, &ret->key, err);
    if (r != 0)
        return r;
    if (!ret->key) {
        ret->wrong = "s3.object.key is not URL-encoded";
        return 0;
    }
    set_details(bucket, json_get_string(object, "versionId"), json_get_string(object, "sequencer"),
                json_get_string(record, "eventTime"), ret);
    return 0;
}

static int read_eventbridge(const cJSON *json, struct s3_reference *ret, struct err *err)
{
    const cJSON *detail = json_get(json, "detail"), *object = json_get(detail, "object");
    const char *bucket = json_get_string(json_get(detail, "bucket"), "name"), *key = json_get_string(object, "key");
    ret->event = json_get_string(json, "detail-type");
    if (kind_of(ret->event) == S3_REFERENCE_OTHER && !(is_text(bucket) && is_text(key))) {
        ret->kind = S3_REFERENCE_OTHER;
        return 0;
    }
    if (!is_text(bucket))
        ret->wrong = "no detail.bucket.name";
    else if (!is_text(key))
        ret->wrong = "no detail.object.key";
    if (ret->wrong)
        return 0;
    ret->key = strdup(key);
    if (!ret->key)
        return err_no_memory(err);
    set_details(bucket, json_get_string(object, "version-id"), json_get_string(object, "sequencer"),
                json_get_string(json, "time"), ret);
    return 0;
}

int s3_references_add(struct s3_references *references, const cJSON *json, size_t message, int64_t published_at_ms,
                      struct err *err)
{
    const cJSON *records = json_get(json, "Records"), *pointer = pointer_of(json);
    bool has_records = records && cJSON_IsArray(records);
    const cJSON *item = has_records ? records->child : json;
    for (size_t record = 1; item; record++) {
        cleanup(free_key) struct s3_reference reference = {
            .kind = S3_REFERENCE_BAD, .message = message, .record = record, .published_at_ms = published_at_ms
        };
        int r = 0;
        if (has_records) {
            r = read_record(item, &reference, err);
        } else if (pointer) {
            r = read_pointer(pointer, &reference, err);
        } else if (is_eventbridge(json)) {
            r = read_eventbridge(json, &reference, err);
        } else {
            reference.kind = S3_REFERENCE_OTHER;
            reference.event = json_get_string(json, "Event");
        }
        if (r == 0)
            r = append_reference(references, &reference, err);
        if (r != 0)
            return r;
        item = has_records ? item->next : NULL;
    }
    return 0;
}

/* ----------------------------------------------------------------- order */

/* Compares hexadecimal strings. The shorter one is padded with zeros on the right. */
static int compare_sequencers(const char *a, const char *b)
{
    for (; *a || *b; a += *a != 0, b += *b != 0) {
        char x = *a ? *a : '0', y = *b ? *b : '0';
        if (x != y)
            return (x > y) - (x < y);
    }
    return 0;
}

static int compare_texts(const char *a, const char *b)
{
    return a && b ? strcmp(a, b) : (a != NULL) - (b != NULL);
}

static int compare_objects(const struct s3_reference *a, const struct s3_reference *b)
{
    int order = compare_texts(a->bucket, b->bucket);
    return order != 0 ? order : compare_texts(a->key, b->key);
}

static int compare_references(const void *a, const void *b)
{
    const struct s3_reference *x = a, *y = b;
    int order = compare_objects(x, y);
    if (order == 0)
        order = (x->sequencer != NULL) - (y->sequencer != NULL);
    if (order == 0 && x->sequencer)
        order = compare_sequencers(x->sequencer, y->sequencer);
    if (order == 0)
        order = (x->published_at_ms > y->published_at_ms) - (x->published_at_ms < y->published_at_ms);
    if (order == 0)
        order = (x->message > y->message) - (x->message < y->message);
    return order != 0 ? order : (x->record > y->record) - (x->record < y->record);
}

void s3_references_sort(struct s3_references *references)
{
    if (references->n > 1)
        qsort(references->list, references->n, sizeof(*references->list), compare_references);
    for (size_t i = 1; i < references->n; i++) {
        const struct s3_reference *before = &references->list[i - 1];
        struct s3_reference *reference = &references->list[i];
        if (before->key && compare_objects(before, reference) == 0 && before->sequencer && reference->sequencer &&
            reference->published_at_ms < before->published_at_ms)
            reference->published_at_ms = before->published_at_ms;
    }
}

bool s3_reference_is_same(const struct s3_reference *a, const struct s3_reference *b)
{
    return a->key && b->key && compare_objects(a, b) == 0 && compare_texts(a->version_id, b->version_id) == 0;
}
