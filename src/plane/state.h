/*
 * state: what an operation, a task and an artifact may become.
 *
 * The tables are DESIGN section 7's, written as one row for each state. Every
 * change of a state goes through state_check or admission_check; nobody else
 * decides whether a transition is legal.
 */
#ifndef AM_PLANE_STATE_H
#define AM_PLANE_STATE_H

#include "base/base.h"
#include "base/err.h"
#include "contract/vocabulary.h"

enum state_of { STATE_OF_OPERATION, STATE_OF_TASK };

bool state_may_become(enum state_of of, enum state from, enum state to);
/* 0, or ERR_CONFLICT with the legal transitions named. */
int state_check(enum state_of of, enum state from, enum state to, struct err *err) MUST_CHECK;
/* Whether nothing follows but a retry or a compensation. */
bool state_is_end(enum state state);

bool admission_may_become(enum admission from, enum admission to);
int admission_check(enum admission from, enum admission to, struct err *err) MUST_CHECK;

#endif
