#include "sqs/sqs_internal.h"

#include "aws/message_check.h"

size_t sqs_send_size(const struct sqs_send *entry)
{
    size_t size = strlen(entry->body);
    for (size_t i = 0; i < entry->n_attributes; i++) {
        const struct sqs_attribute *attribute = &entry->attributes[i];
        size += message_check_attribute_size(attribute->name, attribute->type, attribute->value);
    }
    return size;
}

static int check_send(const struct sqs_send *entry, size_t size, struct err *err)
{
    int r = message_check_body(entry->body, err);
    if (r == 0)
        r = message_check_size(size, SQS_MESSAGE_MAX, err);
    if (r == 0)
        r = message_check_count(entry->n_attributes, err);
    for (size_t i = 0; r == 0 && i < entry->n_attributes; i++) {
        const struct sqs_attribute *attribute = &entry->attributes[i];
        r = message_check_attribute(attribute->name, attribute->type, attribute->value, err);
    }
    return r;
}

int sqs_send_many(struct sqs *sqs, struct sqs_send *entries, size_t n, struct err *err)
{
    if (n == 0)
        return 0;
    auto_free struct aws_batch_item *items = calloc(n, sizeof(*items));
    if (!items)
        return err_no_memory(err);
    size_t n_items = 0;
    for (size_t i = 0; i < n; i++) {
        size_t size = sqs_send_size(&entries[i]);
        entries[i].result = check_send(&entries[i], size, &entries[i].err);
        if (entries[i].result == 0)
            items[n_items++] = (struct aws_batch_item){
                .index = i, .size = size, .result = &entries[i].result, .err = &entries[i].err
            };
    }
    const struct sqs_batch what = { .op = SQS_BATCH_SEND, .sends = entries };
    return sqs_batch_run(sqs, &what, items, n_items, err);
}
