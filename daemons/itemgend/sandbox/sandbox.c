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
    struct network *network; /* NULL: not yet found out */
    char *why;               /* bubblewrap is not, although auto would have it; NULL: nothing to tell */
    struct cgroups *cgroups; /* NULL: none */
    char *why_no_cgroups;
    struct strings words; /* bubblewrap's command line up to the paths */
};

#define auto_sandbox cleanup(free_sandbox)

void sandbox_free(struct sandbox *sandbox)
{
    if (!sandbox)
        return;
    cgroups_free(sandbox->cgroups);
    free(sandbox->why_no_cgroups);
    network_free(sandbox->network);
    strings_clear(&sandbox->words);
    free(sandbox->why);
    free(sandbox);
}

static void free_sandbox(struct sandbox **sandbox)
{
    sandbox_free(*sandbox);
}

bool sandbox_is_bubblewrap(const struct sandbox *sandbox)
{
    return sandbox->is_bubblewrap;
}

struct cgroups *sandbox_cgroups(const struct sandbox *sandbox)
{
    return sandbox->cgroups;
}

/* ----------------------------------------------------------- what is seen */

/*
 * What programs need of /etc and nothing that is secret: of /etc/ssl not `private`, which a daemon that runs as root
 * could read. passwd and group are the distribution's own before any account was made; they hold the user 65534.
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

/* Words with blanks between. */
static void add_words(struct strings *argv, const char *words)
{
    for (size_t len; *words; words += len + (words[len] == ' ')) {
        len = strcspn(words, " ");
        strings_add(argv, "%.*s", (int)len, words);
    }
}

static void add_bind(struct strings *argv, const char *option, const char *source, const char *place)
{
    strings_add(argv, "%s", option);
    strings_add(argv, "%s", source);
    strings_add(argv, "%s", place);
}

/* Whether the path is seen anyway, because it lies in something of the host that is. */
static bool is_seen(const char *path)
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

/* The certificates that the administrator has named; SSL_CERT_DIR is a list. */
static void add_certificates(struct strings *argv)
{
    static const char *const names[] = { "SSL_CERT_FILE", "SSL_CERT_DIR", "REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE" };
    for (size_t i = 0; i < N_ELEMENTS(names); i++) {
        const char *value = getenv(names[i]);
        auto_free char *list = strdup(value ? value : "");
        argv->failed |= !list;
        char *rest = list;
        for (const char *path = strsep(&rest, ":"); path; path = strsep(&rest, ":"))
            if (path[0] == '/' && !is_seen(path))
                add_bind(argv, "--ro-bind-try", path, path);
    }
}

/* /bin, /lib and the like are links into /usr today, directories on older systems. */
static void add_system_directories(struct strings *argv)
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
    /* A configuration that was installed below /usr is still none of their business. */
    if (is_seen(SYSCONFDIR) && access(SYSCONFDIR "/stactools-ingest", F_OK) == 0)
        add_words(argv, "--size 4096 --perms 0500 --tmpfs " SYSCONFDIR "/stactools-ingest");
}

/* The order counts: what is put somewhere hides what was there, and paths in /tmp are to be seen. */
static void make_words(int network, struct strings *argv)
{
    add_words(argv, "bwrap --die-with-parent --new-session --unshare-user --unshare-pid --unshare-ipc --unshare-uts "
                    "--unshare-cgroup-try --uid 65534 --gid 65534 --hostname localhost --cap-drop ALL");
    if (network == NETWORK_CLOSED)
        add_words(argv, "--unshare-net");
    add_system_directories(argv);
    add_words(argv, "--perms 0755 --dir /etc");
    for (size_t i = 0; i < N_ELEMENTS(from_etc); i++)
        add_bind(argv, "--ro-bind-try", from_etc[i][0], from_etc[i][1]);
    /* Files in /dev/shm and /tmp are memory that belongs to no process: they must stay few. */
    add_words(argv, "--proc /proc --dev /dev --perms 1777 --size 64000000 --tmpfs /dev/shm --remount-ro /dev "
                    "--perms 1777 --size 64000000 --tmpfs /tmp");
    add_certificates(argv);
}

void sandbox_wrap(const struct sandbox *sandbox, const struct sandbox_paths *paths, struct strings *argv)
{
    if (!sandbox->is_bubblewrap)
        return;
    if (sandbox->network)
        network_wrap(sandbox->network, argv);
    for (size_t i = 0; i < sandbox->words.n; i++)
        strings_add(argv, "%s", sandbox->words.list[i]);
    for (const char *const *path = paths->read_only; path && *path; path++)
        if (!is_seen(*path))
            add_bind(argv, "--ro-bind", *path, *path);
    for (const char *const *path = paths->writable; path && *path; path++)
        add_bind(argv, "--bind", *path, *path);
    add_words(argv, "--remount-ro / --");
}

/* ---------------------------------------------------------- what works here */

static void make_true(const struct sandbox *sandbox, struct strings *argv)
{
    sandbox_wrap(sandbox, &(struct sandbox_paths){ .read_only = NULL }, argv);
    strings_add(argv, "true");
}

/* Runs `true` in it. 0: it works. NEVER: it does not, and will not by itself. LATER: that could not be told. */
static int try(const struct sandbox *sandbox, int stop_fd, struct err *err)
{
    auto_strings struct strings argv = STRINGS_INIT;
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
    char *said = child.message.data ? child.message.data : (char[]){ "it ended without a word" };
    said[strcspn(said, "\n")] = '\0';
    err_make_printable(said);
    return err_never(err, "sandbox_unavailable",
                     "bubblewrap does not work here (%.400s): this user must be let make namespaces, see "
                     "docs/explanation/sandbox.md",
                     said);
}

/* 0, and what is in force is set; `why` too where bubblewrap would have been better. */
static int choose_sandbox(const struct itemgend_options *options, int stop_fd, struct sandbox *sandbox, struct err *err)
{
    if (options->sandbox == SANDBOX_LIMITS)
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
    auto_strings struct strings argv = STRINGS_INIT;
    make_true(sandbox, &argv);
    if (argv.failed)
        return err_no_memory(err);
    int r = network_open(options, sandbox->is_bubblewrap ? argv.list : NULL, stop_fd, &sandbox->network, err);
    if (r == NEVER && sandbox->why)
        err_prefix(err, "%s", sandbox->why);
    return r;
}

/* What is not there is no failure. */
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
    int r = choose_memory(sandbox, err); /* before there are other processes in our cgroup */
    if (r == 0)
        r = choose_sandbox(options, stop_fd, sandbox, err);
    if (r == 0)
        r = choose_network(options, stop_fd, sandbox, err);
    if (r == 0)
        *ret = TAKE(sandbox);
    return r;
}

/* -------------------------------------------------------------- what is told */

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
        buf_printf(ret, "package code runs without a sandbox, within limits only: %s\n", sandbox->why);
    network_warnings(sandbox->network, ret);
    const char *proxy = variables_proxy_with_password();
    if (proxy && network_in_force(sandbox->network) != NETWORK_CLOSED)
        buf_printf(ret, "package code sees the password in %s, without which it would have no network\n", proxy);
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
