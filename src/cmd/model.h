/* model: what the verbs below `model` share. */
#ifndef AM_CMD_MODEL_H
#define AM_CMD_MODEL_H

#include "cmd/op.h"

#define MODEL_TEXT_MAX 200 /* bytes of a model's name, as the schema has it */

/* The profile that an option names, or the personal one. */
void model_profile(const char *given, char ret[PLANE_URN_MAX]);

struct submission;
/* Gives a bind or unbind to the plane, and prints the record. */
int model_submit(const struct invocation *invocation, struct plane *plane,
                 const struct submission *submission, const struct plane_asks *asks, bool json);

int run_model_bind(const struct invocation *invocation);
#define MODEL_BIND_OPTION_COUNT 19
extern const struct option_row model_bind_options[MODEL_BIND_OPTION_COUNT];

int run_model_serve(const struct invocation *invocation);
#define MODEL_SERVE_OPTION_COUNT 8
extern const struct option_row model_serve_options[MODEL_SERVE_OPTION_COUNT];

struct model_routes;
/* The plane for reading, and what is bound to a profile; what was opened is the caller's. */
int model_open_routes(const char *profile, struct plane **ret_plane, struct model_routes *ret,
                      struct err *err) MUST_CHECK;

int run_model_pull(const struct invocation *invocation);
#define MODEL_PULL_OPTION_COUNT 7
extern const struct option_row model_pull_options[MODEL_PULL_OPTION_COUNT];

int run_model_test(const struct invocation *invocation);
#define MODEL_TEST_OPTION_COUNT 5
extern const struct option_row model_test_options[MODEL_TEST_OPTION_COUNT];

int run_model_usage(const struct invocation *invocation);
#define MODEL_USAGE_OPTION_COUNT 2
extern const struct option_row model_usage_options[MODEL_USAGE_OPTION_COUNT];

#endif
