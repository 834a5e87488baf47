/*
 * sts: AWS Security Token Service, AssumeRole and AssumeRoleWithWebIdentity (Query protocol, 2011-06-15).
 * Internal to lib/aws/credentials. It cannot use aws_call, which needs credentials itself.
 */
#ifndef AWS_STS_H
#define AWS_STS_H

#include "aws/credentials/creds_source.h"

struct sts_role {
    const char *role_arn;
    const char *session_name;       /* NULL: "stactools-ingest-" and the time */
    const char *external_id;        /* NULL: none */
    const char *duration_s;         /* digits, 900 to 43200; NULL: STS's default, an hour */
    const char *web_identity_token; /* NULL: AssumeRole, signed with `with` */
};

/*
 * Gets the role's credentials.
 * - `with`: borrowed; NULL for web identity. `source`: the literal for ret->source.
 * - Calls the region's endpoint, or its override (AWS_ENDPOINT_URL_STS, ...).
 * - Signs again with STS's time if our clock is wrong.
 * - LATER: no answer, or STS is busy. NEVER: STS rejected the request; the text has its code and message.
 */
int sts_assume_role(const struct creds_lookup *lookup, const struct sts_role *role, const struct creds *with,
                    const char *source, struct creds *ret, struct err *err) must_check;

#endif
