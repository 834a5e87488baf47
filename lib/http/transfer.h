/*
 * transfer: one exchange on one of libcurl's easy handles. Internal to lib/http.
 */
#ifndef HTTP_TRANSFER_H
#define HTTP_TRANSFER_H

#include <curl/curl.h>

#include "http/http.h"

/* A place for an exchange. The easy handle is reused; everything else belongs to the current exchange. */
struct transfer {
    CURL *easy;                     /* NULL until first used */
    struct http_exchange *exchange; /* NULL: free */
    struct curl_slist *headers;     /* may hold secrets, so it is wiped */
    size_t header_len;              /* header bytes received, also of interim answers */
    int64_t deadline_ms;            /* on the clock of time_mono_ms() */
    bool again;                     /* sent a second time, on a new connection */
    bool too_large;
    bool no_memory;
    char error[CURL_ERROR_SIZE];
};

/*
 * Sets up the easy handle for `exchange`, whose response must be empty. `ca_bundle` NULL: libcurl's default.
 * On failure it sets exchange->result and err, returns the result, and the transfer is free again.
 */
int transfer_begin(struct transfer *transfer, struct http_exchange *exchange, const char *ca_bundle) must_check;

/*
 * True if the request failed with `code` because a kept connection was dead, and may be sent once more. The easy handle
 * can then be added again.
 */
bool transfer_begin_again(struct transfer *transfer, CURLcode code);

/* Sets the exchange's result, response and err from libcurl's result, and frees the transfer. */
void transfer_end(struct transfer *transfer, CURLcode code);
/* Ends the exchange with LATER, "interrupted". */
void transfer_interrupt(struct transfer *transfer);

void transfer_clear(struct transfer *transfer);

#endif
