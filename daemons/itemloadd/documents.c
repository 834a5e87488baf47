#include "itemloadd/documents.h"

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
        parts_clear(&documents->messages[i].parts);
    }
    s3_references_clear(&documents->objects);
    free(documents->messages);
    free(documents->list);
    *documents = (struct documents){ .list = NULL };
}

/* ------------------------------------------------------------- reporting */

void documents_report(struct documents *documents, struct document_source source, int64_t line, int result,
                      const struct err *err)
{
    struct opened_message *message = &documents->messages[source.message];
    if (result == 0) {
        parts_add(&message->parts, 0, 0, NULL);
        return;
    }
    struct err named = *err;
    if (source.object && source.object->key)
        err_prefix(&named, "s3://%s/%.200s", source.object->bucket, source.object->key);
    else if (source.object)
        err_prefix(&named, "record %zu", source.object->record);
    bool is_one_text = message->n_objects <= 1;
    parts_add(&message->parts, is_one_text ? line : 0, result, &named);
}

static void report_document(struct documents *documents, const struct document *document)
{
    struct document_source source = { document->message, document->object };
    struct err err = document->item.err;
    if (document->item.result != 0 && document->number > 0)
        err_prefix(&err, "document %lld, line %lld (%s%.80s%s)", (long long)document->number, (long long)document->line,
                   document->id ? "\"" : "", document->id ? document->id : "no id", document->id ? "\"" : "");
    documents->messages[document->message].n_listed--;
    documents_report(documents, source, document->line, document->item.result, &err);
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

/* Adds a parsed document, and takes what it owns. Its tree, which is ten times as large as its text, is not kept. */
static int add_parsed(struct documents *documents, struct document *document, const cJSON *json, struct err *err)
{
    struct pgstac_item *item = &document->item;
    item->published_at_ms = document->object ? document->object->published_at_ms
                                             : documents->messages[document->message].envelope.published_at_ms;
    item->result = read_document(documents->pgstac, json, document);
    document->is_valid = item->result == 0;
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
        documents_report(documents, source, read->line, r, &why);
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

/* The message as a whole has this result. */
static int fail(struct documents *documents, size_t index, int result, const struct err *why, struct err *err)
{
    if (result < 0)
        *err = *why;
    else
        parts_add(&documents->messages[index].parts, 0, result, why);
    return result < 0 ? result : 0;
}

/* Splits the text into documents. Each is added when it is known whether another one follows: a single one needs no
 * number. */
static int open_many(struct documents *documents, size_t index, struct split_input text, struct err *err)
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
        r = err_never(&why, "no_items", "the message has no items: it is empty, or an empty list");
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

/* Takes the tree, which the references point into. */
static int open_references(struct documents *documents, size_t index, cJSON **json, struct err *err)
{
    struct opened_message *message = &documents->messages[index];
    size_t before = documents->objects.n;
    message->json = TAKE(*json);
    int r = s3_references_add(&documents->objects, message->json, index, message->envelope.published_at_ms, err);
    if (r != 0)
        return r;
    message->n_objects = documents->objects.n - before;
    struct err why = ERR_INIT;
    if (message->n_objects > 0)
        return 0;
    r = err_never(&why, "no_items", "an S3 event with an empty list of records");
    return fail(documents, index, r, &why, err);
}

static int open_one(struct documents *documents, size_t index, struct split_input text, const cJSON *json,
                    struct err *err)
{
    cleanup(clear_document) struct document document = { .message = index };
    document.item.text = text.data;
    document.item.text_len = text.len;
    return add_parsed(documents, &document, json, err);
}

/* False: the text has many documents, and should not be parsed as a whole. So has a list of documents, but not a
 * pointer to an S3 object, which is a list that begins with a string; and a FeatureCollection. */
static bool may_be_one_value(struct split_input text)
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
    if (!may_be_one_value(text))
        return open_many(documents, index, text, err);

    auto_json cJSON *json = NULL;
    struct err why = ERR_INIT;
    int r = stac_item_parse(text.data, text.len, &json, &why);
    if (r < 0)
        return fail(documents, index, r, &why, err);
    if (r == 0 && s3_is_reference(json))
        return open_references(documents, index, &json, err);
    /* It may be two values, or damaged: open_many says where. */
    return r == 0 && !cJSON_IsArray(json) ? open_one(documents, index, text, json, err)
                                          : open_many(documents, index, text, err);
}

static int open_message(struct documents *documents, size_t index, struct err *err)
{
    struct opened_message *message = &documents->messages[index];
    struct err why = ERR_INIT;
    int r = envelope_open(message->message, &message->envelope, &why);
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

int documents_dedupe(struct documents *documents, struct dedupe *ret, struct err *err)
{
    int r = dedupe_init(ret, documents->n, err);
    for (size_t i = 0; r == 0 && i < documents->n; i++)
        if (documents->list[i].is_valid && !documents->list[i].is_collection)
            dedupe_add(ret, &documents->list[i].item, i);
    return r;
}

/* ---------------------------------------------------------- the results of messages */

void documents_conclude(struct documents *documents)
{
    for (size_t i = 0; i < documents->n; i++)
        report_document(documents, &documents->list[i]);
    clear_list(documents);
    for (size_t i = 0; i < documents->n_messages; i++) {
        struct opened_message *message = &documents->messages[i];
        message->envelope.payload = NULL;
        free(TAKE(message->envelope.text));
        parts_conclude(&message->parts, "documents");
        if (message->n_objects == 0 && message->state == MESSAGE_OPEN)
            message->state = MESSAGE_DONE;
    }
}

void documents_end_objects(struct documents *documents)
{
    documents_conclude(documents);
    for (size_t i = 0; i < documents->n_messages; i++)
        if (documents->messages[i].state == MESSAGE_OPEN)
            documents->messages[i].state = MESSAGE_DONE;
}

void documents_interrupt(struct documents *documents)
{
    for (size_t i = 0; i < documents->n_messages; i++) {
        struct opened_message *message = &documents->messages[i];
        bool is_unreadable = message->parts.result != 0 && message->n_listed == 0 && message->n_objects == 0;
        parts_conclude(&message->parts, "documents");
        if (message->state == MESSAGE_OPEN)
            message->state = is_unreadable ? MESSAGE_DONE : MESSAGE_RETURNED;
    }
}

size_t documents_settlements(struct documents *documents, struct settlement *ret)
{
    size_t n = 0;
    for (size_t i = 0; i < documents->n_messages; i++) {
        struct opened_message *message = &documents->messages[i];
        if (message->state != MESSAGE_DONE && message->state != MESSAGE_RETURNED)
            continue;
        ret[n++] = (struct settlement){
            .message = message->message,
            .result = message->state == MESSAGE_DONE ? message->parts.result : SETTLE_RETURN,
            .err = &message->parts.err,
            .published_at_ms = message->envelope.published_at_ms,
        };
        message->state = MESSAGE_SETTLED;
    }
    return n;
}
