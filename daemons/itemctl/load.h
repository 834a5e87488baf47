/* load: `itemctl load`, which puts items or collections from files or stdin into pgstac. */
#ifndef ITEMCTL_LOAD_H
#define ITEMCTL_LOAD_H

/* The command's own arguments, argv[0] its name for messages ("itemctl load"). Returns the exit code. */
int load_command(int argc, char **argv);

#endif
