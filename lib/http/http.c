#include "http/http.h"

#include <errno.h>
#include <pthread.h>

#include "http/transfer.h"

enum { POLL_MS = 60 * 1000 }; /* libcurl ends the poll earlier for its own time limits */

struct http {
    CURLM *multi;
    int stop_fd;
    char *ca_bundle; /* NULL: libcurl's own */
    struct transfer transfers[HTTP_AT_ONCE];
};

static CURLcode global_result; /* written once, under pthread_once */

static void global_init(void)
{
    global_result = curl_global_init(CURL_GLOBAL_DEFAULT);
}

/* The variables of the AWS tools, curl and OpenSSL, in this order. */
static const char *ca_bundle_from_environment(void)
{
    static const char *const names[] = { "AWS_CA_BUNDLE", "CURL_CA_BUNDLE", "SSL_CERT_FILE" };
    for (size_t i = 0; i < N_ELEMENTS(names); i++) {
        const char *path = getenv(names[i]);
        if (path && *path)
            return path;
    }
    return NULL;
}

int http_new(int stop_fd, struct http **ret, struct err *err)
{
    static pthread_once_t once = PTHREAD_ONCE_INIT;
    pthread_once(&once, global_init);
    if (global_result != CURLE_OK)
        return err_fatal(err, ENOTSUP, "libcurl: %s", curl_easy_strerror(global_result));

    auto_http struct http *http = calloc(1, sizeof(*http));
    if (!http)
        return err_no_memory(err);
    http->stop_fd = stop_fd;
    const char *ca_bundle = ca_bundle_from_environment();
    if (ca_bundle && !(http->ca_bundle = strdup(ca_bundle)))
        return err_no_memory(err);
    http->multi = curl_multi_init();
    if (!http->multi)
        return err_no_memory(err);
    /* libcurl's default is four connections per running request, which drops most of them after a large call. */
    if (curl_multi_setopt(http->multi, CURLMOPT_MAXCONNECTS, (long)HTTP_AT_ONCE) != CURLM_OK)
        return err_no_memory(err);
    *ret = TAKE(http);
    return 0;
}

void http_free(struct http *http)
{
    if (!http)
        return;
    for (size_t i = 0; i < HTTP_AT_ONCE; i++)
        transfer_clear(&http->transfers[i]);
    curl_multi_cleanup(http->multi);
    free(http->ca_bundle);
    free(http);
}

int http_stop_fd(const struct http *http)
{
    return http->stop_fd;
}

static struct transfer *free_transfer(struct http *http)
{
    for (size_t i = 0; i < HTTP_AT_ONCE; i++)
        if (!http->transfers[i].exchange)
            return &http->transfers[i];
    return NULL;
}

/* Starts exchanges while transfers are free. Returns the number of exchanges that it started or rejected. */
static size_t start_some(struct http *http, struct http_exchange *exchanges, size_t n, size_t *n_running)
{
    size_t i = 0;
    for (struct transfer *transfer; i < n && (transfer = free_transfer(http)); i++) {
        if (transfer_begin(transfer, &exchanges[i], http->ca_bundle) != 0)
            continue;
        if (curl_multi_add_handle(http->multi, transfer->easy) == CURLM_OK)
            (*n_running)++;
        else
            transfer_end(transfer, CURLE_FAILED_INIT);
    }
    return i;
}

static void collect_ended(struct http *http, size_t *n_running)
{
    int n_left;
    for (const CURLMsg *message; (message = curl_multi_info_read(http->multi, &n_left));) {
        if (message->msg != CURLMSG_DONE)
            continue;
        CURL *easy = message->easy_handle;
        CURLcode code = message->data.result; /* removing the handle frees the message */
        char *private = NULL;
        curl_easy_getinfo(easy, CURLINFO_PRIVATE, &private);
        struct transfer *transfer = (void *)private;
        curl_multi_remove_handle(http->multi, easy);
        if (transfer_begin_again(transfer, code) && curl_multi_add_handle(http->multi, easy) == CURLM_OK)
            continue;
        transfer_end(transfer, code);
        (*n_running)--;
    }
}

static void interrupt_running(struct http *http)
{
    for (size_t i = 0; i < HTTP_AT_ONCE; i++) {
        struct transfer *transfer = &http->transfers[i];
        if (!transfer->exchange)
            continue;
        curl_multi_remove_handle(http->multi, transfer->easy);
        transfer_interrupt(transfer);
    }
}

/* Advances the running transfers. If none ended, waits for the network or the stop, unless already stopped. */
static CURLMcode advance(struct http *http, bool stopped, size_t *n_running)
{
    int n_running_in_curl;
    CURLMcode code = curl_multi_perform(http->multi, &n_running_in_curl);
    size_t n_before = *n_running;
    collect_ended(http, n_running);
    if (code != CURLM_OK || stopped || *n_running == 0 || *n_running < n_before)
        return code;
    struct curl_waitfd stop = { .fd = http->stop_fd, .events = CURL_WAIT_POLLIN };
    return curl_multi_poll(http->multi, &stop, http->stop_fd >= 0, POLL_MS, NULL);
}

int http_do_many(struct http *http, struct http_exchange *exchanges, size_t n, struct err *err)
{
    for (size_t i = 0; i < n; i++) {
        http_response_clear(&exchanges[i].response);
        exchanges[i].result = err_later(&exchanges[i].err, "interrupted", "stopped before the request was sent");
    }
    size_t n_begun = 0, n_running = 0;
    bool stopped = false;
    CURLMcode code = CURLM_OK;
    while (code == CURLM_OK && !stopped && (n_begun < n || n_running > 0)) {
        /* After a stop, answers that have arrived count, but nothing is sent: we would not see whether it was done. */
        stopped = http->stop_fd >= 0 && wait_fd(-1, 0, http->stop_fd, 0) == WAIT_STOPPED; /* curl misses hang-ups */
        if (!stopped)
            n_begun += start_some(http, exchanges + n_begun, n - n_begun, &n_running);
        code = advance(http, stopped, &n_running);
    }
    interrupt_running(http);
    if (code == CURLM_OK)
        return 0;
    return err_fatal(err, code == CURLM_OUT_OF_MEMORY ? ENOMEM : EIO, "libcurl: %s", curl_multi_strerror(code));
}

int http_do(struct http *http, const struct http_request *request, struct http_response *ret, struct err *err)
{
    struct http_exchange exchange = { .request = *request, .response = *ret };
    *ret = (struct http_response)HTTP_RESPONSE_INIT;
    int result = http_do_many(http, &exchange, 1, err);
    if (result == 0) {
        result = exchange.result;
        if (result != 0 && err)
            *err = exchange.err;
    }
    *ret = exchange.response;
    return result;
}
