/* secrets: AWS Secrets Manager, GetSecretValue. */
#ifndef AWS_SECRETS_H
#define AWS_SECRETS_H

#include "aws/aws.h"

/*
 * Appends the current value (SecretString, or SecretBinary decoded) to `ret`.
 * - `secret_id`: an ARN, whose region is used, or a name.
 * - NEVER: the secret does not exist or is marked for deletion, or we have no permission.
 */
int secrets_get(struct aws_client *client, const char *secret_id, struct buf *ret, struct err *err) must_check;

#endif
