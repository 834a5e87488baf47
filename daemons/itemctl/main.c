/* itemctl: the command line tool for operators. */
#include <stdio.h>
#include <string.h>
#include <sysexits.h>

#include "base/base.h"
#include "itemctl/load.h"

static const struct command {
    const char *name;
    const char *full_name; /* argv[0] of the command, for its messages */
    const char *summary;
    int (*run)(int argc, char **argv);
} commands[] = {
    { "load", "itemctl load", "load items or collections from files into pgstac", load_command },
};

static void print_help(FILE *file)
{
    fputs("itemctl: manages a STAC catalog in pgstac\n\n"
          "Usage: itemctl COMMAND [ARGUMENT...]\n\n"
          "Commands:\n",
          file);
    for (size_t i = 0; i < N_ELEMENTS(commands); i++)
        fprintf(file, "  %-14s%s\n", commands[i].name, commands[i].summary);
    fputs("\n  -h, --help    print this help, or after a command the help of the command, and exit\n"
          "  -V, --version print the version, and exit\n",
          file);
}

static bool is(const char *argument, const char *letter, const char *name)
{
    return strcmp(argument, letter) == 0 || strcmp(argument, name) == 0;
}

int main(int argc, char **argv)
{
    if (argc > 1 && is(argv[1], "-h", "--help")) {
        print_help(stdout);
        return fflush(stdout) != 0;
    }
    if (argc > 1 && is(argv[1], "-V", "--version")) {
        puts("itemctl " VERSION);
        return fflush(stdout) != 0;
    }
    for (size_t i = 0; argc > 1 && i < N_ELEMENTS(commands); i++) {
        if (strcmp(argv[1], commands[i].name) != 0)
            continue;
        argv[1] = (char *)(uintptr_t)commands[i].full_name;
        return commands[i].run(argc - 1, argv + 1);
    }
    if (argc > 1)
        fprintf(stderr, "itemctl: unknown command '%s'\n", argv[1]);
    print_help(stderr);
    return EX_USAGE;
}
