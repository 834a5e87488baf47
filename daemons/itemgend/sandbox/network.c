#include "itemgend/sandbox/network.h"

#include "base/child.h"
#include "itemgend/sandbox/libexec.h"

enum { TRY_TIMEOUT_MS = 10000, TRY_OUTPUT_MAX = 4096 };

struct network {
    int in_force;      /* enum network_choice */
    char *why;         /* why auto chose open; NULL: it did not */
    struct strv words; /* the helper's command line up to the program */
};

void network_free(struct network *network)
{
    if (!network)
        return;
    strv_clear(&network->words);
    free(network->why);
    free(network);
}

static void free_network(struct network **network)
{
    network_free(*network);
}

#define auto_network cleanup(free_network)

int network_in_force(const struct network *network)
{
    return network->in_force;
}

const char *network_name(const struct network *network)
{
    static const char *const names[] = { "auto", "filtered", "open", "closed" };
    return names[network->in_force];
}

static int make_words(const struct config_list *ports, struct strv *words, struct err *err)
{
    auto_free char *helper = NULL;
    struct err why = ERR_INIT;
    int r = libexec_find("itemgend-network", &helper, &why);
    if (r == NEVER)
        return err_never(err, "sandbox_unavailable", "a filtered network needs itemgend-network: %s", why.text);
    if (r != 0) {
        *err = why;
        return r;
    }
    strv_add(words, "%s", helper);
    auto_buf struct buf list = BUF_INIT;
    for (size_t i = 0; i < ports->n; i++)
        buf_printf(&list, "%s%s", i > 0 ? "," : "", ports->items[i]);
    if (list.len) {
        strv_add(words, "-l");
        strv_add(words, "%s", buf_str(&list));
    }
    return buf_failed(&list) || words->failed ? err_no_memory(err) : 0;
}

void network_wrap(const struct network *network, struct strv *argv)
{
    for (size_t i = 0; network->in_force == NETWORK_FILTERED && i < network->words.n; i++)
        strv_add(argv, "%s", network->words.list[i]);
}

/* 0: it works. NEVER: it does not work here. LATER: could not find out. */
static int try(const struct network *network, char *const *sandboxed, int stop_fd, struct err *err)
{
    auto_strv struct strv argv = STRV_INIT;
    network_wrap(network, &argv);
    for (; *sandboxed; sandboxed++)
        strv_add(&argv, "%s", *sandboxed);
    if (argv.failed)
        return err_no_memory(err);
    auto_child struct child child = {
        .argv = argv.list, .timeout_ms = TRY_TIMEOUT_MS, .stop_fd = stop_fd, .max_output = TRY_OUTPUT_MAX
    };
    int r = child_run(&child, err);
    if (r == NEVER && err_is(err, "not_found"))
        return err_never(err, "sandbox_unavailable", "a filtered network needs %s, which cannot be run", argv.list[0]);
    if (r != 0 || child.status == 0)
        return r;
    char *said = child.message.data ? child.message.data : (char[]){ "it printed nothing" };
    said[strcspn(said, "\n")] = '\0';
    err_make_printable(said);
    return err_never(err, "sandbox_unavailable",
                     "a filtered network does not work here (%.400s): it needs slirp4netns, nftables and /dev/net/tun, "
                     "see docs/explanation/network.md",
                     said);
}

static int filter(const struct itemgend_options *options, char *const *sandboxed, int stop_fd, struct network *network,
                  struct err *err)
{
    if (!sandboxed)
        return err_never(err, "sandbox_unavailable",
                         "the network of package code can be filtered or closed only in bubblewrap");
    int r = make_words(&options->loopback_ports, &network->words, err);
    network->in_force = NETWORK_FILTERED;
    return r != 0 ? r : try(network, sandboxed, stop_fd, err);
}

/* 0: in_force is set, and `why` if auto had to choose open. */
static int choose(const struct itemgend_options *options, char *const *sandboxed, int stop_fd, struct network *network,
                  struct err *err)
{
    network->in_force = options->network;
    if (options->network == NETWORK_OPEN || (options->network == NETWORK_CLOSED && sandboxed))
        return 0;
    int r = filter(options, sandboxed, stop_fd, network, err);
    if (r != NEVER || options->network != NETWORK_AUTO)
        return r;
    network->in_force = NETWORK_OPEN;
    network->why = strdup(err->text);
    return network->why ? 0 : err_no_memory(err);
}

int network_open(const struct itemgend_options *options, char *const *sandboxed, int stop_fd, struct network **ret,
                 struct err *err)
{
    auto_network struct network *network = calloc(1, sizeof(*network));
    if (!network)
        return err_no_memory(err);
    int r = choose(options, sandboxed, stop_fd, network, err);
    if (r == 0)
        *ret = TAKE(network);
    return r;
}

void network_warnings(const struct network *network, struct buf *ret)
{
    if (network->why)
        buf_printf(ret, "package code can reach the addresses of this machine and credential endpoints: %s\n",
                   network->why);
}
