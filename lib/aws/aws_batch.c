#include "aws/aws_batch.h"

#include "aws/aws_error.h"
#include "base/num.h"

/* The group for this item: the last one if the item fits, otherwise a new one. NULL: the groups are used up. */
static struct aws_batch_group *group_for(struct aws_batch *batch, const struct aws_batch_item *item, size_t *group_size)
{
    struct aws_batch_group *last = batch->n_groups > 0 ? &batch->groups[batch->n_groups - 1] : NULL;
    bool is_alone = item->state == AWS_BATCH_ALONE || (last && last->items[0]->state == AWS_BATCH_ALONE);
    if (last && !is_alone && last->n < AWS_BATCH_ENTRIES_MAX && *group_size + item->size <= batch->size_max)
        return last;
    if (batch->n_groups == AWS_BATCH_REQUESTS_MAX)
        return NULL;
    last = &batch->groups[batch->n_groups++];
    last->n = 0;
    *group_size = 0;
    return last;
}

static bool is_to_be_sent(const struct aws_batch_item *item)
{
    return item->state == AWS_BATCH_READY || item->state == AWS_BATCH_ALONE;
}

static void fill_groups(struct aws_batch *batch)
{
    size_t group_size = 0;
    batch->n_groups = 0;
    for (size_t i = 0; i < batch->n; i++) {
        struct aws_batch_item *item = &batch->items[i];
        if (!is_to_be_sent(item))
            continue;
        struct aws_batch_group *group = group_for(batch, item, &group_size);
        if (!group)
            return;
        group->items[group->n++] = item;
        group_size += item->size;
    }
}

bool aws_batch_next(struct aws_batch *batch, struct aws_client *client)
{
    fill_groups(batch);
    if (batch->n_groups > 0)
        return true;
    bool any_failed = false;
    for (size_t i = 0; i < batch->n; i++)
        if (batch->items[i].state == AWS_BATCH_AGAIN) {
            batch->items[i].state = AWS_BATCH_READY;
            any_failed = true;
        }
    if (!any_failed)
        return false;
    batch->failures++;
    if (!aws_client_back_off(client, batch->failures, batch->throttled))
        return false;
    batch->throttled = false;
    fill_groups(batch);
    return true;
}

void aws_batch_done(struct aws_batch_item *item)
{
    item->state = AWS_BATCH_SETTLED;
    *item->result = 0;
    item->err->code = NULL;
}

void aws_batch_failed(struct aws_batch *batch, struct aws_batch_item *item, const char *code, const char *message)
{
    item->state = AWS_BATCH_AGAIN;
    if (aws_error_retry(0, code) == RETRY_THROTTLED) {
        batch->throttled = true;
        *item->result = err_later(item->err, "throttled", "%s: %s", code, message);
    } else {
        *item->result = err_later(item->err, "service_unavailable", "%s: %s", code, message);
    }
}

void aws_batch_settled(struct aws_batch_item *item)
{
    item->state = AWS_BATCH_SETTLED;
}

void aws_batch_split(struct aws_batch_group *group)
{
    for (size_t i = 0; i < group->n; i++)
        group->items[i]->state = AWS_BATCH_ALONE;
}

void aws_batch_request_failed(struct aws_batch_group *group, int result, const struct err *err)
{
    for (size_t i = 0; i < group->n; i++) {
        struct aws_batch_item *item = group->items[i];
        item->state = AWS_BATCH_SETTLED;
        *item->result = result;
        *item->err = *err;
    }
}

struct aws_batch_item *aws_batch_find(struct aws_batch_group *group, const char *id)
{
    int64_t place = 0;
    if (!id || num_parse_i64(id, 0, (int64_t)group->n - 1, &place, NULL) != 0)
        return NULL;
    return is_to_be_sent(group->items[place]) ? group->items[place] : NULL;
}

void aws_batch_unanswered(struct aws_batch *batch, struct aws_batch_group *group)
{
    for (size_t i = 0; i < group->n; i++)
        if (is_to_be_sent(group->items[i]))
            aws_batch_failed(batch, group->items[i], "Unanswered", "the answer does not mention the entry");
}

void aws_batch_round_clear(struct aws_batch_round *round)
{
    for (size_t i = 0; i < AWS_BATCH_REQUESTS_MAX; i++) {
        buf_clear(&round->bodies[i]);
        aws_call_clear(&round->calls[i]);
    }
}
