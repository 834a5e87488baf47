/* secrets: AWS Secrets Manager, GetSecretValue. */
#ifndef AWS_SECRETS_H
#define AWS_SECRETS_H

#include "aws/aws.h"

/*
 * The current value (SecretString, or SecretBinary decoded) appended to `ret`, which wipes it when cleared.
 * `secret_id`: ARN or name; an ARN's region is used. NEVER: no such secret, no permission, marked for deletion.
 */
int secrets_get(struct aws_client *client, const char *secret_id, struct buf *ret, struct err *err) must_check;

#endif
