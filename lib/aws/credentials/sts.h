/*
 * sts: AWS Security Token Service, AssumeRole and AssumeRoleWithWebIdentity (Query protocol, 2011-06-15).
 * Internal to lib/aws: the credentials chain uses it before there are credentials to make an aws_call with.
 */
#ifndef AWS_STS_H
#define AWS_STS_H

#include "aws/credentials/creds_source.h"

struct sts_role {
    const char *role_arn;
    const char *session_name;       /* NULL: one with the time in it */
    const char *external_id;        /* NULL: none */
    const char *duration_s;         /* digits, 900 to 43200; NULL: STS's own hour */
    const char *web_identity_token; /* NULL: AssumeRole, signed with `with` */
};

/*
 * The role's credentials. `with` is borrowed, and NULL for web identity. `source` is the literal for ret->source.
 * LATER: STS could not be asked, or was busy; NEVER: it refused, with its code and message. Asks the region's endpoint,
 * or the override of AWS_ENDPOINT_URL_STS and its like; signed again with STS's clock where ours is wrong.
 */
int sts_assume_role(const struct creds_lookup *lookup, const struct sts_role *role, const struct creds *with,
                    const char *source, struct creds *ret, struct err *err) must_check;

#endif
