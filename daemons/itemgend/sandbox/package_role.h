/*
 * package_role: short-lived credentials for package code, of the role that is configured for it.
 *
 * The daemon assumes package_role_arn (session "itemgend") with its own credentials, and passes on only those of the
 * role. They outlast the time_limit of any package; one thread at a time refreshes them (lib/aws/creds.h).
 */
#ifndef ITEMGEND_PACKAGE_ROLE_H
#define ITEMGEND_PACKAGE_ROLE_H

#include "aws/aws.h"
#include "base/strv.h"
#include "itemgend/request/packages.h"

struct package_role; /* one per run, shared by its workers */
/* `aws` outlives it. *ret is NULL if no role is configured. */
int package_role_new(const struct itemgend_options *options, const struct packages *packages, struct aws *aws,
                     struct package_role **ret, struct err *err) must_check;
void package_role_free(struct package_role *role);

/*
 * Appends AWS_ACCESS_KEY_ID, AWS_SECRET_ACCESS_KEY, AWS_SESSION_TOKEN, AWS_REGION and AWS_DEFAULT_REGION (the one that
 * boto3 reads) for one item; nothing if `role` is NULL. `client` belongs to the calling thread. LATER, an outage:
 * "package_role_unavailable", with the answer of STS; LATER, "interrupted".
 */
int package_role_variables(struct package_role *role, struct aws_client *client, struct strv *variables,
                           struct err *err) must_check;

#endif
