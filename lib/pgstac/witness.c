#include "pgstac/witness.h"

#include <errno.h>

/* More transactions than that between two statements are not looked at one by one. */
enum { RANGE_MAX = 10000 };

void witness_add_ours(struct witness_ours *ours, uint64_t xid)
{
    ours->xids[ours->next] = xid;
    ours->next = (ours->next + 1) % WITNESS_OURS_MAX;
}

void witness_remove_ours(struct witness_ours *ours, uint64_t xid)
{
    for (size_t i = 0; i < WITNESS_OURS_MAX; i++)
        if (ours->xids[i] == xid)
            ours->xids[i] = 0;
}

static bool has(const struct witness_ours *ours, uint64_t xid)
{
    for (size_t i = 0; i < WITNESS_OURS_MAX; i++)
        if (ours->xids[i] == xid)
            return true;
    return false;
}

/* A number and what stands behind it; false: none. */
static bool next_number(const char **at, uint64_t *ret)
{
    char *end = NULL;
    errno = 0;
    *ret = strtoull(*at, &end, 10);
    bool ok = errno == 0 && end != *at && **at >= '0' && **at <= '9';
    *at = end;
    return ok;
}

struct snapshot {
    uint64_t xmin, xmax; /* all before xmin had ended, none from xmax on */
    const char *running; /* between them, with commas */
};

static bool read_snapshot(const char *text, struct snapshot *ret)
{
    if (!next_number(&text, &ret->xmin) || *text++ != ':' || !next_number(&text, &ret->xmax) || *text++ != ':')
        return false;
    ret->running = text;
    return true;
}

static bool is_running(const struct snapshot *snapshot, uint64_t xid)
{
    uint64_t running = 0;
    for (const char *at = snapshot->running; next_number(&at, &running); at += *at == ',')
        if (running == xid)
            return true;
    return xid >= snapshot->xmax;
}

uint64_t witness_horizon(const char *snapshot)
{
    struct snapshot read;
    return read_snapshot(snapshot, &read) ? read.xmin : 0;
}

/* A row's header has the lower 32 bits of a transaction's number. */
static bool is_ours(uint64_t xid, const struct witness_ours *ours, uint64_t horizon)
{
    if ((int32_t)((uint32_t)xid - (uint32_t)horizon) < 0)
        return true;
    for (size_t i = 0; i < WITNESS_OURS_MAX; i++)
        if (ours->xids[i] != 0 && (uint32_t)ours->xids[i] == (uint32_t)xid)
            return true;
    return false;
}

bool witness_is_ours(const PGresult *rows, int row, const struct witness_ours *ours, uint64_t horizon)
{
    const char *at = PQgetvalue(rows, row, WITNESS_XMAX);
    uint64_t xid = 0;
    /* 0: nobody, or somebody whom a vacuum took for long gone. */
    if (!next_number(&at, &xid) || xid == 0 || !is_ours(xid, ours, horizon))
        return false;
    for (at = PQgetvalue(rows, row, WITNESS_MEMBERS); next_number(&at, &xid); at += *at == ',')
        if (!is_ours(xid, ours, horizon))
            return false;
    return true;
}

bool witness_others_ended(const char *before, const char *after, const struct witness_ours *ours)
{
    struct snapshot first, last;
    if (!read_snapshot(before, &first) || !read_snapshot(after, &last) || last.xmax < first.xmax ||
        last.xmax - first.xmax > RANGE_MAX)
        return true;
    uint64_t xid = 0;
    for (const char *at = first.running; next_number(&at, &xid); at += *at == ',')
        if (!is_running(&last, xid) && !has(ours, xid))
            return true;
    for (xid = first.xmax; xid < last.xmax; xid++)
        if (!is_running(&last, xid) && !has(ours, xid))
            return true;
    return false;
}
