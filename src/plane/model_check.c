/*
 * model_check: see the header.
 *
 * Theory of operation. The routes are read before the batch that begins the operation. Then each
 * hosted one is asked about as a call would be (model_record.c), which makes the verdict durable,
 * and those that are permitted are asked together with the servers of this machine
 * (model_health.c). At the end an event says which places were asked.
 */
#include "plane/model_check.h"

#include "base/json.h"
#include "plane/model_record.h"
#include "plane/work.h"

#define STEP_CHECK "look after models"

static int fail(struct effect_result *ret, const struct err *why)
{
    ret->end = STATE_FAILED;
    ret->failure = *why;
    return 0;
}

static int read_routes(struct model_check *check, struct work *work, struct err *err)
{
    int r = model_routes_read(work_plane(work), work_text(work, WORK_OPERATION, "subjectRef"),
                              check->profile, &check->routes, err);
    if (r < 0)
        return r;
    check->health = calloc(check->routes.count + 1, sizeof(*check->health));
    return check->health ? 0 : err_set(err, ERR_MEMORY, STEP_CHECK, "there is not enough memory");
}

static int prepare(void *context, struct work *work, struct effect_result *ret, struct err *err)
{
    struct model_check *check = context;
    struct err why = { 0 };
    (void)err;
    if (check->health) /* a second try of the same batch */
        return 0;
    return read_routes(check, work, &why) < 0 ? fail(ret, &why) : 0;
}

/* That is said in an event, none as none. */
static int tell(const struct model_check *check, struct work *work, struct err *err)
{
    _cleanup_(buf_release) struct buf extra = BUF_INIT, text = BUF_INIT;
    const char *separator = "Asked beyond this machine, without a prompt or a credential: ";
    bool has_one = false;
    for (size_t i = 0; i < check->routes.count; i++) {
        const struct model_route *route = &check->routes.routes[i];
        if (!route->is_hosted || check->health[i].state == MODEL_REFUSED)
            continue;
        buf_addf(&text, "%s%s", separator, check->routes.origins[i].host);
        separator = ", ";
        has_one = true;
    }
    buf_add_text(&text, has_one ? "." : "Nobody beyond this machine was asked.");
    buf_add_text(&extra, ",\"message\":");
    json_add_string(&extra, buf_str(&text));
    return extra.error || text.error
               ? err_set(err, ERR_MEMORY, STEP_CHECK, "there is not enough memory")
               : work_event(work, EVENT_PROGRESS, buf_str(&extra), err);
}

static int start(void *context, struct work *work, struct effect_result *ret, struct err *err)
{
    struct model_check *check = context;
    struct model_record record = { 0 };
    struct err why = { 0 };
    int r = model_record_init(&record, work, &check->routes, &why);
    if (r == 0)
        r = model_health_read(work_plane(work), &check->routes, &record, check->health, &why);
    if (r == 0 && check->finds_services)
        r = model_services_read(&check->services, &why);
    model_record_release(&record);
    ret->used.of[DIMENSION_CPU_SECONDS] = 1; /* one that was begun counts */
    if (r < 0)
        return fail(ret, &why);
    ret->end = STATE_COMPLETED;
    return tell(check, work, err);
}

void model_check_plug(struct model_check *check, struct plane_options *options)
{
    options->execution_prepare = prepare;
    options->execution_start = start;
    options->effect_context = check;
}

void model_check_release(struct model_check *check)
{
    model_services_release(&check->services);
    model_routes_release(&check->routes);
    free(check->health);
    *check = (struct model_check){ 0 };
}
