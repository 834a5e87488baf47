/*
 * copy: a message that was sent to its queue anew (common/last_receive.h), as its attributes tell. Pure.
 *
 *     receives_before      Number  how often its message had been received and worked on, from 1
 *     source_message_id    String  its message's
 *     published_at         Number  its message's, as common/dead_letter.h
 */
#ifndef COMMON_COPY_H
#define COMMON_COPY_H

#include "sqs/sqs.h"

#define COPY_RECEIVES_BEFORE "receives_before"
#define COPY_SOURCE "source_message_id"
#define COPY_PUBLISHED_AT "published_at"
enum { COPY_ATTRIBUTES = 3 };

/* receives_before; 0: it is no copy. Anybody may send what looks like one: only counts and ids that can be are taken.
 */
int copy_receives_before(const struct sqs_message *message);

/* Whether an attribute of that name is one of the three. */
bool copy_has_added(const char *attribute_name);

#endif
