#include "common/copy.h"

#include "base/num.h"

enum {
    RECEIVES_MAX = 1000, /* that a redrive policy can permit */
    ID_MAX = 100,        /* bytes of a message's id, from the SQS developer guide */
};

int copy_receives_before(const struct sqs_message *message)
{
    const char *text = sqs_message_attribute(message, COPY_RECEIVES_BEFORE);
    const char *source = sqs_message_attribute(message, COPY_SOURCE);
    int64_t receives = 0;
    if (!text || num_parse_i64(text, 1, RECEIVES_MAX, &receives, NULL) != 0)
        return 0;
    return source && *source && strlen(source) <= ID_MAX ? (int)receives : 0;
}

bool copy_has_added(const char *attribute_name)
{
    return strcmp(attribute_name, COPY_RECEIVES_BEFORE) == 0 || strcmp(attribute_name, COPY_SOURCE) == 0 ||
           strcmp(attribute_name, COPY_PUBLISHED_AT) == 0;
}
