/*
 * package_role: short-lived credentials for package code, of the role that is named for it and of no other.
 *
 * The daemon's own credentials assume package_role_arn (session "itemgend") and are never handed out. What is handed
 * out lasts longer than any package's time_limit, and is refreshed by one thread at a time (lib/aws/creds.h).
 */
#ifndef ITEMGEND_PACKAGE_ROLE_H
#define ITEMGEND_PACKAGE_ROLE_H

#include "aws/aws.h"
#include "itemgend/request/packages.h"
#include "base/strv.h"

struct package_role; /* one per run, shared by its workers */
/* `aws` outlives it. *ret is NULL where no role is configured. */
int package_role_new(const struct itemgend_options *options, const struct packages *packages, struct aws *aws,
                     struct package_role **ret, struct err *err) must_check;
void package_role_free(struct package_role *role);

/*
 * Appends AWS_ACCESS_KEY_ID, AWS_SECRET_ACCESS_KEY, AWS_SESSION_TOKEN, AWS_REGION and AWS_DEFAULT_REGION (boto3 reads
 * no other) for one item; nothing where `role` is NULL. `client` is the calling thread's. LATER, an outage:
 * "package_role_unavailable", with STS's words; LATER, "interrupted".
 */
int package_role_variables(struct package_role *role, struct aws_client *client, struct strings *environment,
                           struct err *err) must_check;

#endif
