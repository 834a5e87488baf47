/*
 * build/tests/sandbox [-r PATH]... [-w PATH]... COMMAND...: becomes COMMAND in the sandbox that the ITEMGEND_*
 * variables choose, with the environment of package code. -r, -w: read-only and writable paths; the first writable one
 * is the working directory, HOME and TMPDIR. -u: with the environment of uv. -d: prints the sandbox in force instead.
 * Exit code 2: this sandbox does not work here, and stderr says why.
 */
#include <stdio.h>
#include <unistd.h>

#include "itemgend/sandbox/sandbox.h"
#include "itemgend/sandbox/variables.h"

enum { PATHS_MAX = 16 };

struct places {
    const char *read_only[PATHS_MAX + 1], *writable[PATHS_MAX + 1];
};

static void add_place(const char **list, const char *path)
{
    size_t n = 0;
    while (list[n])
        n++;
    if (n < PATHS_MAX)
        list[n] = path;
}

static int run(const struct itemgend_options *options, const struct sandbox *sandbox, const struct places *places,
               char **command, bool for_uv)
{
    auto_strv struct strv argv = STRV_INIT, environment = STRV_INIT;
    const char *directory = places->writable[0] ? places->writable[0] : "/tmp";
    if (for_uv)
        variables_for_uv(options, directory, &environment);
    else
        variables_for_package(directory, &environment);
    sandbox_wrap(sandbox, &(struct sandbox_paths){ places->read_only, places->writable }, &argv);
    for (; *command; command++)
        strv_add(&argv, "%s", *command);
    if (argv.failed || environment.failed || chdir(directory) < 0)
        return 1;
    execvpe(argv.list[0], argv.list, environment.list);
    perror(argv.list[0]);
    return 1;
}

static int with_options(const struct itemgend_options *options, int argc, char **argv)
{
    struct places places = { .read_only = { NULL } };
    bool for_uv = false, describe = false;
    for (int option; (option = getopt(argc, argv, "+r:w:ud")) != -1;) {
        if (option == 'r' || option == 'w')
            add_place(option == 'r' ? places.read_only : places.writable, optarg);
        for_uv |= option == 'u';
        describe |= option == 'd';
    }
    struct err err = ERR_INIT;
    struct sandbox *sandbox = NULL;
    if (sandbox_open(options, -1, &sandbox, &err) != 0) {
        fprintf(stderr, "%s: %s\n", err.code, err.text);
        return 2;
    }
    auto_buf struct buf text = BUF_INIT;
    sandbox_describe(sandbox, &text);
    int r = describe ? printf("%s", buf_str(&text)) < 0 : run(options, sandbox, &places, argv + optind, for_uv);
    sandbox_free(sandbox);
    return r;
}

int main(int argc, char **argv)
{
    struct itemgend_options options = { .item_limit = 0 };
    auto_buf struct buf errors = BUF_INIT;
    const struct config_source source = { .path = NULL };
    if (config_load(&itemgend_schema, &source, &options, &errors) != 0) {
        fputs(buf_str(&errors), stderr);
        return 64;
    }
    int r = with_options(&options, argc, argv);
    config_clear(&itemgend_schema, &options);
    return r;
}
