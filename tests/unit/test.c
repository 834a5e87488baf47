#include "test.h"

#include <cjson/cJSON.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static int checks, failures;

void test_check(bool ok, const char *file, int line, const char *format, ...)
{
    checks++;
    if (ok)
        return;
    failures++;
    va_list args;
    va_start(args, format);
    printf("%s:%d: ", file, line);
    vprintf(format, args);
    printf("\n");
    va_end(args);
}

void test_check_strings(const char *got, const char *expected, const char *file, int line)
{
    bool equal = got && expected ? strcmp(got, expected) == 0 : got == expected;
    test_check(equal, file, line, "got \"%s\", expected \"%s\"", got ? got : "(null)", expected ? expected : "(null)");
}

int test_end(void)
{
    printf("%d checks, %d failed\n", checks, failures);
    return failures != 0;
}

/* Our own allocations get here by the linker's --wrap, cJSON's by its hooks. */
static long allocations_left = -1; /* before the one that fails; < 0: none fails */

static bool allocation_fails(void)
{
    return allocations_left >= 0 && allocations_left-- == 0;
}

void *__real_malloc(size_t size);
void *__real_calloc(size_t n, size_t size);
void *__real_realloc(void *old, size_t size);
void *__real_reallocarray(void *old, size_t n, size_t size);
char *__real_strdup(const char *text);
char *__real_strndup(const char *text, size_t n);
void *__wrap_malloc(size_t size);
void *__wrap_calloc(size_t n, size_t size);
void *__wrap_realloc(void *old, size_t size);
void *__wrap_reallocarray(void *old, size_t n, size_t size);
char *__wrap_strdup(const char *text);
char *__wrap_strndup(const char *text, size_t n);

void *__wrap_malloc(size_t size)
{
    return allocation_fails() ? NULL : __real_malloc(size);
}

void *__wrap_calloc(size_t n, size_t size)
{
    return allocation_fails() ? NULL : __real_calloc(n, size);
}

void *__wrap_realloc(void *old, size_t size)
{
    return allocation_fails() ? NULL : __real_realloc(old, size);
}

void *__wrap_reallocarray(void *old, size_t n, size_t size)
{
    return allocation_fails() ? NULL : __real_reallocarray(old, n, size);
}

char *__wrap_strdup(const char *text)
{
    return allocation_fails() ? NULL : __real_strdup(text);
}

char *__wrap_strndup(const char *text, size_t n)
{
    return allocation_fails() ? NULL : __real_strndup(text, n);
}

void test_failing_allocations(bool (*function)(void *context), void *context)
{
    cJSON_Hooks hooks = { .malloc_fn = __wrap_malloc, .free_fn = free };
    cJSON_InitHooks(&hooks);
    bool succeeded = false, failed = true;
    long n = 0;
    for (; failed && n < 100000; n++) {
        allocations_left = n;
        succeeded = function(context);
        failed = allocations_left < 0;
    }
    allocations_left = -1;
    cJSON_InitHooks(NULL);
    test_check(succeeded && n > 1, __FILE__, __LINE__, "never succeeded, or allocated nothing");
}
