#include "itemgend/venv/uv_error.h"

#include "itemgend/sandbox/output.h"

static bool mentions_any(const char *text, const char *const *words, size_t n)
{
    for (size_t i = 0; i < n; i++)
        if (strstr(text, words[i]))
            return true;
    return false;
}

/* A registry that answers is not down, even if it lacks or refuses this one file. Whether it refuses everything shows
 * when the caller tries without the package. */
static bool mentions_network(const char *text)
{
    static const char *const words[] = { "error sending request",       "Failed to fetch",     "dns error",
                                         "tcp connect error",           "operation timed out", "connection closed",
                                         "error decoding response body" };
    static const char *const answers[] = { "400 Bad Request", "401 Unauthorized", "403 Forbidden", "404 Not Found",
                                           "410 Gone" };
    return mentions_any(text, words, N_ELEMENTS(words)) && !mentions_any(text, answers, N_ELEMENTS(answers));
}

/* uv's error message, from its first line; NULL: none. Some versions begin some of them with a cross. */
static const char *find_error(const struct buf *output)
{
    const char *error = output_from_line(output, "error:");
    return error ? error : output_from_line(output, "  \xc3\x97 ");
}

int uv_error(const struct buf *output, struct err *err)
{
    if (strstr(buf_str(output), "building from source is disabled"))
        return err_never(err, "needs_source_build",
                         "the package or a dependency has no wheel. Building it from source runs its code; set "
                         "source_builds to allow that: %.700s",
                         output_tail(output));
    if (strstr(buf_str(output), "No solution found when resolving"))
        return err_never(err, "unresolvable", "uv cannot resolve the package: %.800s", output_tail(output));
    const char *error = find_error(output);
    if (error && strstr(error, "No space left on device"))
        return err_outage(err, "no_environment", "uv cannot build the environment: %.800s", error);
    if (error && mentions_network(error))
        return err_outage(err, "registry_unavailable", "uv cannot reach the package registry: %.800s", error);
    if (error)
        return err_never(err, "environment_failed", "uv cannot build the environment: %.800s", error);
    return 0;
}
