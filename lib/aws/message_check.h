/*
 * message_check: what SQS and SNS both demand of a message before they take it. Pure.
 *
 * "Amazon SQS message metadata" and "SendMessage" (SQS Developer Guide, API Reference), "Amazon SNS
 * message attributes". A check here names what is wrong with one message; the service would refuse
 * it, or the batch it is in, with less to say. SNS with raw delivery would drop it without a word.
 */
#ifndef AWS_MESSAGE_CHECK_H
#define AWS_MESSAGE_CHECK_H

#include "base/err.h"

enum { MESSAGE_ATTRIBUTES_MAX = 10 };

/* Whether a body or value is UTF-8 of #x9 #xA #xD #x20-#xD7FF #xE000-#xFFFD #x10000-#x10FFFF only. */
bool message_check_text(const char *text);

/* NEVER: "invalid_message", naming what is wrong. */
int message_check_body(const char *body, struct err *err) must_check;
int message_check_attribute(const char *name, const char *type, const char *value, struct err *err) must_check;
int message_check_count(size_t n_attributes, struct err *err) must_check;

/* NEVER: "message_too_large", where `size` is over `max`. */
int message_check_size(size_t size, size_t max, struct err *err) must_check;

/* What an attribute counts to the size limit: name, type and value, which is base64 of what counts where it is Binary.
 */
size_t message_check_attribute_size(const char *name, const char *type, const char *value);
bool message_check_is_binary(const char *type);

#endif
