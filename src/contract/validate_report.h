/*
 * validate_report: what a thorough run has to say: faults and annotations, each with its place.
 *
 * The place is two JSON Pointers of the run, into the value and through the schema's keywords; who
 * enters a member adds to them and takes back what it added.
 */
#ifndef AM_CONTRACT_VALIDATE_REPORT_H
#define AM_CONTRACT_VALIDATE_REPORT_H

#include "base/json.h"
#include "contract/validate_vm.h"

struct place {
    size_t instance, keyword_path;
};

static inline struct place place_now(const struct vm *vm)
{
    return (struct place){ vm->instance.len, vm->keyword_path.len };
}

static inline void place_back(struct vm *vm, struct place place)
{
    buf_truncate(&vm->instance, place.instance);
    buf_truncate(&vm->keyword_path, place.keyword_path);
}

static inline void path_keyword(struct vm *vm, enum keyword keyword)
{
    json_pointer_add(&vm->keyword_path, keyword_rows[keyword].name);
}

/* Records a fault of a keyword of a node's schema; NULL where it cannot be recorded. */
COLD struct report_unit *validate_fault(struct vm *vm, uint32_t node, enum keyword keyword,
                                        const yyjson_val *value);
/* What a fault of a member of the value says more: its name. */
COLD void validate_fault_member(struct vm *vm, uint32_t node, enum keyword keyword,
                                const yyjson_val *value, struct str member);
/* Records what the annotating keywords of a node's schema say of a value that it accepted. */
COLD void validate_annotate(struct vm *vm, uint32_t node, const yyjson_val *value);

/* The first fault of the branch that came closest: the one whose faults lie deepest and are few. */
struct closest {
    size_t at, depth, faults;
    bool known;
};

/* Considers the branch whose faults are those from `first` on. */
COLD void validate_closest(const struct vm *vm, struct closest *closest, size_t first);

#endif
