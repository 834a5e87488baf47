#include "itemgend/sandbox/sandbox.h"

#include <stdio.h>
#include <unistd.h>

#include "base/child.h"
#include "daemon/log.h"
#include "itemgend/sandbox/network.h"
#include "itemgend/sandbox/variables.h"

enum { TRY_TIMEOUT_MS = 10000, TRY_OUTPUT_MAX = 4096 };

struct sandbox {
    bool is_bubblewrap;
    struct network *network; /* NULL: not chosen yet */
    char *why;               /* why auto chose no bubblewrap; NULL: it did not */
    struct cgroups *cgroups; /* NULL: none */
    char *why_no_cgroups;
    struct strv words; /* bubblewrap's command line up to the paths */
};

void sandbox_free(struct sandbox *sandbox)
{
    if (!sandbox)
        return;
    cgroups_free(sandbox->cgroups);
    free(sandbox->why_no_cgroups);
    network_free(sandbox->network);
    strv_clear(&sandbox->words);
    free(sandbox->why);
    free(sandbox);
}

bool sandbox_is_bubblewrap(const struct sandbox *sandbox)
{
    return sandbox->is_bubblewrap;
}

struct cgroups *sandbox_cgroups(const struct sandbox *sandbox)
{
    return sandbox->cgroups;
}

/* ------------------------------------------------------ its file system */

/*
 * The files of /etc that programs need; none of them is secret. /etc/ssl/private is left out, because a daemon that
 * runs as root could read it. passwd and group are the distribution's own, without local accounts, and include the
 * user 65534.
 */
static const char *const from_etc[][2] = {
    { "/usr/share/base-passwd/passwd.master", "/etc/passwd" },
    { "/usr/share/base-passwd/group.master", "/etc/group" },
    { "/etc/alternatives", "/etc/alternatives" },
    { "/etc/ca-certificates", "/etc/ca-certificates" },
    { "/etc/fonts", "/etc/fonts" },
    { "/etc/gai.conf", "/etc/gai.conf" },
    { "/etc/host.conf", "/etc/host.conf" },
    { "/etc/hosts", "/etc/hosts" },
    { "/etc/ld.so.cache", "/etc/ld.so.cache" },
    { "/etc/ld.so.conf", "/etc/ld.so.conf" },
    { "/etc/ld.so.conf.d", "/etc/ld.so.conf.d" },
    { "/etc/localtime", "/etc/localtime" },
    { "/etc/mime.types", "/etc/mime.types" },
    { "/etc/nsswitch.conf", "/etc/nsswitch.conf" },
    { "/etc/pki/ca-trust/extracted", "/etc/pki/ca-trust/extracted" },
    { "/etc/pki/tls/certs", "/etc/pki/tls/certs" },
    { "/etc/protocols", "/etc/protocols" },
    { "/etc/resolv.conf", "/etc/resolv.conf" },
    { "/etc/services", "/etc/services" },
    { "/etc/ssl/certs", "/etc/ssl/certs" },
    { "/etc/ssl/openssl.cnf", "/etc/ssl/openssl.cnf" },
};

/* Adds words that are separated by blanks. */
static void add_words(struct strv *argv, const char *words)
{
    for (size_t len; *words; words += len + (words[len] == ' ')) {
        len = strcspn(words, " ");
        strv_add(argv, "%.*s", (int)len, words);
    }
}

static void add_bind(struct strv *argv, const char *option, const char *source, const char *place)
{
    strv_add(argv, "%s", option);
    strv_add(argv, "%s", source);
    strv_add(argv, "%s", place);
}

/* Whether the path is in a directory of the host that is visible anyway. */
static bool is_visible(const char *path)
{
    static const char *const directories[] = { "/usr", "/etc/ssl/certs", "/etc/pki/tls/certs",
                                               "/etc/pki/ca-trust/extracted" };
    for (size_t i = 0; i < N_ELEMENTS(directories); i++) {
        size_t len = strlen(directories[i]);
        if (strncmp(path, directories[i], len) == 0 && (path[len] == '/' || path[len] == '\0'))
            return true;
    }
    return false;
}

/* The certificates in the daemon's variables. SSL_CERT_DIR is a list. */
static void add_certificates(struct strv *argv)
{
    static const char *const names[] = { "SSL_CERT_FILE", "SSL_CERT_DIR", "REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE" };
    for (size_t i = 0; i < N_ELEMENTS(names); i++) {
        const char *value = getenv(names[i]);
        auto_free char *list = strdup(value ? value : "");
        argv->failed |= !list;
        char *rest = list;
        for (const char *path = strsep(&rest, ":"); path; path = strsep(&rest, ":"))
            if (path[0] == '/' && !is_visible(path))
                add_bind(argv, "--ro-bind-try", path, path);
    }
}

/* /bin, /lib and so on are links into /usr, or directories on older systems. */
static void add_system_directories(struct strv *argv)
{
    static const char *const directories[] = { "/bin", "/sbin", "/lib", "/lib32", "/lib64", "/libx32" };
    add_bind(argv, "--ro-bind", "/usr", "/usr");
    for (size_t i = 0; i < N_ELEMENTS(directories); i++) {
        char target[256];
        ssize_t len = readlink(directories[i], target, sizeof(target) - 1);
        target[len > 0 ? len : 0] = '\0';
        if (len > 0)
            add_bind(argv, "--symlink", target, directories[i]);
        else
            add_bind(argv, "--ro-bind-try", directories[i], directories[i]);
    }
    /* Hides a configuration that was installed below /usr. */
    if (is_visible(SYSCONFDIR) && access(SYSCONFDIR "/stactools-ingest", F_OK) == 0)
        add_words(argv, "--size 4096 --perms 0500 --tmpfs " SYSCONFDIR "/stactools-ingest");
}

/* The order matters: a mount hides what was there before, and paths in /tmp must stay visible. */
static void make_words(int network, struct strv *argv)
{
    add_words(argv, "bwrap --die-with-parent --new-session --unshare-user --unshare-pid --unshare-ipc --unshare-uts "
                    "--unshare-cgroup-try --uid 65534 --gid 65534 --hostname localhost --cap-drop ALL");
    if (network == NETWORK_CLOSED)
        add_words(argv, "--unshare-net");
    add_system_directories(argv);
    add_words(argv, "--perms 0755 --dir /etc");
    for (size_t i = 0; i < N_ELEMENTS(from_etc); i++)
        add_bind(argv, "--ro-bind-try", from_etc[i][0], from_etc[i][1]);
    /* Files in /dev/shm and /tmp use memory that counts for no process, so both are small. */
    add_words(argv, "--proc /proc --dev /dev --perms 1777 --size 64000000 --tmpfs /dev/shm --remount-ro /dev "
                    "--perms 1777 --size 64000000 --tmpfs /tmp");
    add_certificates(argv);
}

void sandbox_wrap(const struct sandbox *sandbox, const struct sandbox_paths *paths, struct strv *argv)
{
    if (!sandbox->is_bubblewrap)
        return;
    if (sandbox->network)
        network_wrap(sandbox->network, argv);
    for (size_t i = 0; i < sandbox->words.n; i++)
        strv_add(argv, "%s", sandbox->words.list[i]);
    for (const char *const *path = paths->read_only; path && *path; path++)
        if (!is_visible(*path))
            add_bind(argv, "--ro-bind", *path, *path);
    for (const char *const *path = paths->writable; path && *path; path++)
        add_bind(argv, "--bind", *path, *path);
    add_words(argv, "--remount-ro / --");
}

/* ----------------------------------------------------------- choosing it */

static void make_true(const struct sandbox *sandbox, struct strv *argv)
{
    sandbox_wrap(sandbox, &(struct sandbox_paths){ .read_only = NULL }, argv);
    strv_add(argv, "true");
}

/* Runs `true` in it. 0: it works. NEVER: it does not work here. LATER: could not find out. */
static int try(const struct sandbox *sandbox, int stop_fd, struct err *err)
{
    auto_strv struct strv argv = STRV_INIT;
    make_true(sandbox, &argv);
    if (argv.failed)
        return err_no_memory(err);
    auto_child struct child child = {
        .argv = argv.list, .timeout_ms = TRY_TIMEOUT_MS, .stop_fd = stop_fd, .max_output = TRY_OUTPUT_MAX
    };
    int r = child_run(&child, err);
    if (r == NEVER && err_is(err, "not_found"))
        return err_never(err, "sandbox_unavailable",
                         "bubblewrap is not installed (no program bwrap in PATH): install the package bubblewrap");
    if (r != 0 || child.status == 0)
        return r;
    char *said = child.message.data ? child.message.data : (char[]){ "it printed nothing" };
    said[strcspn(said, "\n")] = '\0';
    err_make_printable(said);
    return err_never(err, "sandbox_unavailable",
                     "bubblewrap does not work here (%.400s): allow this user to make namespaces, see "
                     "docs/explanation/sandbox.md",
                     said);
}

/* 0: is_bubblewrap is set, and `why` if auto had to choose resource limits. */
static int choose_sandbox(const struct itemgend_options *options, int stop_fd, struct sandbox *sandbox, struct err *err)
{
    if (options->sandbox == SANDBOX_RLIMITS)
        return 0;
    sandbox->is_bubblewrap = true;
    int r = try(sandbox, stop_fd, err);
    if (r != NEVER || options->sandbox == SANDBOX_BUBBLEWRAP)
        return r;
    sandbox->is_bubblewrap = false;
    sandbox->why = strdup(err->text);
    return sandbox->why ? 0 : err_no_memory(err);
}

static int choose_network(const struct itemgend_options *options, int stop_fd, struct sandbox *sandbox, struct err *err)
{
    auto_strv struct strv argv = STRV_INIT;
    make_true(sandbox, &argv);
    if (argv.failed)
        return err_no_memory(err);
    int r = network_open(options, sandbox->is_bubblewrap ? argv.list : NULL, stop_fd, &sandbox->network, err);
    if (r == NEVER && sandbox->why)
        err_prefix(err, "%s", sandbox->why);
    return r;
}

/* Missing cgroups are not a failure. */
static int choose_memory(struct sandbox *sandbox, struct err *err)
{
    int r = cgroups_open("/proc/self", &sandbox->cgroups, err);
    if (r != NEVER)
        return r;
    sandbox->why_no_cgroups = strdup(err->text);
    *err = (struct err)ERR_INIT;
    return sandbox->why_no_cgroups ? 0 : err_no_memory(err);
}

int sandbox_open(const struct itemgend_options *options, int stop_fd, struct sandbox **ret, struct err *err)
{
    auto_sandbox struct sandbox *sandbox = calloc(1, sizeof(*sandbox));
    if (!sandbox)
        return err_no_memory(err);
    make_words(options->network, &sandbox->words);
    if (sandbox->words.failed)
        return err_no_memory(err);
    int r = choose_memory(sandbox, err); /* before other processes are in our cgroup */
    if (r == 0)
        r = choose_sandbox(options, stop_fd, sandbox, err);
    if (r == 0)
        r = choose_network(options, stop_fd, sandbox, err);
    if (r == 0)
        *ret = TAKE(sandbox);
    return r;
}

/* -------------------------------------------------------- describing it */

static const char *sandbox_name(const struct sandbox *sandbox)
{
    return sandbox->is_bubblewrap ? "bubblewrap" : "limits";
}

static void add_memory(const struct sandbox *sandbox, struct buf *ret)
{
    buf_puts(ret, sandbox->cgroups ? "memory: cgroup v2" : "memory: limits and samples, because ");
    buf_puts(ret, sandbox->cgroups ? "" : sandbox->why_no_cgroups);
}

static void add_warnings(const struct sandbox *sandbox, struct buf *ret)
{
    if (sandbox->why)
        buf_printf(ret, "package code runs without a sandbox, with resource limits only: %s\n", sandbox->why);
    network_warnings(sandbox->network, ret);
    const char *proxy = variables_proxy_with_password();
    if (proxy && network_in_force(sandbox->network) != NETWORK_CLOSED)
        buf_printf(ret, "package code can read the password in %s, which it needs for network access\n", proxy);
}

void sandbox_describe(const struct sandbox *sandbox, struct buf *ret)
{
    buf_printf(ret, "in force: sandbox %s, network %s\n", sandbox_name(sandbox), network_name(sandbox->network));
    add_memory(sandbox, ret);
    buf_putc(ret, '\n');
    add_warnings(sandbox, ret);
}

void sandbox_log(const struct sandbox *sandbox)
{
    auto_buf struct buf memory = BUF_INIT;
    add_memory(sandbox, &memory);
    log_write(LOG_NOTICE, LOG_EVENT_SANDBOX_CHOSEN,
              LOG_FIELDS({ "SANDBOX", sandbox_name(sandbox) }, { "NETWORK", network_name(sandbox->network) },
                         { "MEMORY", sandbox->cgroups ? "cgroup" : "samples" }),
              "package code runs with sandbox %s, network %s; %s", sandbox_name(sandbox),
              network_name(sandbox->network), buf_str(&memory));
    auto_buf struct buf warnings = BUF_INIT;
    add_warnings(sandbox, &warnings);
    char *rest = warnings.data;
    for (const char *line = strsep(&rest, "\n"); rest; line = strsep(&rest, "\n"))
        log_write(LOG_WARNING, LOG_EVENT_WARNING, NULL, "%s", line);
}
