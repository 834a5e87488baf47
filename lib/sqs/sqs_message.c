#include "sqs/sqs_internal.h"

#include "base/hash.h"

static void attribute_clear(struct sqs_attribute *attribute)
{
    free(attribute->name);
    free(attribute->type);
    free(attribute->value);
}

void sqs_message_clear(struct sqs_message *message)
{
    for (size_t i = 0; i < message->n_attributes; i++)
        attribute_clear(&message->attributes[i]);
    free(message->attributes);
    free(message->message_id);
    free(message->receipt_handle);
    free(message->body);
    *message = (struct sqs_message){ .message_id = NULL };
}

void sqs_messages_clear(struct sqs_messages *messages)
{
    for (size_t i = 0; i < messages->n; i++)
        sqs_message_clear(&messages->list[i]);
    free(messages->list);
    *messages = (struct sqs_messages){ .list = NULL };
}

const char *sqs_message_attribute(const struct sqs_message *message, const char *name)
{
    for (size_t i = 0; i < message->n_attributes; i++)
        if (strcmp(message->attributes[i].name, name) == 0)
            return message->attributes[i].value;
    return NULL;
}

/* Takes a member's string out of the tree; *ret stays NULL if it has none. < 0: no memory. */
static int take_string(cJSON *object, const char *key, char **ret, struct err *err)
{
    cJSON *member = json_get(object, key);
    if (!cJSON_IsString(member))
        return 0;
    *ret = json_take_string(member);
    return *ret ? 0 : err_no_memory(err);
}

/* Takes {"DataType": "Number", "StringValue": "1"}. NEVER: the type or the value is missing. */
static int take_attribute(cJSON *json, struct sqs_attribute *ret, struct err *err)
{
    ret->name = strdup(json->string);
    int r = ret->name ? take_string(json, "DataType", &ret->type, err) : err_no_memory(err);
    if (r == 0)
        r = take_string(json, "StringValue", &ret->value, err);
    if (r == 0 && !ret->value)
        r = take_string(json, "BinaryValue", &ret->value, err);
    if (r == 0 && (!ret->type || !ret->value))
        r = NEVER;
    if (r != 0) {
        attribute_clear(ret);
        *ret = (struct sqs_attribute){ .name = NULL };
    }
    return r;
}

static int take_attributes(cJSON *json, struct sqs_message *ret, struct err *err)
{
    size_t n = cJSON_IsObject(json) ? (size_t)cJSON_GetArraySize(json) : 0;
    if (n == 0)
        return 0;
    ret->attributes = calloc(n, sizeof(*ret->attributes));
    if (!ret->attributes)
        return err_no_memory(err);
    for (cJSON *member = json->child; member; member = member->next) {
        int r = take_attribute(member, &ret->attributes[ret->n_attributes], err);
        if (r < 0)
            return r;
        ret->n_attributes += r == 0;
    }
    return 0;
}

/* Compares the body with its MD5. True also if the answer has no MD5. */
static bool body_is_whole(const cJSON *json, const struct sqs_message *message)
{
    const char *expected = json_get_string(json, "MD5OfBody");
    unsigned char digest[MD5_SIZE];
    if (!expected || !hash_md5(message->body, message->body_len, digest))
        return true;
    char text[2 * MD5_SIZE + 1];
    for (size_t i = 0; i < MD5_SIZE; i++) {
        text[2 * i] = "0123456789abcdef"[digest[i] >> 4];
        text[2 * i + 1] = "0123456789abcdef"[digest[i] & 15];
    }
    text[2 * MD5_SIZE] = '\0';
    return strcasecmp(expected, text) == 0;
}

/* NEVER: the JSON is not a complete message, or its body is damaged. */
static int take_message(cJSON *json, struct sqs_message *ret, struct err *err)
{
    int r = take_string(json, "MessageId", &ret->message_id, err);
    if (r == 0)
        r = take_string(json, "ReceiptHandle", &ret->receipt_handle, err);
    if (r == 0)
        r = take_string(json, "Body", &ret->body, err);
    if (r != 0)
        return r;
    if (!ret->message_id || !ret->receipt_handle || !ret->body)
        return NEVER;
    ret->body_len = strlen(ret->body);
    if (!body_is_whole(json, ret))
        return NEVER;

    const cJSON *attributes = json_get(json, "Attributes");
    int64_t receive_count = 1;
    if (!json_get_i64(attributes, "ApproximateReceiveCount", 1, INT32_MAX, &receive_count))
        receive_count = 1;
    ret->receive_count = (int)receive_count;
    if (!json_get_i64(attributes, "SentTimestamp", 0, INT64_MAX, &ret->sent_at_ms))
        ret->sent_at_ms = 0;
    if (!json_get_i64(attributes, "ApproximateFirstReceiveTimestamp", 0, INT64_MAX, &ret->first_received_at_ms))
        ret->first_received_at_ms = 0;
    return take_attributes(json_get(json, "MessageAttributes"), ret, err);
}

static bool make_room(struct sqs_messages *messages)
{
    if (messages->n < messages->cap)
        return true;
    size_t cap = messages->cap ? 2 * messages->cap : 16;
    struct sqs_message *list = reallocarray(messages->list, cap, sizeof(*list));
    if (!list)
        return false;
    messages->list = list;
    messages->cap = cap;
    return true;
}

int sqs_take_messages(cJSON *json, int64_t received_at_ms, struct sqs_messages *ret, size_t *ret_n, struct err *err)
{
    cJSON *list = json_get(json, "Messages");
    *ret_n = 0;
    for (cJSON *node = cJSON_IsArray(list) ? list->child : NULL; node; node = node->next) {
        struct sqs_message message = { .received_at_ms = received_at_ms };
        int r = make_room(ret) ? take_message(node, &message, err) : err_no_memory(err);
        if (r == 0)
            ret->list[ret->n++] = message;
        else
            sqs_message_clear(&message);
        if (r < 0)
            return r;
        (*ret_n)++;
    }
    return 0;
}
