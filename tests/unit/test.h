/*
 * test: what the unit tests share. A test program is one table-driven main() that calls CHECK and
 * returns test_end(); it prints each failure with its place, and the number of checks at the end.
 */
#ifndef TEST_H
#define TEST_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

void test_check(bool ok, const char *file, int line, const char *format, ...) __attribute__((format(printf, 4, 5)));
#define CHECK(condition) test_check((condition), __FILE__, __LINE__, "%s", #condition)
/* With a message of one's own: which row of a table it was. */
#define CHECK_ROW(condition, ...) test_check((condition), __FILE__, __LINE__, __VA_ARGS__)
/* Two strings, either of which may be NULL. */
void test_check_strings(const char *got, const char *expected, const char *file, int line);
#define CHECK_STRING(got, expected) test_check_strings((got), (expected), __FILE__, __LINE__)

/* 0 where every check held. */
int test_end(void);

/*
 * Runs `function(context)` again and again, letting its first, second, ... allocation fail, until it makes
 * fewer. Each run must end without a crash or a leak (ASan, valgrind) and without success it has not earned:
 * the function checks that itself and returns whether it succeeded.
 */
void test_failing_allocations(bool (*function)(void *context), void *context);

#endif
