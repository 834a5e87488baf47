/*
 * message_check: the rules of SQS and SNS for a message. No network, no clock.
 *
 * - From "Amazon SQS message metadata" (SQS Developer Guide), "SendMessage" (its API Reference) and "Amazon SNS message
 *   attributes".
 * - Checked here because the error can name the fault. The service would reject the whole batch with a vaguer text, and
 *   SNS with raw delivery would silently drop the message.
 */
#ifndef AWS_MESSAGE_CHECK_H
#define AWS_MESSAGE_CHECK_H

#include "base/err.h"

enum { MESSAGE_ATTRIBUTES_MAX = 10 };

/* True if a body or value is UTF-8 of #x9 #xA #xD #x20-#xD7FF #xE000-#xFFFD #x10000-#x10FFFF only. */
bool message_check_text(const char *text);

/* NEVER: "invalid_message"; the text names the fault. */
int message_check_body(const char *body, struct err *err) must_check;
int message_check_attribute(const char *name, const char *type, const char *value, struct err *err) must_check;
int message_check_count(size_t n_attributes, struct err *err) must_check;

/* NEVER: "message_too_large", if `size` is over `max`. */
int message_check_size(size_t size, size_t max, struct err *err) must_check;

/* An attribute's share of the size limit: the bytes of name, type and value. A Binary value counts decoded. */
size_t message_check_attribute_size(const char *name, const char *type, const char *value);
bool message_check_is_binary(const char *type);

#endif
