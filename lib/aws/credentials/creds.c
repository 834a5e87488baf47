#include "aws/credentials/creds.h"

#include <errno.h>
#include <inttypes.h>
#include <poll.h>
#include <pthread.h>
#include <stdio.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include "aws/credentials/creds_source.h"
#include "aws/credentials/sts.h"
#include "base/time.h"

enum {
    ADVISORY_MS = 15 * 60 * 1000,  /* before the end: one thread refreshes, the others go on */
    MANDATORY_MS = 10 * 60 * 1000, /* before the end: the others wait for it */
    RETRY_MS = 60 * 1000,
    WAIT_MAX_MS = 3 * 60 * 1000, /* longer than any lookup takes */
    ROLE_SPARE_MS = 5 * 60 * 1000,
    ROLE_HOUR_S = 60 * 60,
};

/* The role of a role's cache. Owns its strings. */
struct role {
    struct creds_cache *with; /* the credentials that may assume it */
    char *role_arn, *session_name;
    char duration_s[24];
};

struct creds_cache {
    const struct aws_profile *profile; /* borrowed */
    char *region;
    struct role *role;   /* NULL: the credentials of the chain */
    int64_t lifetime_ms; /* credentials that live shorter than this count as expired */
    int refreshed_fd;    /* an eventfd, readable while no refresh is running (after the first) */
    pthread_mutex_t lock;
    /* Under the lock. */
    struct creds creds;
    bool rejected; /* by a service: do not use them, whatever their expiry */
    bool refreshing;
    int64_t retry_at_ms;  /* no refresh before this time */
    uint64_t n_refreshes; /* finished ones, failed or not */
    struct err failure;   /* of the last refresh */
    /* Only for the refreshing thread. */
    struct aws_profile *read_again;
};

void creds_clear(struct creds *creds)
{
    wipe_string(creds->access_key_id);
    wipe_string(creds->secret_access_key);
    wipe_string(creds->session_token);
    *creds = (struct creds)CREDS_INIT;
}

static void free_cache_pointer(struct creds_cache **cache)
{
    creds_cache_free(*cache);
}

int creds_cache_new(const struct aws_profile *profile, const char *region, struct creds_cache **ret, struct err *err)
{
    cleanup(free_cache_pointer) struct creds_cache *cache = calloc(1, sizeof(*cache));
    if (!cache)
        return err_no_memory(err);
    pthread_mutex_init(&cache->lock, NULL);
    cache->profile = profile;
    cache->region = region ? strdup(region) : NULL;
    cache->refreshed_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    if (region && !cache->region)
        return err_no_memory(err);
    if (cache->refreshed_fd < 0)
        return err_fatal(err, errno, "cannot create an eventfd");
    *ret = TAKE(cache);
    return 0;
}

static void role_free(struct role *role)
{
    if (!role)
        return;
    free(role->role_arn);
    free(role->session_name);
    free(role);
}

int creds_cache_new_role(struct creds_cache *with, const struct creds_role *role, struct creds_cache **ret,
                         struct err *err)
{
    cleanup(free_cache_pointer) struct creds_cache *cache = NULL;
    int r = creds_cache_new(with->profile, with->region, &cache, err);
    if (r != 0)
        return r;
    cache->lifetime_ms = role->lifetime_ms;
    cache->role = calloc(1, sizeof(*cache->role));
    if (!cache->role)
        return err_no_memory(err);
    cache->role->with = with;
    cache->role->role_arn = strdup(role->role_arn);
    cache->role->session_name = strdup(role->session_name);
    if (!cache->role->role_arn || !cache->role->session_name)
        return err_no_memory(err);
    /* Every role permits an hour, and one role gets no more for another. */
    int64_t needed_s = (role->lifetime_ms + ADVISORY_MS + ROLE_SPARE_MS) / 1000;
    snprintf(cache->role->duration_s, sizeof(cache->role->duration_s), "%" PRId64,
             needed_s > ROLE_HOUR_S ? needed_s : ROLE_HOUR_S);
    *ret = TAKE(cache);
    return 0;
}

void creds_cache_free(struct creds_cache *cache)
{
    if (!cache)
        return;
    creds_clear(&cache->creds);
    aws_profile_free(cache->read_again);
    base_close_fd(&cache->refreshed_fd);
    pthread_mutex_destroy(&cache->lock);
    role_free(cache->role);
    free(cache->region);
    free(cache);
}

static int copy_creds(const struct creds *from, struct creds *ret, struct err *err)
{
    auto_creds struct creds creds = {
        .access_key_id = strdup(from->access_key_id),
        .secret_access_key = strdup(from->secret_access_key),
        .session_token = from->session_token ? strdup(from->session_token) : NULL,
        .expires_at_ms = from->expires_at_ms,
        .source = from->source,
    };
    if (!creds.access_key_id || !creds.secret_access_key || (from->session_token && !creds.session_token))
        return err_no_memory(err);
    *ret = creds;
    creds = (struct creds)CREDS_INIT;
    return 0;
}

/* The lock is held in all functions below, except in assume_cached_role and fetch. */

static bool is_usable(const struct creds_cache *cache, int64_t now_ms)
{
    return cache->creds.access_key_id && !cache->rejected && now_ms < cache->creds.expires_at_ms - cache->lifetime_ms;
}

enum next { USE, REFRESH, AWAIT };

static enum next next_step(const struct creds_cache *cache, int64_t now_ms)
{
    if (!is_usable(cache, now_ms))
        return cache->refreshing ? AWAIT : REFRESH;
    int64_t left_ms = cache->creds.expires_at_ms - cache->lifetime_ms - now_ms;
    if (left_ms > ADVISORY_MS || now_ms < cache->retry_at_ms)
        return USE;
    if (cache->refreshing)
        return left_ms > MANDATORY_MS ? USE : AWAIT;
    return REFRESH;
}

static int assume_cached_role(const struct creds_cache *cache, struct http *http, int64_t now_ms, struct creds *ret,
                              struct err *err)
{
    const struct role *role = cache->role;
    const struct creds_lookup lookup = { .profile = cache->profile,
                                         .profile_name = aws_profile_name(cache->profile),
                                         .region = cache->region,
                                         .http = http,
                                         .now_ms = now_ms };
    const struct sts_role asked = { .role_arn = role->role_arn,
                                    .session_name = role->session_name,
                                    .duration_s = role->duration_s };
    auto_creds struct creds with = CREDS_INIT;
    struct err story = ERR_INIT;
    int r = creds_get(role->with, http, now_ms, &with, &story);
    if (r == 0)
        r = sts_assume_role(&lookup, &asked, &with, "assumed role", ret, &story);
    if (r == 0 && ret->expires_at_ms - cache->lifetime_ms <= now_ms)
        r = err_never(&story, "too_short",
                      "the credentials of role %s expire within %" PRId64 " s, and they must last longer",
                      role->role_arn, cache->lifetime_ms / 1000);
    if (r > 0 && !err_is(&story, "interrupted"))
        return err_outage(err, "role_unavailable", "%s", story.text);
    if (r != 0)
        *err = story;
    return r;
}

/* Runs without the lock: `refreshing` keeps other threads out. */
static int fetch(struct creds_cache *cache, struct http *http, int64_t now_ms, bool read_again, struct creds *ret,
                 struct err *err)
{
    auto_buf struct buf trail = BUF_INIT;
    if (cache->role)
        return assume_cached_role(cache, http, now_ms, ret, err);
    if (read_again) {
        auto_aws_profile struct aws_profile *profile = NULL;
        int r = aws_profile_load(&profile, err);
        if (r != 0)
            return r < 0 ? r : err_outage(err, "no_credentials", "no AWS credentials: %s", err->text);
        aws_profile_free(cache->read_again);
        cache->read_again = TAKE(profile);
    }
    const struct aws_profile *profile = cache->read_again ? cache->read_again : cache->profile;
    const struct creds_lookup lookup = {
        .profile = profile,
        .profile_name = aws_profile_name(profile),
        .region = cache->region,
        .http = http,
        .now_ms = now_ms,
        .trail = &trail,
    };
    return creds_chain(&lookup, ret, err);
}

static void set_refreshed(const struct creds_cache *cache, bool refreshed)
{
    uint64_t count = 1;
    ssize_t n = refreshed ? write(cache->refreshed_fd, &count, sizeof(count))
                          : read(cache->refreshed_fd, &count, sizeof(count));
    (void)n; /* fails only if the eventfd already has the wanted state */
}

static int refresh(struct creds_cache *cache, struct http *http, int64_t now_ms, struct err *err)
{
    auto_creds struct creds creds = CREDS_INIT;
    struct err failure = ERR_INIT;
    bool read_again = cache->rejected;
    cache->refreshing = true;
    set_refreshed(cache, false);
    pthread_mutex_unlock(&cache->lock);
    int r = fetch(cache, http, now_ms, read_again, &creds, &failure);
    pthread_mutex_lock(&cache->lock);
    cache->refreshing = false;
    cache->n_refreshes++;
    set_refreshed(cache, true);
    if (r == 0) {
        creds_clear(&cache->creds);
        cache->creds = creds;
        creds = (struct creds)CREDS_INIT;
        cache->rejected = false;
    }
    cache->failure = failure;
    /* Also after a success: credentials that live shorter than ADVISORY_MS would otherwise be fetched for each call. */
    if (!err_is(&failure, "interrupted"))
        cache->retry_at_ms = now_ms + RETRY_MS;
    if (r >= 0 && is_usable(cache, now_ms))
        return 0;
    *err = failure;
    return r;
}

/* Waits until another thread's refresh has ended. */
static int await_refresh(struct creds_cache *cache, struct http *http, int64_t now_ms, struct err *err)
{
    uint64_t n_before = cache->n_refreshes;
    pthread_mutex_unlock(&cache->lock);
    enum wait_result waited = wait_fd(cache->refreshed_fd, POLLIN, http_stop_fd(http), time_mono_ms() + WAIT_MAX_MS);
    pthread_mutex_lock(&cache->lock);
    if (waited == WAIT_STOPPED)
        return err_later(err, "interrupted", "stopped while waiting for credentials");
    if (waited == WAIT_TIMEOUT)
        return err_outage(err, "no_credentials", "no AWS credentials: another thread is still fetching them");
    /* If that refresh failed, do not fetch again: each waiting thread would get the same answer in turn. */
    if (!is_usable(cache, now_ms) && cache->n_refreshes > n_before && cache->failure.outage) {
        *err = cache->failure;
        return LATER;
    }
    return 0;
}

int creds_get(struct creds_cache *cache, struct http *http, int64_t now_ms, struct creds *ret, struct err *err)
{
    struct err failure = ERR_INIT;
    pthread_mutex_lock(&cache->lock);
    int r = 0;
    while (r == 0 && next_step(cache, now_ms) == AWAIT)
        r = await_refresh(cache, http, now_ms, &failure);
    if (r == 0 && next_step(cache, now_ms) == REFRESH)
        r = refresh(cache, http, now_ms, &failure);
    if (r == 0)
        r = copy_creds(&cache->creds, ret, &failure);
    pthread_mutex_unlock(&cache->lock);
    if (r != 0 && err)
        *err = failure;
    return r;
}

void creds_expire(struct creds_cache *cache, const char *access_key_id)
{
    pthread_mutex_lock(&cache->lock);
    if (cache->creds.access_key_id && strcmp(cache->creds.access_key_id, access_key_id) == 0)
        cache->rejected = true;
    pthread_mutex_unlock(&cache->lock);
}
