/*
 * test: shared by the unit tests. A test program is a main() that calls CHECK, mostly over tables, and returns
 * test_end(). It prints each failure with file and line, and the number of checks at the end.
 */
#ifndef TEST_H
#define TEST_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

void test_check(bool ok, const char *file, int line, const char *format, ...) __attribute__((format(printf, 4, 5)));
#define CHECK(condition) test_check((condition), __FILE__, __LINE__, "%s", #condition)
/* With a message, for example the row of a table. */
#define CHECK_ROW(condition, ...) test_check((condition), __FILE__, __LINE__, __VA_ARGS__)
/* Compares two strings; both may be NULL. */
void test_check_strings(const char *got, const char *expected, const char *file, int line);
#define CHECK_STRING(got, expected) test_check_strings((got), (expected), __FILE__, __LINE__)

/* Returns 0 if every check passed. */
int test_end(void);

/*
 * Runs `function(context)` repeatedly. Its first allocation fails in the first run, the second in the second, and so
 * on, until it makes fewer. Each run must end without a crash or a leak (ASan, valgrind). The function returns whether
 * it succeeded, and itself checks that its result is correct.
 */
void test_failing_allocations(bool (*function)(void *context), void *context);

#endif
