#include "itemloadd/documents.h"

#include <stdio.h>
#include <string.h>

#include "stac/collection.h"
#include "stac/list.h"

static void clear_document(struct document *document)
{
    pgstac_item_clear(&document->item);
    free(document->text);
    free(document->id);
}

static void clear_list(struct documents *documents)
{
    for (size_t i = 0; i < documents->n; i++)
        clear_document(&documents->list[i]);
    documents->n = 0;
}

void documents_clear(struct documents *documents)
{
    clear_list(documents);
    for (size_t i = 0; i < documents->n_messages; i++) {
        envelope_clear(&documents->messages[i].envelope);
        cJSON_Delete(documents->messages[i].json);
        buf_clear(&documents->messages[i].failures);
    }
    s3_references_clear(&documents->objects);
    free(documents->messages);
    free(documents->list);
    *documents = (struct documents){ .list = NULL };
}

/* ------------------------------------------------------------- reporting */

enum { FAILURES_MAX = 640, FAILURE_MAX = 300 }; /* of the dead letter's 1 KiB: when to stop, and for one */

/* LATER outweighs NEVER: while anything may still succeed the message stays. */
static bool is_worse(int result, int than)
{
    return result != 0 && (than == 0 || (result == LATER && than == NEVER));
}

void documents_report(struct documents *documents, size_t message, int result, const struct err *err)
{
    struct opened *opened = &documents->messages[message];
    opened->n_documents++;
    if (is_worse(result, opened->result)) {
        opened->result = result;
        opened->err = *err;
        opened->n_failed = opened->n_told = 0;
        buf_reset(&opened->failures);
    }
    if (result == 0 || result != opened->result)
        return;
    opened->n_failed++;
    if (opened->failures.len < FAILURES_MAX) {
        buf_printf(&opened->failures, "; %.*s", FAILURE_MAX, err->text);
        opened->n_told++;
    }
}

void documents_report_source(struct documents *documents, struct document_source source, int result,
                             const struct err *err)
{
    if (result == 0) {
        documents_report(documents, source.message, 0, NULL);
        return;
    }
    struct err named = *err;
    if (source.object && source.object->key)
        err_prefix(&named, "s3://%s/%.200s", source.object->bucket, source.object->key);
    else if (source.object)
        err_prefix(&named, "record %zu", source.object->record);
    documents_report(documents, source.message, result, &named);
}

static void report_document(struct documents *documents, const struct document *document)
{
    struct document_source source = { document->message, document->object };
    documents->messages[document->message].n_listed--;
    if (document->item.result == 0) {
        documents_report(documents, document->message, 0, NULL);
        return;
    }
    struct err err = document->item.err;
    if (document->number > 0)
        err_prefix(&err, "%zu (\"%.80s\")", document->number, document->id ? document->id : "(no id)");
    documents_report_source(documents, source, document->item.result, &err);
}

/* ---------------------------------------------------------------- opening */

/* Takes what the document owns. */
static int append(struct documents *documents, struct document *document, struct err *err)
{
    if (documents->n == documents->cap) {
        size_t cap = documents->cap ? documents->cap * 2 : documents->n_messages + 16;
        struct document *grown = reallocarray(documents->list, cap, sizeof(*grown));
        if (!grown)
            return err_no_memory(err);
        documents->list = grown;
        documents->cap = cap;
    }
    documents->list[documents->n++] = *document;
    documents->messages[document->message].n_listed++;
    *document = (struct document){ .text = NULL };
    return 0;
}

static int read_document(const struct pgstac *pgstac, const cJSON *json, struct document *document)
{
    struct pgstac_item *item = &document->item;
    const char *type = json_get_string(json, "type"), *id = json_get_string(json, "id");
    document->is_collection = type && strcmp(type, "Collection") == 0;
    document->id = id ? strdup(id) : NULL;
    if (id && !document->id)
        return err_no_memory(&item->err);
    return document->is_collection ? stac_collection_read(json, &id, &item->err) : pgstac_item_read(pgstac, json, item);
}

/* Adds what was parsed; the tree, ten times as large as the text, need not outlive it. */
static int add_parsed(struct documents *documents, struct document_source source, size_t number, struct json_slice text,
                      const cJSON *json, struct err *err)
{
    cleanup(clear_document) struct document document = { .message = source.message,
                                                         .number = number,
                                                         .object = source.object };
    struct pgstac_item *item = &document.item;
    item->text = text.text;
    item->text_len = text.len;
    item->published_at_ms =
        source.object ? source.object->published_at_ms : documents->messages[source.message].envelope.published_at_ms;
    if (source.object) {
        item->text = document.text = strndup(text.text, text.len);
        if (!document.text)
            return err_no_memory(err);
    }
    item->result = read_document(documents->pgstac, json, &document);
    document.settled = item->result != 0;
    if (item->result < 0) {
        *err = item->err;
        return item->result;
    }
    return append(documents, &document, err);
}

int documents_add(struct documents *documents, struct document_source source, size_t number, struct json_slice text,
                  struct err *err)
{
    auto_json cJSON *json = NULL;
    struct err why = ERR_INIT;
    int r = stac_item_parse(text.text, text.len, &json, &why);
    if (r == 0)
        return add_parsed(documents, source, number, text, json, err);
    if (r < 0) {
        *err = why;
        return r;
    }
    if (number > 0)
        err_prefix(&why, "%zu", number);
    documents_report_source(documents, source, r, &why);
    return 0;
}

/* What the message has instead of documents is the result of all of it. */
static int fail(struct documents *documents, size_t index, int result, const struct err *why, struct err *err)
{
    if (result < 0)
        *err = *why;
    else
        documents_report(documents, index, result, why);
    return result < 0 ? result : 0;
}

static int open_list(struct documents *documents, size_t index, struct err *err)
{
    const struct envelope *envelope = &documents->messages[index].envelope;
    struct document_source source = { .message = index };
    struct stac_list list;
    struct err why = ERR_INIT;
    int r = stac_list_open(envelope->payload, envelope->payload_len, &list, &why);
    while (r == 0) {
        struct json_slice text = { .text = NULL };
        r = stac_list_next(&list, &text, &why);
        if (r != 0 || !text.text)
            break;
        int added = documents_add(documents, source, list.n, text, err);
        if (added != 0)
            return added;
    }
    if (r == 0 && list.n == 0)
        r = err_never(&why, "no_items", "the message holds an empty list, no item");
    return r == 0 ? 0 : fail(documents, index, r, &why, err);
}

static int open_reference(struct documents *documents, size_t index, cJSON **json, struct err *err)
{
    struct opened *opened = &documents->messages[index];
    size_t before = documents->objects.n;
    opened->json = TAKE(*json);
    int r = s3_references_add(&documents->objects, opened->json, index, opened->envelope.published_at_ms, err);
    if (r != 0)
        return r;
    opened->names_objects = documents->objects.n > before;
    struct err why = ERR_INIT;
    if (!opened->names_objects)
        documents_report(documents, index, err_never(&why, "no_items", "an S3 event with an empty list of records"),
                         &why);
    return 0;
}

/* Lines of JSON begin like a document that has something behind it. */
static bool has_several(const char *text, size_t len)
{
    struct stac_list list;
    struct json_slice first = { .text = NULL }, second = first;
    return stac_list_open(text, len, &list, NULL) == 0 && stac_list_next(&list, &first, NULL) == 0 && first.text &&
           stac_list_next(&list, &second, NULL) == 0 && second.text;
}

/* An array of documents, or a FeatureCollection. An array that begins with a string may be a pointer. */
static bool may_be_list(const char *text, size_t len)
{
    static const char blanks[] = " \t\r\n", collection[] = "\"FeatureCollection\"";
    const char *at = text + strspn(text, blanks);
    if (*at == '[')
        return at[1 + strspn(at + 1, blanks)] != '"';
    return memmem(text, len, collection, strlen(collection)) != NULL;
}

static int open_payload(struct documents *documents, size_t index, struct err *err)
{
    const struct envelope *envelope = &documents->messages[index].envelope;
    const char *text = envelope->payload;
    size_t len = envelope->payload_len;
    if (may_be_list(text, len))
        return open_list(documents, index, err);
    auto_json cJSON *json = NULL;
    struct err why = ERR_INIT;
    int r = stac_item_parse(text, len, &json, &why);
    if (r == NEVER && has_several(text, len))
        return open_list(documents, index, err);
    if (r != 0)
        return fail(documents, index, r, &why, err);
    if (s3_is_reference(json))
        return open_reference(documents, index, &json, err);
    if (cJSON_IsArray(json))
        return open_list(documents, index, err);
    struct json_slice whole = { .text = text, .len = len };
    return add_parsed(documents, (struct document_source){ .message = index }, 0, whole, json, err);
}

static int open_message(struct documents *documents, size_t index, struct err *err)
{
    struct opened *opened = &documents->messages[index];
    struct err why = ERR_INIT;
    int r = envelope_open(opened->message, &opened->envelope, &why);
    return r == 0 ? open_payload(documents, index, err) : fail(documents, index, r, &why, err);
}

int documents_open(const struct pgstac *pgstac, const struct sqs_messages *messages, struct documents *ret,
                   struct err *err)
{
    auto_documents struct documents documents = { .pgstac = pgstac };
    documents.messages = calloc(messages->n + 1, sizeof(*documents.messages));
    if (!documents.messages)
        return err_no_memory(err);
    for (size_t i = 0; i < messages->n; i++) {
        documents.messages[i].message = &messages->list[i];
        documents.n_messages = i + 1;
        int r = open_message(&documents, i, err);
        if (r != 0)
            return r;
    }
    s3_references_sort(&documents.objects);
    *ret = documents;
    documents = (struct documents){ .list = NULL };
    return 0;
}

/* ----------------------------------------------------------- newest wins */

size_t documents_versions(struct documents *documents, struct newest_version *ret)
{
    size_t n = 0;
    for (size_t i = 0; i < documents->n; i++)
        if (!documents->list[i].settled && !documents->list[i].is_collection)
            ret[n++] = (struct newest_version){ .item = &documents->list[i].item, .order = i };
    newest_sort(ret, n);
    return n;
}

void documents_settle(struct documents *documents, const struct newest_version *versions, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        struct document *document = &documents->list[versions[i].order];
        document->settled = versions[i].settled;
        document->superseded = versions[i].superseded;
    }
}

/* -------------------------------------------------------------- concluding */

/* What is wrong with a message of several documents. */
static void describe(struct opened *opened)
{
    char more[40] = "";
    if (opened->n_failed > opened->n_told)
        snprintf(more, sizeof(more), "; and %zu more", opened->n_failed - opened->n_told);
    if (opened->result == NEVER)
        (void)err_never(&opened->err, opened->err.code, "%zu of %zu documents%s%s", opened->n_failed,
                        opened->n_documents, buf_str(&opened->failures), more);
    else
        (void)err_later(&opened->err, opened->err.code, "%zu of %zu documents%s%s", opened->n_failed,
                        opened->n_documents, buf_str(&opened->failures), more);
}

void documents_conclude(struct documents *documents)
{
    for (size_t i = 0; i < documents->n; i++)
        report_document(documents, &documents->list[i]);
    clear_list(documents);
    for (size_t i = 0; i < documents->n_messages; i++) {
        struct opened *opened = &documents->messages[i];
        opened->envelope.payload = NULL;
        free(TAKE(opened->envelope.text));
        if (opened->result != 0 && opened->n_documents > 1)
            describe(opened);
    }
}
