/*
 * log: one line per event, with fields. Lines go to the journal if stderr is connected to it, else to stdout as JSON.
 *
 * Journal fields: MESSAGE, MESSAGE_ID, PRIORITY, SYSLOG_IDENTIFIER, EVENT (its name) and the line's own. JSON members:
 * time (RFC 3339, ms), level, event, message and the line's own fields in lower case.
 *
 * Libraries never log. Each kind of event has a MESSAGE_ID (journalctl MESSAGE_ID=...), listed in
 * docs/reference/events.md.
 */
#ifndef DAEMON_LOG_H
#define DAEMON_LOG_H

#include <syslog.h>

#include "base/buf.h"

/* X(NAME, message id): the kinds of events. */
#define LOG_EVENTS(X)                                         \
    X(DAEMON_STARTED, "6ac375090cd14d59820b744854e73bc7")     \
    X(DAEMON_STOPPING, "716abce144aa4ffa8b677280b746e86e")    \
    X(DAEMON_STOPPED, "759434058a6441778b1bd8433f04edb2")     \
    X(CONFIG_RELOADED, "0212c0917fa4444aa66f28dd5fa3f874")    \
    X(CONFIG_REFUSED, "27ef1eff90f44c3e8959fd261885e218")     \
    X(QUEUE_OPENED, "253c85e105964092b05f929c8d71a63b")       \
    X(MESSAGE_DONE, "869a47d03b3f4c32a13b2ff068f234e0")       \
    X(MESSAGE_LATER, "ae5150bac5a8454fbdb27b953b9858fc")      \
    X(MESSAGE_DEAD, "75f7fcfe74774991bbc88184777ff70f")       \
    X(MESSAGE_RETURNED, "f2512df153144a15bb9e2e2cbdabf1d8")   \
    X(SANDBOX_CHOSEN, "80f1690aa8e746168d7c2339afcc8c16")     \
    X(ITEM_GENERATED, "c1628e5d86fa4f4abed983538b9de717")     \
    X(SERVER_STARTED, "916796a7bd1d4959bce3a4c1bfa95321")     \
    X(SERVER_ENDED, "e6280df4713a4d8a93cb8ebb7c926ec8")       \
    X(ENVIRONMENT_BUILT, "136b2cf1de95f1849950bb03f5522ece")  \
    X(ITEM_LOADED, "b7f1d55cc65442948b7068d03d45b354")        \
    X(COLLECTION_LOADED, "72f6356f4e3240f88a75a48726d459d3")  \
    X(BASE_ITEM_REPLACED, "9311a0b1d12e433aa4ada9f3828d66d4") \
    X(BATCH_LOADED, "e2254f80aa98421890d3199f9567f849")       \
    X(DATABASE_CONNECTED, "b596412f1fcc4323bcd89e7cd18af29c") \
    X(OBJECT_PASSED_OVER, "576a9df5cdfc4f32bb7030a77593c424") \
    X(DEPENDENCY_DOWN, "9e700453b30a4961b4dd4f861f34682a")    \
    X(DEPENDENCY_UP, "4e6845c463b249c2983603c741efc073")      \
    X(HEARTBEAT_FAILED, "a6ba463931984515983f8a0c18217873")   \
    X(TASK_PROTECTION, "36538ae4810143049a45e2b627c0d2d6")    \
    X(METRICS, "e4839bb1ec19407bb0138e57b2a3cbd9")            \
    X(WARNING, "9f833dcfd9844a9eacb9b53cffc910ff")

enum log_event {
#define X(name, id) LOG_EVENT_##name,
    LOG_EVENTS(X)
#undef X
};

struct log_field {
    const char *name;  /* a journal field: "SQS_MESSAGE_ID", "COLLECTION", "ITEM_ID" */
    const char *value; /* NULL: left out */
};

enum { LOG_VALUE_MAX = 8192 }; /* bytes of a message or a field; the rest is cut off */

/*
 * Decides where lines go: to the journal if JOURNAL_STREAM names stderr, else to stdout. Called once, before there are
 * threads. `identifier` is the daemon's name. `max_priority` is LOG_ERR to LOG_DEBUG; lines of lower severity are
 * dropped.
 */
void log_open(const char *identifier, int max_priority);
void log_set_priority(int max_priority);
/* "error", "warning", "notice", "info", "debug" (the names in the JSON lines) as a priority; LOG_INFO for any other. */
int log_priority(const char *level);

/*
 * Writes one line. `fields` ends with a NULL name; NULL: no fields. Any thread may call it; lines are never mixed.
 * Unprintable characters become '?'. SIGPIPE must be ignored. If the reader of stdout stops reading, the first line
 * waits for a second. After that lines are dropped, and their number is logged once it reads again.
 */
void log_write(int priority, enum log_event event, const struct log_field *fields, const char *format, ...)
    printf_like(4, 5);

/*
 * Writes one line on stdout at any log level, with further members: JSON text like "\"a\":1,\"b\":2". Does nothing if
 * lines go to the journal, which has no numbers.
 */
void log_write_members(enum log_event event, const struct buf *members, const char *message);
/* Whether log_write_members writes. */
bool log_takes_members(void);

#define LOG_FIELDS(...) ((const struct log_field[]){ __VA_ARGS__, { NULL, NULL } })

#endif
