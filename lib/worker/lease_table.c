#include "worker/lease_table.h"

#include <search.h>

static int compare(const void *a, const void *b)
{
    const struct lease *x = a, *y = b;
    return strcmp(x->handle, y->handle);
}

void lease_table_init(struct lease_table *table, int64_t visibility_ms)
{
    *table = (struct lease_table){ .visibility_ms = visibility_ms, .next_at_ms = INT64_MAX };
}

void lease_table_clear(struct lease_table *table)
{
    tdestroy(table->tree, free);
    table->tree = NULL;
    table->n = 0;
}

struct lease *lease_table_find(const struct lease_table *table, const char *handle)
{
    const struct lease key = { .handle = handle };
    struct lease *const *node = tfind(&key, &table->tree, compare);
    return node ? *node : NULL;
}

int lease_table_add(struct lease_table *table, const char *handle, int64_t received_at_ms, struct err *err)
{
    if (lease_table_find(table, handle))
        return 0;
    size_t size = strlen(handle) + 1;
    struct lease *lease = calloc(1, sizeof(*lease) + size);
    if (!lease)
        return err_no_memory(err);
    lease->handle = memcpy(lease + 1, handle, size);
    lease->renew_at_ms = received_at_ms + table->visibility_ms / 2;
    lease->ends_at_ms = received_at_ms + (int64_t)SQS_VISIBILITY_MAX_S * 1000;
    if (!tsearch(lease, &table->tree, compare)) {
        free(lease);
        return err_no_memory(err);
    }
    table->n++;
    if (lease->renew_at_ms < table->next_at_ms)
        table->next_at_ms = lease->renew_at_ms;
    return 0;
}

void lease_table_remove(struct lease_table *table, struct lease *lease)
{
    tdelete(lease, &table->tree, compare);
    free(lease);
    table->n--;
}

struct walk {
    struct lease_table *table;
    struct lease_round *round;
    int64_t now_ms, due_ms;
};

static void visit(const void *node, VISIT order, void *context)
{
    const struct walk *walk = context;
    struct lease_table *table = walk->table;
    struct lease_round *round = walk->round;
    if (order != postorder && order != leaf)
        return;
    struct lease *lease = *(struct lease *const *)node;
    if (lease->is_lost)
        return;
    if (lease->renew_at_ms > walk->due_ms || round->n == LEASE_ROUND_MAX) {
        if (lease->renew_at_ms < table->next_at_ms)
            table->next_at_ms = lease->renew_at_ms;
        return;
    }
    int64_t left_ms = lease->ends_at_ms - walk->now_ms;
    int64_t visibility_ms = table->visibility_ms < left_ms ? table->visibility_ms : left_ms;
    if (visibility_ms < 1000) {
        lease->is_lost = true;
        round->n_expired++;
        return;
    }
    lease->is_renewing = true;
    round->leases[round->n] = lease;
    round->requests[round->n++] =
        (struct sqs_entry){ .receipt_handle = lease->handle, .visibility_s = (int)(visibility_ms / 1000) };
}

void lease_table_begin_round(struct lease_table *table, int64_t now_ms, struct lease_round *ret)
{
    int64_t slack_ms = table->visibility_ms / 10 < LEASE_SLACK_MS ? table->visibility_ms / 10 : LEASE_SLACK_MS;
    struct walk walk = { .table = table, .round = ret, .now_ms = now_ms, .due_ms = now_ms + slack_ms };
    table->next_at_ms = INT64_MAX;
    ret->n = ret->n_expired = 0;
    twalk_r(table->tree, visit, &walk);
}

size_t lease_table_end_round(struct lease_table *table, const struct lease_round *round, int result, int64_t sent_at_ms,
                             int64_t now_ms)
{
    size_t n_renewed = 0, n_failed = 0;
    for (size_t i = 0; i < round->n; i++) {
        struct lease *lease = round->leases[i];
        const struct sqs_entry *request = &round->requests[i];
        int r = result != 0 ? result : request->result;
        lease->is_renewing = false;
        lease->is_lost = result == 0 && r == NEVER;
        lease->renew_at_ms = r == 0 ? sent_at_ms + (int64_t)request->visibility_s * 1000 / 2 : now_ms + LEASE_RETRY_MS;
        n_renewed += r == 0;
        n_failed += r != 0 && !lease->is_lost;
        if (!lease->is_lost && lease->renew_at_ms < table->next_at_ms)
            table->next_at_ms = lease->renew_at_ms;
    }
    if (n_renewed == 0 && n_failed > 0 && table->next_at_ms < now_ms + LEASE_RETRY_MS)
        table->next_at_ms = now_ms + LEASE_RETRY_MS;
    return n_renewed;
}
