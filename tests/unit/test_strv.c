/* strv: growing, the NULL at the end, and allocations that fail. */
#include "base/strv.h"
#include "test.h"

#include <string.h>

enum { MANY = 100 };

static void test_growing(void)
{
    auto_strv struct strv strv = STRV_INIT;
    for (int i = 0; i < MANY; i++) {
        strv_add(&strv, "word %d", i);
        CHECK(strv.n == (size_t)i + 1 && !strv.list[strv.n]);
    }
    CHECK(!strv.failed);
    CHECK_STRING(strv.list[0], "word 0");
    CHECK_STRING(strv.list[MANY - 1], "word 99");
    strv_clear(&strv);
    CHECK(!strv.list && strv.n == 0);
}

static bool add_many(void *context)
{
    (void)context;
    auto_strv struct strv strv = STRV_INIT;
    for (int i = 0; i < MANY; i++)
        strv_add(&strv, "word");
    CHECK(strv.failed || strv.n == MANY);
    CHECK(!strv.list || !strv.list[strv.n]);
    return !strv.failed;
}

int main(void)
{
    test_growing();
    test_failing_allocations(add_many, NULL);
    return test_end();
}
