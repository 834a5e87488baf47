/*
 * transfer: one exchange on one of libcurl's easy handles. Internal to lib/http.
 */
#ifndef HTTP_TRANSFER_H
#define HTTP_TRANSFER_H

#include <curl/curl.h>

#include "http/http.h"

/* A place for an exchange. The easy handle stays for the next one, everything else is the exchange's. */
struct transfer {
    CURL *easy;                     /* NULL until first used */
    struct http_exchange *exchange; /* NULL: free */
    struct curl_slist *headers;     /* holds secrets: wiped when it goes */
    size_t header_len;              /* of all answers of this exchange, interim ones too */
    int64_t deadline_ms;            /* time_mono_ms() */
    bool again;                     /* sent a second time, on a connection of its own */
    bool too_large;
    bool no_memory;
    char error[CURL_ERROR_SIZE];
};

/*
 * Sets the easy handle up for `exchange`, whose response is empty. `ca_bundle` NULL: libcurl's own.
 * Otherwise than 0: exchange->result and err are set, and the transfer is free again.
 */
int transfer_begin(struct transfer *transfer, struct http_exchange *exchange, const char *ca_bundle) must_check;

/*
 * Whether the request, which ended with `code`, may be sent once more because a connection kept from
 * before was dead; the easy handle is then ready to be added again.
 */
bool transfer_begin_again(struct transfer *transfer, CURLcode code);

/* Fills the exchange's result, response and err from what libcurl says, and frees the transfer for the next. */
void transfer_end(struct transfer *transfer, CURLcode code);
/* Ends it without an answer: result LATER, "interrupted". */
void transfer_interrupt(struct transfer *transfer);

void transfer_clear(struct transfer *transfer);

#endif
