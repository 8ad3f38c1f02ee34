/* pager: long output, a page at a time, where standard output is a terminal. */
#ifndef AM_CMD_PAGER_H
#define AM_CMD_PAGER_H

#include "base/base.h"

#include <sys/types.h>

struct pager {
    pid_t pid; /* 0: there is none */
    int terminal;
};

/*
 * What is printed from now on goes through $PAGER, or `less`; nothing is changed where standard
 * output is no terminal, $PAGER is empty or `cat`, or none can be started. A person who ends the
 * pager early makes writing fail with EPIPE.
 */
void pager_begin(struct pager *pager);
/* Waits until the person has read it. */
void pager_end(struct pager *pager);

#endif
