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

/* Which of two documents of one item is newer; `a` and `b` are indexes, later arrivals have greater ones. */
static int compare_age(const struct documents *documents, size_t a, size_t b)
{
    int64_t x = documents->list[a].item.published_at_ms, y = documents->list[b].item.published_at_ms;
    return x != y ? (x > y) - (x < y) : (a > b) - (a < b);
}

static int compare_ids(const struct document *a, const struct document *b)
{
    int order = strcmp(a->item.item.collection, b->item.item.collection);
    return order != 0 ? order : strcmp(a->item.item.id, b->item.item.id);
}

static int compare_documents(const void *a, const void *b, void *context)
{
    const struct documents *documents = context;
    size_t x = *(const size_t *)a, y = *(const size_t *)b;
    int order = compare_ids(&documents->list[x], &documents->list[y]);
    return order != 0 ? order : compare_age(documents, x, y);
}

/* The items without a result, sorted by collection, id and age. */
static size_t sorted_items(const struct documents *documents, size_t *ret_index)
{
    size_t n = 0;
    for (size_t i = 0; i < documents->n; i++)
        if (!documents->list[i].settled && !documents->list[i].is_collection)
            ret_index[n++] = i;
    qsort_r(ret_index, n, sizeof(*ret_index), compare_documents, (void *)(uintptr_t)documents);
    return n;
}

size_t documents_newest(const struct documents *documents, size_t *ret_index)
{
    size_t n = sorted_items(documents, ret_index), newest = 0;
    for (size_t i = 0; i < n; i++)
        if (i + 1 == n || compare_ids(&documents->list[ret_index[i]], &documents->list[ret_index[i + 1]]) != 0)
            ret_index[newest++] = ret_index[i];
    return newest;
}

static const size_t *find_candidate(const struct documents *documents, const size_t *candidates, size_t n, size_t index)
{
    size_t low = 0, high = n;
    while (low < high) {
        size_t middle = low + (high - low) / 2;
        int order = compare_ids(&documents->list[candidates[middle]], &documents->list[index]);
        if (order == 0)
            return &candidates[middle];
        if (order < 0)
            low = middle + 1;
        else
            high = middle;
    }
    return NULL;
}

void documents_supersede(struct documents *documents, const size_t *candidates, size_t n)
{
    for (size_t i = 0; i < n; i++)
        documents->list[candidates[i]].settled = true;
    for (size_t i = 0; i < documents->n; i++) {
        struct document *document = &documents->list[i];
        if (document->settled || document->is_collection)
            continue;
        const size_t *candidate = find_candidate(documents, candidates, n, i);
        if (!candidate || documents->list[*candidate].item.result == NEVER)
            continue;
        document->item.result = 0;
        document->superseded = document->settled = true;
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
