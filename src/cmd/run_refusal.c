/* run_refusal: see the header. */
#include "cmd/run_refusal.h"

#include "base/json.h"
#include "cmd/op.h"
#include "contract/rules.h"
#include "machine/plan.h"

#define STEP               "record a refusal"
#define WORKSPACE_NAME_MAX 64

int run_workspace(const char *repository, char ret[PLANE_URN_MAX], struct err *err)
{
    char digest[DIGEST_TEXT_SIZE], name[WORKSPACE_NAME_MAX];
    const char *last = strrchr(repository, '/') + 1;
    size_t len = 0;
    for (; last[len] && len < sizeof(name) - 1; len++) {
        char c = last[len];
        bool plain = (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9');
        name[len] = plain ? c : '-';
    }
    name[len] = '\0';
    int r = digest_text(str_from(repository), digest, err);
    if (r == 0)
        snprintf(ret, PLANE_URN_MAX, "urn:srcos:workspace:%s%s%.8s", name, len ? "-" : "w-",
                 digest + strlen("sha256:"));
    return r;
}

/* Of an image that was to bring its own program that is not known yet. */
static int write_parameters(const struct run_refusal *refusal, struct buf *ret, struct err *err)
{
    static const char *const none[] = { "unknown", NULL };
    const char *const *argv = refusal->argv && refusal->argv[0] ? refusal->argv : none;
    const struct plan plan = { .argv = (char *const *)(uintptr_t)argv };
    buf_add_char(ret, '{');
    json_add_text(ret, "profileRef", text_of(member(refusal->profile, "id")));
    if (refusal->surface)
        json_add_text(ret, "toolSurfaceRef", str_from(refusal->surface));
    json_add_text(ret, "executable", str_from(argv[0]));
    buf_add_text(ret, ",\"arguments\":");
    int r = plan_write_arguments(&plan, ret, err);
    if (r == 0 && refusal->image) {
        buf_add_text(ret, ",\"image\":");
        run_image_write(refusal->image, ret);
    }
    buf_add_char(ret, '}');
    return r;
}

static int write_command(const struct run_refusal *refusal, struct buf *ret, struct err *err)
{
    _cleanup_(buf_release) struct buf parameters = BUF_INIT;
    char workspace[PLANE_URN_MAX], delegation[PLANE_URN_MAX];
    const char *named = op_delegation(refusal->delegation, refusal->profile);
    int r = run_workspace(refusal->repository, workspace, err);
    if (r == 0)
        r = write_parameters(refusal, &parameters, err);
    if (r < 0)
        return r;
    if (named)
        op_urn("delegation", named, delegation);
    const struct submission submission = {
        .type =
            refusal->alone && refusal->image ? OPERATION_CONTAINER_RUN : OPERATION_EXECUTION_START,
        .workspace = str_from(workspace),
        .parameters = buf_str(&parameters),
        .delegation = named ? str_from(delegation) : STR(""),
        .reason = str_from(refusal->reason ? refusal->reason : ""),
    };
    return plane_write_submit(&submission, ret, err);
}

int run_refusal_record(const struct run_refusal *refusal, const struct err *why, struct err *err)
{
    _cleanup_(buf_release) struct buf command = BUF_INIT;
    const struct plane_asks asks = { .refused = why, .is_checked = true };
    struct outcome outcome;
    int r = refusal->submitted.len ? 0 : write_command(refusal, &command, err);
    struct str given = refusal->submitted.len ? refusal->submitted : buf_str(&command);
    return r < 0 ? r : plane_submit(refusal->plane, given, &asks, &outcome, err);
}
