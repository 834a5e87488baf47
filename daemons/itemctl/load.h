/* load: `itemctl load`, which loads items or collections from files or stdin into pgstac. */
#ifndef ITEMCTL_LOAD_H
#define ITEMCTL_LOAD_H

/* argv[0] is the command's name in messages, "itemctl load". Returns the exit status. */
int load_command(int argc, char **argv);

#endif
