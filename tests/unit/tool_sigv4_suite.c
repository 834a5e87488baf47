/*
 * sigv4-suite DIR: checks lib/sigv4 with every case in and below DIR, in the format of AWS's published SigV4 test
 * suite. Exit 0: there was at least one case, and all passed.
 */
#include <dirent.h>
#include <errno.h>
#include <stdio.h>

#include "sigv4_case.h"

enum { DEPTH_MAX = 20 };

struct totals {
    int passed, failed;
};

static void run_case(const char *folder, struct totals *totals)
{
    auto_buf struct buf story = BUF_INIT;
    enum sigv4_case_outcome outcome = sigv4_case_run(folder, &story);
    if (outcome == SIGV4_CASE_SKIPPED)
        printf("SKIP %s: %s", folder, buf_str(&story));
    if (outcome == SIGV4_CASE_FAILED)
        printf("FAIL %s: %s", folder, buf_str(&story));
    totals->passed += outcome == SIGV4_CASE_PASSED;
    totals->failed += outcome == SIGV4_CASE_FAILED;
}

static int is_folder(const struct dirent *entry)
{
    return entry->d_name[0] != '.' &&
           (entry->d_type == DT_DIR || entry->d_type == DT_LNK || entry->d_type == DT_UNKNOWN);
}

static void run_all(const char *folder, int depth, struct totals *totals)
{
    struct dirent **entries = NULL;
    int n = depth < DEPTH_MAX ? scandir(folder, &entries, is_folder, alphasort) : 0;
    /* Only DIR itself must be a folder. A link, or an entry of unknown type, may turn out to be a file. */
    if (n < 0 && (depth == 0 || errno != ENOTDIR)) {
        printf("FAIL %s: %s\n", folder, strerror(errno));
        totals->failed++;
    }
    if (n < 0)
        return;
    run_case(folder, totals);
    for (int i = 0; i < n; i++) {
        auto_buf struct buf path = BUF_INIT;
        buf_printf(&path, "%s/%s", folder, entries[i]->d_name);
        run_all(buf_str(&path), depth + 1, totals);
        free(entries[i]);
    }
    free(entries);
}

int main(int argc, char **argv)
{
    if (argc != 2) {
        fprintf(stderr, "usage: sigv4-suite DIR\n");
        return 64;
    }
    struct totals totals = { .passed = 0 };
    run_all(argv[1], 0, &totals);
    printf("%d passed, %d failed\n", totals.passed, totals.failed);
    return totals.passed > 0 && totals.failed == 0 ? 0 : 1;
}
