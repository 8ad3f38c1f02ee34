/* firewall_plan_test: plans from short texts, for tests. Documents are JSON with ' for ". */
#ifndef AM_DOORS_NETWORK_FIREWALL_PLAN_TEST_H
#define AM_DOORS_NETWORK_FIREWALL_PLAN_TEST_H

#include "authority/verdict_test.h"
#include "doors/network/firewall_plan.h"

struct planned {
    struct fixture documents;
    struct firewall_plan *plan;
    struct buf text;
    struct err err;
};

static inline void planned_release(struct planned *planned)
{
    buf_release(&planned->text);
    firewall_plan_free(planned->plan);
    fixture_release(&planned->documents);
}

static inline void planned_init(struct planned *planned, int64_t uid, const char *subject)
{
    struct firewall_scope scope = { .uid = uid, .subject = str_from(subject) };
    fixture_init(&planned->documents);
    planned->text = BUF_INIT;
    planned->plan = NULL;
    planned->err = (struct err){ 0 };
    if (firewall_plan_new(&scope, &planned->plan, &planned->err) < 0)
        test_fail(__FILE__, __LINE__, "%s", planned->err.cause);
}

static inline int planned_add(struct planned *planned, const char *text)
{
    yyjson_doc *doc = fixture_read(&planned->documents, text);
    return firewall_plan_add(planned->plan, yyjson_doc_get_root(doc), &planned->err);
}

static inline int planned_render(struct planned *planned, enum firewall_target target)
{
    buf_reset(&planned->text);
    return firewall_plan_render(planned->plan, target, &planned->text, &planned->err);
}

static inline bool planned_has(const struct planned *planned, const char *text)
{
    return strstr(planned->text.data, text) != NULL;
}

/* Whether a note with this effect is about this rule. */
static inline bool planned_notes(const struct planned *planned, enum firewall_effect effect,
                                 const char *rule)
{
    const struct firewall_notes *notes = firewall_plan_notes(planned->plan);
    for (size_t i = 0; i < notes->count; i++) {
        if (notes->of[i].effect == effect && str_equal(notes->of[i].rule, str_from(rule)))
            return true;
    }
    return false;
}

#endif
