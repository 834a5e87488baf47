#include "itemloadd/documents.h"

#include <stdio.h>
#include <string.h>

#include "stac/collection.h"

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
        buf_clear(&documents->messages[i].lines);
    }
    s3_references_clear(&documents->objects);
    free(documents->messages);
    free(documents->list);
    *documents = (struct documents){ .list = NULL };
}

/* ------------------------------------------------------------- reporting */

/* Of the dead letter's 1 KiB: when to stop, and for one; then only lines are told. */
enum { FAILURES_MAX = 440, FAILURE_MAX = 300, LINES_MAX = 180 };

/* LATER outweighs NEVER: while anything may still succeed the message stays. */
static bool is_worse(int result, int than)
{
    return result != 0 && (than == 0 || (result == LATER && than == NEVER));
}

static void add_failure(struct opened *opened, int64_t line, const struct err *err)
{
    opened->n_failed++;
    if (opened->failures.len < FAILURES_MAX) {
        buf_printf(&opened->failures, "; %.*s", FAILURE_MAX, err->text);
        opened->n_told++;
    } else if (line > 0 && opened->lines.len < LINES_MAX) {
        buf_printf(&opened->lines, opened->lines.len ? ", %lld" : "; also at lines %lld", (long long)line);
        opened->n_told++;
    }
}

void documents_report(struct documents *documents, size_t message, int64_t line, int result, const struct err *err)
{
    struct opened *opened = &documents->messages[message];
    opened->n_documents++;
    if (is_worse(result, opened->result)) {
        opened->result = result;
        opened->err = *err;
        opened->n_failed = opened->n_told = 0;
        buf_reset(&opened->failures);
        buf_reset(&opened->lines);
    }
    if (result != 0 && result == opened->result)
        add_failure(opened, line, err);
}

void documents_report_source(struct documents *documents, struct document_source source, int64_t line, int result,
                             const struct err *err)
{
    if (result == 0) {
        documents_report(documents, source.message, 0, 0, NULL);
        return;
    }
    struct err named = *err;
    if (source.object && source.object->key)
        err_prefix(&named, "s3://%s/%.200s", source.object->bucket, source.object->key);
    else if (source.object)
        err_prefix(&named, "record %zu", source.object->record);
    bool is_one_text = documents->messages[source.message].n_objects <= 1;
    documents_report(documents, source.message, is_one_text ? line : 0, result, &named);
}

static void report_document(struct documents *documents, const struct document *document)
{
    struct document_source source = { document->message, document->object };
    documents->messages[document->message].n_listed--;
    if (document->item.result == 0) {
        documents_report(documents, document->message, 0, 0, NULL);
        return;
    }
    struct err err = document->item.err;
    if (document->number > 0)
        err_prefix(&err, "document %lld, line %lld (%s%.80s%s)", (long long)document->number, (long long)document->line,
                   document->id ? "\"" : "", document->id ? document->id : "no id", document->id ? "\"" : "");
    documents_report_source(documents, source, document->line, document->item.result, &err);
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

/* Adds what was parsed, and takes what the document owns; the tree, ten times as large as the text, need not outlive
 * it.
 */
static int add_parsed(struct documents *documents, struct document *document, const cJSON *json, struct err *err)
{
    struct pgstac_item *item = &document->item;
    item->published_at_ms = document->object ? document->object->published_at_ms
                                             : documents->messages[document->message].envelope.published_at_ms;
    item->result = read_document(documents->pgstac, json, document);
    document->settled = item->result != 0;
    if (item->result < 0) {
        *err = item->err;
        return item->result;
    }
    return append(documents, document, err);
}

static int add_read(struct documents *documents, struct document_source source, struct split_document *read,
                    bool is_alone, struct err *err)
{
    auto_json cJSON *json = NULL;
    struct err why = ERR_INIT;
    int r = split_document_parse(read, &json, &why);
    if (r < 0) {
        *err = why;
        return r;
    }
    if (r != 0) {
        if (!is_alone)
            err_prefix(&why, "document %lld, line %lld", (long long)read->index + 1, (long long)read->line);
        documents_report_source(documents, source, read->line, r, &why);
        return 0;
    }
    cleanup(clear_document) struct document document = {
        .message = source.message, .number = is_alone ? 0 : read->index + 1, .line = read->line, .object = source.object
    };
    document.item.text_len = read->text.len;
    document.item.text = document.text = buf_take(&read->text);
    return document.text ? add_parsed(documents, &document, json, err) : err_no_memory(err);
}

int documents_add(struct documents *documents, struct document_source source, struct split_document *document,
                  struct err *err)
{
    return add_read(documents, source, document, false, err);
}

/* What the message has instead of documents is the result of all of it. */
static int fail(struct documents *documents, size_t index, int result, const struct err *why, struct err *err)
{
    if (result < 0)
        *err = *why;
    else
        documents_report(documents, index, 0, result, why);
    return result < 0 ? result : 0;
}

/* Each document is added when it is known whether there is another one: one that is alone needs no number. */
static int open_text(struct documents *documents, size_t index, struct split_input text, struct err *err)
{
    cleanup(reader_clear) struct reader reader;
    cleanup(split_document_clear) struct split_document document = { .text = BUF_INIT };
    struct document_source source = { .message = index };
    struct err why = ERR_INIT;
    bool found = false;
    reader_init(&reader, &(struct reader_options){ .may_unpack = false });
    int r = reader_next(&reader, &text, &document, &found, &why);
    bool is_first = true;
    if (r == 0 && !found)
        r = err_never(&why, "no_items", "an empty list, or nothing at all: no item");
    while (r == 0 && found) {
        struct split_document next = { .text = BUF_INIT };
        r = reader_next(&reader, &text, &next, &found, &why);
        int added = r >= 0 ? add_read(documents, source, &document, is_first && !found, err) : 0;
        split_document_clear(&document);
        document = next;
        is_first = false;
        if (added != 0)
            return added;
    }
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
    opened->n_objects = documents->objects.n - before;
    struct err why = ERR_INIT;
    if (opened->n_objects == 0)
        documents_report(documents, index, 0, err_never(&why, "no_items", "an S3 event with an empty list of records"),
                         &why);
    return 0;
}

/* An object that is not a FeatureCollection, or a pointer: as a rule one value, which is parsed at once. */
static bool may_be_whole(struct split_input text)
{
    static const char blanks[] = " \t\r\n", features[] = "\"features\"";
    const char *at = text.data + strspn(text.data, blanks);
    if (*at == '[')
        return at[1 + strspn(at + 1, blanks)] == '"';
    return *at == '{' && memmem(text.data, text.len, features, strlen(features)) == NULL;
}

static int open_payload(struct documents *documents, size_t index, struct err *err)
{
    const struct envelope *envelope = &documents->messages[index].envelope;
    size_t mark_len = encoding_of(envelope->payload, envelope->payload_len, true).mark_len;
    struct split_input text = { .data = envelope->payload + mark_len,
                                .len = envelope->payload_len - mark_len,
                                .end = true };
    auto_json cJSON *json = NULL;
    struct err why = ERR_INIT;
    int r = may_be_whole(text) ? stac_item_parse(text.data, text.len, &json, &why) : NEVER;
    if (r < 0)
        return fail(documents, index, r, &why, err);
    if (r == 0 && s3_is_reference(json))
        return open_reference(documents, index, &json, err);
    if (r != 0 || cJSON_IsArray(json))
        return open_text(documents, index, text, err);
    cleanup(clear_document) struct document document = { .message = index };
    document.item.text = text.data;
    document.item.text_len = text.len;
    return add_parsed(documents, &document, json, err);
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

size_t documents_versions(struct documents *documents, struct dedupe_version *ret)
{
    size_t n = 0;
    for (size_t i = 0; i < documents->n; i++)
        if (!documents->list[i].settled && !documents->list[i].is_collection)
            ret[n++] = (struct dedupe_version){ .item = &documents->list[i].item, .order = i };
    dedupe_sort(ret, n);
    return n;
}

void documents_settle(struct documents *documents, const struct dedupe_version *versions, size_t n)
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
        (void)err_never(&opened->err, opened->err.code, "%zu of %zu documents%s%s%s", opened->n_failed,
                        opened->n_documents, buf_str(&opened->failures), buf_str(&opened->lines), more);
    else
        (void)err_later(&opened->err, opened->err.code, "%zu of %zu documents%s%s%s", opened->n_failed,
                        opened->n_documents, buf_str(&opened->failures), buf_str(&opened->lines), more);
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
