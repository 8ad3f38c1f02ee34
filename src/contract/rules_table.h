/* rules_table: the checks behind the one table of rules, declared. */
#ifndef AM_CONTRACT_RULES_TABLE_H
#define AM_CONTRACT_RULES_TABLE_H

#include "contract/rules.h"

/* rules_common.c: every document */
rule_check check_inline_credential, check_references_resolve, check_ids_differ, check_real_dates;

#endif
