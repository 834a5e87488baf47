/* The worst result of a message's parts is that of the message, and its error names each part that has it. */
#include "worker/parts.h"
#include "test.h"

#include <stdio.h>
#include <string.h>

enum { PARTS = 5 };

/* Parts in order: '0' done, 'n'(ever), 'l'(ater). Part i begins at line i + 1; its code is "code_i", its text "part i".
 */
static const struct {
    const char *parts;
    int result;
    const char *code, *text;
} rows[] = {
    { "", 0, NULL, "" },
    { "0", 0, NULL, "" },
    { "000", 0, NULL, "" },
    { "n", NEVER, "code_0", "part 0" }, /* a single part: nothing is added */
    { "l", LATER, "code_0", "part 0" },
    { "0n", NEVER, "code_1", "1 of 2 things; part 1" },
    { "n0n", NEVER, "code_0", "2 of 3 things; part 0; part 2" },
    /* LATER wins, before or after NEVER, and only the parts with that result are named */
    { "nl0", LATER, "code_1", "1 of 3 things; part 1" },
    { "lnl", LATER, "code_0", "2 of 3 things; part 0; part 2" },
    { "nnl", LATER, "code_2", "1 of 3 things; part 2" },
};

static void check_row(size_t row)
{
    static const char *const codes[PARTS] = { "code_0", "code_1", "code_2", "code_3", "code_4" };
    cleanup(parts_clear) struct parts parts = { .result = 0 };
    for (int i = 0; rows[row].parts[i]; i++) {
        struct err err = ERR_INIT;
        char kind = rows[row].parts[i];
        int result = kind == 'n'   ? err_never(&err, codes[i], "part %d", i)
                     : kind == 'l' ? err_later(&err, codes[i], "part %d", i)
                                   : 0;
        parts_add(&parts, i + 1, result, &err);
        parts_conclude(&parts, "things"); /* as often as wanted */
    }
    parts_conclude(&parts, "things");
    CHECK_ROW(parts.result == rows[row].result, "row %zu: result %d", row, parts.result);
    CHECK_STRING(parts.err.code, rows[row].code);
    CHECK_STRING(parts.err.text, rows[row].text);
}

/* The error of many parts has whole texts, then lines, then a number, and fits into the 1 KiB of a dead letter. */
static void check_many(int64_t first_line, const char *lines)
{
    cleanup(parts_clear) struct parts parts = { .result = 0 };
    char long_text[ERR_TEXT_SIZE];
    memset(long_text, 'x', sizeof(long_text) - 1);
    long_text[sizeof(long_text) - 1] = '\0';
    for (int64_t i = 0; i < 1000; i++) {
        struct err err = ERR_INIT;
        int result = err_never(&err, "bad", "%s", long_text);
        parts_add(&parts, first_line ? first_line + i : 0, result, &err);
    }
    parts_conclude(&parts, "items");
    CHECK(strncmp(parts.err.text, "1000 of 1000 items; xxx", 23) == 0);
    CHECK(strlen(parts.err.text) < ERR_TEXT_SIZE - 1);
    const char *behind = strstr(parts.err.text + 20, lines);
    CHECK_ROW(behind != NULL, "no \"%s\" in: %s", lines, parts.err.text);
    CHECK_ROW(behind && strstr(behind, "; and ") && strcmp(parts.err.text + strlen(parts.err.text) - 5, " more") == 0,
              "no number in: %s", parts.err.text);
}

int main(void)
{
    for (size_t row = 0; row < N_ELEMENTS(rows); row++)
        check_row(row);
    check_many(10001, "x; also at lines 10003, 10004, ");
    check_many(0, "x; and 998 more"); /* no lines are known */
    return test_end();
}
