/* overflow: the S3 key of an item that is too large for a message. */
#include "itemgend/publish/overflow.h"
#include "test.h"

#define TEN "0123456789"
#define HUNDRED TEN TEN TEN TEN TEN TEN TEN TEN TEN TEN

static const struct {
    const char *collection, *item_id, *key;
} rows[] = {
    { "landsat-c2", "LC08_1.0~x", "landsat-c2/LC08_1.0~x/17.json" },
    { "a/b", "c", "a%2Fb/c/17.json" },
    { "a", "b/c", "a/b%2Fc/17.json" },
    { "..", "..", "%2E./%2E./17.json" },
    { ".", "%2E", "%2E/%252E/17.json" },
    { "sha256:00", "\xc3\xa4 +?#", "sha256%3A00/%C3%A4%20%2B%3F%23/17.json" },
    { "c", HUNDRED HUNDRED HUNDRED HUNDRED HUNDRED,
      "c/sha256:fab6d25d512442fc25ce3b1304a014240c059c6a5f619201fe97681c235a8bbf/17.json" },
};

static void key_of(size_t row, struct buf *ret)
{
    const struct publication publication = { .collection = rows[row].collection,
                                             .item_id = rows[row].item_id,
                                             .published_at_ms = 17 };
    overflow_key(&publication, ret);
}

static bool make_key(void *context)
{
    auto_buf struct buf key = BUF_INIT;
    key_of(*(const size_t *)context, &key);
    return !buf_failed(&key);
}

int main(void)
{
    for (size_t row = 0; row < N_ELEMENTS(rows); row++) {
        auto_buf struct buf key = BUF_INIT;
        key_of(row, &key);
        CHECK_STRING(buf_str(&key), rows[row].key);
        test_failing_allocations(make_key, &row);
    }
    return test_end();
}
