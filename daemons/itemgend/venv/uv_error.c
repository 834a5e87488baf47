#include "itemgend/venv/uv_error.h"

#include "itemgend/sandbox/output.h"

static bool mentions_any(const char *text, const char *const *words, size_t n)
{
    for (size_t i = 0; i < n; i++)
        if (strstr(text, words[i]))
            return true;
    return false;
}

/* A registry that answers, but not with this one file, is not down; nor is one that refuses it: whether it refuses all
 * of them, whoever asks finds out without the package. */
static bool mentions_network(const char *text)
{
    static const char *const words[] = { "error sending request",       "Failed to fetch",     "dns error",
                                         "tcp connect error",           "operation timed out", "connection closed",
                                         "error decoding response body" };
    static const char *const answers[] = { "400 Bad Request", "401 Unauthorized", "403 Forbidden", "404 Not Found",
                                           "410 Gone" };
    return mentions_any(text, words, N_ELEMENTS(words)) && !mentions_any(text, answers, N_ELEMENTS(answers));
}

/* uv's story from its beginning on; NULL: it tells none. Some versions begin some of theirs with a cross. */
static const char *find_story(const struct buf *output)
{
    const char *story = output_from_line(output, "error:");
    return story ? story : output_from_line(output, "  \xc3\x97 ");
}

int uv_error(const struct buf *output, struct err *err)
{
    if (strstr(buf_str(output), "building from source is disabled"))
        return err_never(err, "needs_source_build",
                         "the package, or one that it needs, has no wheel and would have to be built, which runs its "
                         "code: set source_builds if that is wanted: %.700s",
                         output_tail(output));
    if (strstr(buf_str(output), "No solution found when resolving"))
        return err_never(err, "unresolvable", "uv cannot resolve the package: %.800s", output_tail(output));
    const char *error = find_story(output);
    if (error && strstr(error, "No space left on device"))
        return err_outage(err, "no_environment", "uv cannot make the environment: %.800s", error);
    if (error && mentions_network(error))
        return err_outage(err, "registry_unavailable", "uv cannot reach the package registry: %.800s", error);
    if (error)
        return err_never(err, "environment_failed", "uv cannot make the environment: %.800s", error);
    return 0;
}
