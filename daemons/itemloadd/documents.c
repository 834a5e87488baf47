#include "itemloadd/documents.h"

#include <stdio.h>
#include <string.h>

#include "base/json_slice.h"
#include "stac/collection.h"

static void document_clear(struct document *document)
{
    free(document->id);
    pgstac_item_clear(&document->item);
}

void documents_clear(struct documents *documents)
{
    for (size_t i = 0; i < documents->n; i++)
        document_clear(&documents->list[i]);
    for (size_t i = 0; i < documents->n_messages; i++)
        envelope_clear(&documents->messages[i].envelope);
    free(documents->messages);
    free(documents->list);
    *documents = (struct documents){ .list = NULL };
}

/* ---------------------------------------------------------------- opening */

/* Takes the document over. */
static int add_document(struct documents *documents, struct document *document, struct err *err)
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
    documents->messages[document->message].n_documents++;
    *document = (struct document){ .id = NULL };
    return 0;
}

static int read_document(const struct pgstac *pgstac, struct document *document, struct err *err)
{
    struct pgstac_item *item = &document->item;
    auto_json cJSON *json = NULL; /* ten times as large as the text: it is gone again when this returns */
    int r = json_parse(item->text, item->text_len, &json, err);
    if (r != 0)
        return r;
    const char *type = json_get_string(json, "type"), *id = json_get_string(json, "id");
    document->is_collection = type && strcmp(type, "Collection") == 0;
    if (id) {
        document->id = strdup(id);
        if (!document->id)
            return err_no_memory(err);
    }
    return document->is_collection ? stac_collection_read(json, &id, err) : pgstac_item_read(pgstac, json, item);
}

static int open_document(const struct pgstac *pgstac, struct documents *documents, size_t message,
                         struct json_slice text, struct err *err)
{
    cleanup(document_clear) struct document document = {
        .message = message,
        .item = { .text = text.text,
                  .text_len = text.len,
                  .published_at_ms = documents->messages[message].envelope.published_at_ms },
    };
    struct pgstac_item *item = &document.item;
    item->result = read_document(pgstac, &document, &item->err);
    document.settled = item->result != 0;
    if (item->result < 0) {
        *err = item->err;
        return item->result;
    }
    return add_document(documents, &document, err);
}

/* The list that a message of many documents holds. */
static bool find_list(struct json_slice text, struct json_slice *ret)
{
    *ret = text;
    if (text.len > 0 && text.text[0] == '[')
        return true;
    struct json_slice type;
    return memmem(text.text, text.len, "\"FeatureCollection\"", 19) && json_slice_member(text, "type", &type) &&
           json_slice_is(type, "FeatureCollection") && json_slice_member(text, "features", ret) && ret->len > 0 &&
           ret->text[0] == '[';
}

static int open_list(const struct pgstac *pgstac, struct documents *documents, size_t message, struct json_slice list,
                     struct err *err)
{
    size_t at = 0;
    struct json_slice text;
    while (json_slice_next(list, &at, &text)) {
        int r = open_document(pgstac, documents, message, text, err);
        if (r != 0)
            return r;
    }
    struct opened *opened = &documents->messages[message];
    if (opened->n_documents == 0)
        opened->result = err_never(&opened->err, "no_items", "the message holds an empty list, no item");
    return 0;
}

static int open_message(const struct pgstac *pgstac, struct documents *documents, size_t index, struct err *err)
{
    struct opened *opened = &documents->messages[index];
    const struct envelope *envelope = &opened->envelope;
    opened->result = envelope_open(opened->message, &opened->envelope, &opened->err);
    struct json_slice list, text = { .text = envelope->payload, .len = envelope->payload_len };
    if (opened->result == 0 && !find_list(json_slice_of(text.text, text.len), &list))
        return open_document(pgstac, documents, index, text, err);
    /* Whole before its documents are: half a list would be loaded else. */
    if (opened->result == 0)
        opened->result = json_check(text.text, text.len, &opened->err);
    if (opened->result == 0)
        return open_list(pgstac, documents, index, list, err);
    if (opened->result < 0)
        *err = opened->err;
    return opened->result < 0 ? opened->result : 0;
}

int documents_open(const struct pgstac *pgstac, const struct sqs_messages *messages, struct documents *ret,
                   struct err *err)
{
    auto_documents struct documents documents = { .list = NULL };
    documents.messages = calloc(messages->n + 1, sizeof(*documents.messages));
    if (!documents.messages)
        return err_no_memory(err);
    for (size_t i = 0; i < messages->n; i++) {
        documents.messages[i].message = &messages->list[i];
        documents.n_messages = i + 1;
        int r = open_message(pgstac, &documents, i, err);
        if (r != 0)
            return r;
    }
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

/* Names each document of the message that has this result. */
static void describe(const struct documents *documents, size_t first, struct opened *opened, int result)
{
    auto_buf struct buf text = BUF_INIT;
    size_t n = 0;
    const char *code = NULL;
    for (size_t i = first; i < first + opened->n_documents; i++) {
        const struct document *document = &documents->list[i];
        if (document->item.result != result)
            continue;
        code = document->item.err.code;
        n++;
        if (text.len < ERR_TEXT_SIZE)
            buf_printf(&text, "; %zu (\"%.80s\"): %.300s", i - first + 1, document->id ? document->id : "(no id)",
                       document->item.err.text);
    }
    if (result == NEVER)
        opened->result =
            err_never(&opened->err, code, "%zu of %zu documents%.900s", n, opened->n_documents, buf_str(&text));
    else
        opened->result =
            err_later(&opened->err, code, "%zu of %zu documents%.900s", n, opened->n_documents, buf_str(&text));
}

void documents_conclude(struct documents *documents)
{
    size_t first = 0; /* documents lie in the order of their messages */
    for (size_t m = 0; m < documents->n_messages; m++) {
        struct opened *opened = &documents->messages[m];
        size_t n = opened->n_documents;
        int worst = 0;
        for (size_t i = first; i < first + n; i++) {
            int result = documents->list[i].item.result;
            worst = result == LATER || worst == LATER ? LATER : result > worst ? result : worst;
        }
        if (n == 1) {
            opened->result = worst;
            opened->err = documents->list[first].item.err;
        } else if (worst != 0) {
            describe(documents, first, opened, worst);
        }
        first += n;
    }
}
