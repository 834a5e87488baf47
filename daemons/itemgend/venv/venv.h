/* venv: a Python virtual environment that is complete and ready for use (venv_cache.h makes and keeps them). */
#ifndef ITEMGEND_VENV_H
#define ITEMGEND_VENV_H

/* Does not change while it is in use. */
struct venv {
    const char *requirement;   /* as requested, with its name normalized */
    const char *directory;     /* absolute; differs after the environment was built again */
    const char *python;        /* DIRECTORY/bin/python */
    const char *python_prefix; /* sys.base_prefix of the interpreter behind it, which a sandbox must show */
    const char *package;       /* the requirement's normalized name */
    const char *version;       /* the installed version of the package */
};

#endif
