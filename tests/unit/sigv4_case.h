/*
 * sigv4_case: one case of the published AWS SigV4 test suite's form: a folder with context.json,
 * request.txt, header-canonical-request.txt, header-string-to-sign.txt, header-signature.txt and
 * header-signed-request.txt. Query signing (query-*.txt) is not looked at.
 */
#ifndef SIGV4_CASE_H
#define SIGV4_CASE_H

#include "base/buf.h"

/* What a case came to. */
enum sigv4_case_outcome {
    SIGV4_CASE_NONE,    /* the folder has none of the files: it may hold folders of cases */
    SIGV4_CASE_SKIPPED, /* it has no header-*.txt, or is one of SigV4a */
    SIGV4_CASE_PASSED,
    SIGV4_CASE_FAILED,
};

/*
 * Signs the request with lib/sigv4 and compares each stage. `ret_story` gets what is wrong with the
 * folder, or what was expected and made in the first stage that differs; line ends at the end of a file do not count.
 * A request for the service "s3" is signed as S3 wants it, its path encoded once: context.json has no word for that.
 */
enum sigv4_case_outcome sigv4_case_run(const char *folder, struct buf *ret_story);

#endif
