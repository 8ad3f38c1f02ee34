/* policy: what the verbs below `policy` share. */
#ifndef AM_CMD_POLICY_H
#define AM_CMD_POLICY_H

#include "authority/layers.h"
#include "authority/verdict.h"
#include "cmd/verb.h"
#include "doors/network/routes.h"
#include "plane/profile.h"
#include "plane/run_policy.h"

/* The layers' documents, and what they were compiled to. */
struct loaded_policy {
    struct layers *layers;
    struct policy *policy;
    struct routes *routes;
    struct profile profile; /* of the run that is asked about */
    struct run_policy run;
};

/* What joins the layers; every member may be NULL. */
struct policy_request {
    const char *folder; /* stands for all layers */
    const char *subject, *surface, *allow, *deny;
    const char *profile;      /* a machine profile's URN; NULL: personal */
    const yyjson_val *beside; /* a document that speaks for the user beside the user's own */
};

int loaded_policy_open(const struct policy_request *request, struct loaded_policy *ret,
                       struct err *err) MUST_CHECK;
void loaded_policy_close(struct loaded_policy *loaded);

int run_policy_explain(const struct invocation *invocation);
#define POLICY_EXPLAIN_OPTION_COUNT 15
extern const struct option_row policy_explain_options[POLICY_EXPLAIN_OPTION_COUNT];

int run_policy_suggest(const struct invocation *invocation);
#define POLICY_SUGGEST_OPTION_COUNT 2
extern const struct option_row policy_suggest_options[POLICY_SUGGEST_OPTION_COUNT];

int run_policy_test(const struct invocation *invocation);
#define POLICY_TEST_OPTION_COUNT 5
extern const struct option_row policy_test_options[POLICY_TEST_OPTION_COUNT];

#endif
