/*
 * creds: the cache, with the test's own clock. A script as credential_process stands for every source: its answer is a
 * file, and the test counts its runs.
 */
#include "aws/credentials/creds.h"

#include <fcntl.h>
#include <pthread.h>
#include <stdio.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/time.h"

#include "test.h"

enum { MINUTE_MS = 60 * 1000 };
static const int64_t start_ms = INT64_C(1700000000000);

/* A folder with a config file whose credential_process prints the file "answer". */
struct stage {
    char folder[64];
    struct aws_profile *profile;
    struct creds_cache *cache;
    struct http *http;
};

static void write_file(const struct stage *stage, const char *name, const char *text)
{
    char path[128], new_path[128];
    snprintf(path, sizeof(path), "%s/%s", stage->folder, name);
    snprintf(new_path, sizeof(new_path), "%s/%s.new", stage->folder, name);
    FILE *file = fopen(new_path, "we");
    CHECK(file && fputs(text, file) >= 0);
    if (file)
        fclose(file);
    CHECK(rename(new_path, path) == 0);
}

static bool has_file(const struct stage *stage, const char *name)
{
    char path[128];
    snprintf(path, sizeof(path), "%s/%s", stage->folder, name);
    return access(path, F_OK) == 0;
}

static void remove_file(const struct stage *stage, const char *name)
{
    char path[128];
    snprintf(path, sizeof(path), "%s/%s", stage->folder, name);
    unlink(path);
}

static void answer(const struct stage *stage, const char *id, int64_t expires_at_ms)
{
    char time[TIME_TEXT_SIZE], text[256];
    time_format_rfc3339(expires_at_ms, time);
    snprintf(text, sizeof(text),
             "{\"Version\": 1, \"AccessKeyId\": \"%s\", \"SecretAccessKey\": \"s\", \"Expiration\": \"%s\"}", id, time);
    write_file(stage, "answer", text);
}

/* The number of runs of the process. */
static long runs(const struct stage *stage)
{
    char path[128];
    struct stat stat_of;
    snprintf(path, sizeof(path), "%s/runs", stage->folder);
    return stat(path, &stat_of) == 0 ? (long)stat_of.st_size : 0;
}

static void stage_open(struct stage *stage, int stop_fd)
{
    char text[512], path[128];
    strcpy(stage->folder, "/tmp/test_creds.XXXXXX");
    CHECK(mkdtemp(stage->folder) != NULL);
    /* Waits while the file "hold" exists. */
    snprintf(text, sizeof(text),
             "[default]\ncredential_process = sh -c \"cd %s; printf x >> runs; while [ -e hold ]; do sleep 0.02; "
             "done; cat answer\"\n",
             stage->folder);
    write_file(stage, "config", text);
    snprintf(path, sizeof(path), "%s/config", stage->folder);
    setenv("AWS_CONFIG_FILE", path, 1);
    snprintf(path, sizeof(path), "%s/credentials", stage->folder);
    setenv("AWS_SHARED_CREDENTIALS_FILE", path, 1);
    setenv("AWS_EC2_METADATA_DISABLED", "true", 1);
    CHECK(aws_profile_load(&stage->profile, NULL) == 0);
    CHECK(http_new(stop_fd, &stage->http, NULL) == 0);
    CHECK(creds_cache_new(stage->profile, "eu-west-1", &stage->cache, NULL) == 0);
}

static void stage_close(struct stage *stage)
{
    static const char *const names[] = { "config", "credentials", "answer", "runs", "hold" };
    for (size_t i = 0; i < N_ELEMENTS(names); i++)
        remove_file(stage, names[i]);
    CHECK(rmdir(stage->folder) == 0);
    creds_cache_free(stage->cache);
    aws_profile_free(stage->profile);
    http_free(stage->http);
}

/* Expects a key, or an error's code, from the cache at this time, and this number of runs after it. */
static void expect(struct stage *stage, int64_t after_ms, const char *expected, long expected_runs, int line)
{
    auto_creds struct creds creds = CREDS_INIT;
    struct err err = ERR_INIT;
    int r = creds_get(stage->cache, stage->http, start_ms + after_ms, &creds, &err);
    test_check_strings(r == 0 ? creds.access_key_id : err.code, expected, __FILE__, line);
    test_check(runs(stage) == expected_runs, __FILE__, line, "%ld runs, expected %ld", runs(stage), expected_runs);
    test_check(r == 0 || (r == LATER && err.outage), __FILE__, line, "result %d: %s", r, err.text);
}
#define EXPECT(stage, after_ms, expected, runs) expect((stage), (after_ms), (expected), (runs), __LINE__)

static void test_refresh(void)
{
    struct stage stage;
    stage_open(&stage, -1);
    answer(&stage, "A", start_ms + 60 * MINUTE_MS);
    EXPECT(&stage, 0, "A", 1);
    EXPECT(&stage, 0, "A", 1);
    answer(&stage, "B", start_ms + 120 * MINUTE_MS);
    EXPECT(&stage, 45 * MINUTE_MS - 1, "A", 1);
    EXPECT(&stage, 45 * MINUTE_MS, "B", 2);
    EXPECT(&stage, 104 * MINUTE_MS, "B", 2);

    /* After a failed refresh the old credentials are used until they expire; the next try is a minute later. */
    remove_file(&stage, "answer");
    EXPECT(&stage, 106 * MINUTE_MS, "B", 3);
    EXPECT(&stage, 107 * MINUTE_MS - 1, "B", 3);
    EXPECT(&stage, 107 * MINUTE_MS, "B", 4);
    EXPECT(&stage, 112 * MINUTE_MS, "B", 5);
    EXPECT(&stage, 119 * MINUTE_MS, "B", 6);
    EXPECT(&stage, 120 * MINUTE_MS - 1, "B", 6);
    EXPECT(&stage, 120 * MINUTE_MS, "no_credentials", 7);
    EXPECT(&stage, 120 * MINUTE_MS, "no_credentials", 8);
    answer(&stage, "C", start_ms + 200 * MINUTE_MS);
    EXPECT(&stage, 121 * MINUTE_MS, "C", 9);
    stage_close(&stage);
}

/* Credentials that live shorter than the advisory time are fetched once a minute, not for each call. */
static void test_short_lived(void)
{
    struct stage stage;
    stage_open(&stage, -1);
    answer(&stage, "A", start_ms + 5 * MINUTE_MS);
    EXPECT(&stage, 0, "A", 1);
    EXPECT(&stage, 1, "A", 1);
    EXPECT(&stage, MINUTE_MS - 1, "A", 1);
    EXPECT(&stage, MINUTE_MS, "A", 2);
    /* Credentials that have already expired are not used. */
    EXPECT(&stage, 6 * MINUTE_MS, "no_credentials", 3);
    stage_close(&stage);
}

static void test_expire(void)
{
    struct stage stage;
    stage_open(&stage, -1);
    answer(&stage, "A", start_ms + 60 * MINUTE_MS);
    EXPECT(&stage, 0, "A", 1);
    answer(&stage, "B", start_ms + 60 * MINUTE_MS);
    creds_expire(stage.cache, "other");
    EXPECT(&stage, 1, "A", 1);
    creds_expire(stage.cache, "A");
    EXPECT(&stage, 2, "B", 2);
    creds_expire(stage.cache, "A"); /* reported by a thread that still used the old key */
    EXPECT(&stage, 3, "B", 2);

    creds_expire(stage.cache, "B");
    remove_file(&stage, "answer");
    EXPECT(&stage, 4, "no_credentials", 3);

    /* The files are read again. */
    write_file(&stage, "credentials", "[default]\naws_access_key_id = F\naws_secret_access_key = s\n");
    EXPECT(&stage, 5, "F", 3);
    write_file(&stage, "credentials", "[default]\naws_access_key_id = G\naws_secret_access_key = s\n");
    EXPECT(&stage, 6, "F", 3);
    creds_expire(stage.cache, "F");
    EXPECT(&stage, 7, "G", 3);
    write_file(&stage, "credentials", "no INI");
    creds_expire(stage.cache, "G");
    EXPECT(&stage, 8, "no_credentials", 3);
    stage_close(&stage);
}

/* A thread that calls creds_get once. */
struct asker {
    struct stage *stage;
    int64_t after_ms;
    pthread_t thread;
    struct creds creds;
    int result;
    _Atomic bool done;
};

static void *ask(void *context)
{
    struct asker *asker = context;
    auto_http struct http *http = NULL;
    asker->result = http_new(-1, &http, NULL);
    if (asker->result == 0)
        asker->result = creds_get(asker->stage->cache, http, start_ms + asker->after_ms, &asker->creds, NULL);
    asker->done = true;
    return NULL;
}

static void pause_ms(int64_t ms)
{
    (void)wait_fd(-1, 0, -1, time_mono_ms() + ms);
}

static void await_runs(const struct stage *stage, long expected)
{
    for (int i = 0; i < 1000 && runs(stage) < expected; i++)
        pause_ms(10);
    CHECK(runs(stage) == expected);
}

static void join(struct asker *asker, const char *expected)
{
    pthread_join(asker->thread, NULL);
    CHECK_STRING(asker->creds.access_key_id, expected);
    creds_clear(&asker->creds);
}

static void test_one_thread_refreshes(void)
{
    struct stage stage;
    stage_open(&stage, -1);
    answer(&stage, "A", start_ms + 60 * MINUTE_MS);
    EXPECT(&stage, 0, "A", 1);
    answer(&stage, "B", start_ms + 120 * MINUTE_MS);
    write_file(&stage, "hold", "");

    struct asker refresher = { .stage = &stage, .after_ms = 46 * MINUTE_MS };
    pthread_create(&refresher.thread, NULL, ask, &refresher);
    await_runs(&stage, 2);
    EXPECT(&stage, 46 * MINUTE_MS, "A", 2); /* the others use the old credentials */
    struct asker waiters[3];
    for (size_t i = 0; i < N_ELEMENTS(waiters); i++) {
        waiters[i] = (struct asker){ .stage = &stage, .after_ms = 50 * MINUTE_MS + 1 };
        pthread_create(&waiters[i].thread, NULL, ask, &waiters[i]);
    }
    pause_ms(100);
    for (size_t i = 0; i < N_ELEMENTS(waiters); i++)
        CHECK(!waiters[i].done);
    remove_file(&stage, "hold");
    join(&refresher, "B");
    for (size_t i = 0; i < N_ELEMENTS(waiters); i++)
        join(&waiters[i], "B");
    CHECK(runs(&stage) == 2);
    stage_close(&stage);
}

/* Without usable credentials all threads wait for the first, and all get its failure. */
static void test_first_time(void)
{
    for (int works = 0; works <= 1; works++) {
        struct stage stage;
        stage_open(&stage, -1);
        if (works)
            answer(&stage, "A", start_ms + 60 * MINUTE_MS);
        write_file(&stage, "hold", "");
        struct asker askers[4];
        for (size_t i = 0; i < N_ELEMENTS(askers); i++) {
            askers[i] = (struct asker){ .stage = &stage };
            pthread_create(&askers[i].thread, NULL, ask, &askers[i]);
        }
        await_runs(&stage, 1);
        pause_ms(100);
        remove_file(&stage, "hold");
        for (size_t i = 0; i < N_ELEMENTS(askers); i++) {
            join(&askers[i], works ? "A" : NULL);
            CHECK(askers[i].result == (works ? 0 : LATER));
        }
        CHECK(runs(&stage) == 1);
        stage_close(&stage);
    }
}

static void test_stop(void)
{
    int ends[2];
    CHECK(pipe(ends) == 0);
    struct stage stage;
    stage_open(&stage, ends[0]);
    answer(&stage, "A", start_ms + 60 * MINUTE_MS);
    EXPECT(&stage, 0, "A", 1);
    write_file(&stage, "hold", "");
    CHECK(write(ends[1], "x", 1) == 1);
    int64_t before_ms = time_mono_ms();
    auto_creds struct creds old = CREDS_INIT, creds = CREDS_INIT;
    struct err err = ERR_INIT;
    CHECK(creds_get(stage.cache, stage.http, start_ms + 46 * MINUTE_MS, &old, &err) == 0);
    CHECK_STRING(old.access_key_id, "A"); /* the credentials are still usable */
    CHECK(creds_get(stage.cache, stage.http, start_ms + 60 * MINUTE_MS, &creds, &err) == LATER);
    CHECK_STRING(err.code, "interrupted");
    CHECK(time_mono_ms() - before_ms < 10 * 1000);
    CHECK(has_file(&stage, "hold"));
    close(ends[0]);
    close(ends[1]);
    stage_close(&stage);
}

static bool get_once(void *context)
{
    struct stage *stage = context;
    auto_aws_profile struct aws_profile *profile = NULL;
    struct creds_cache *cache = NULL;
    auto_creds struct creds creds = CREDS_INIT;
    int r = aws_profile_load(&profile, NULL);
    if (r == 0)
        r = creds_cache_new(profile, "eu-west-1", &cache, NULL);
    if (r == 0)
        r = creds_get(cache, stage->http, start_ms, &creds, NULL);
    CHECK(r <= 0);
    if (r == 0)
        CHECK(strcmp(creds.access_key_id, "F") == 0);
    creds_cache_free(cache);
    return r == 0;
}

static void test_failing(void)
{
    struct stage stage;
    stage_open(&stage, -1);
    write_file(&stage, "credentials",
               "[default]\naws_access_key_id = F\naws_secret_access_key = s\naws_session_token = t\n");
    test_failing_allocations(get_once, &stage);
    stage_close(&stage);
}

int main(void)
{
    static const char *const variables[] = { "AWS_PROFILE",
                                             "AWS_DEFAULT_PROFILE",
                                             "AWS_ACCESS_KEY_ID",
                                             "AWS_SECRET_ACCESS_KEY",
                                             "AWS_WEB_IDENTITY_TOKEN_FILE",
                                             "AWS_CONTAINER_CREDENTIALS_FULL_URI",
                                             "AWS_CONTAINER_CREDENTIALS_RELATIVE_URI" };
    for (size_t i = 0; i < N_ELEMENTS(variables); i++)
        unsetenv(variables[i]);
    test_refresh();
    test_short_lived();
    test_expire();
    test_one_thread_refreshes();
    test_first_time();
    test_stop();
    test_failing();
    return test_end();
}
