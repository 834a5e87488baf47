/*
 * sigv4_case: one case in the format of AWS's published SigV4 test suite: a folder with context.json,
 * request.txt, header-canonical-request.txt, header-string-to-sign.txt, header-signature.txt and
 * header-signed-request.txt. Query signing (query-*.txt) is ignored.
 */
#ifndef SIGV4_CASE_H
#define SIGV4_CASE_H

#include "base/buf.h"

/* The outcome of a case. */
enum sigv4_case_outcome {
    SIGV4_CASE_NONE,    /* the folder is not a case; it may contain cases */
    SIGV4_CASE_SKIPPED, /* it has no header-*.txt, or is for SigV4a */
    SIGV4_CASE_PASSED,
    SIGV4_CASE_FAILED,
};

/*
 * Signs the request with lib/sigv4 and compares each stage.
 * - `ret_story`: the fault of the folder, or the expected and the actual text of the first stage that differs.
 * - Line ends at the end of a file do not count.
 * - Requests for the service "s3" are signed in S3's way (path encoded once), which context.json cannot express.
 */
enum sigv4_case_outcome sigv4_case_run(const char *folder, struct buf *ret_story);

#endif
