/*
 * identity: the same command twice is one.
 *
 * A command's own id, and its idempotency key where it has one, is a name in
 * the ledger that can be taken once, in the same batch as what the command
 * does; who comes second finds there what the first has done. A key is known
 * within a workspace and a subject, so that nobody meets the operations of
 * others through it.
 */
#include "base/json.h"
#include "contract/jcs.h"
#include "contract/rules.h"
#include "plane/work.h"

#define STEP_IDENTITY "look for the same command"
#define KEY_SPACE     "idempotency"
#define COMMAND_SPACE "command"

void identity_release(struct identity *identity)
{
    buf_release(&identity->key);
}

int identity_of(const yyjson_val *command, struct identity *ret, struct err *err)
{
    struct str key = text_of(member(command, "idempotencyKey"));
    ret->command = text_of(member(command, "id"));
    ret->parameters_digest = text_of(member(command, "parametersDigest"));
    if (key.len) {
        buf_add_char(&ret->key, '[');
        json_add_string(&ret->key, text_of(member(command, "workspaceRef")));
        buf_add_char(&ret->key, ',');
        json_add_string(&ret->key, text_of(member(command, "subjectRef")));
        buf_add_char(&ret->key, ',');
        json_add_string(&ret->key, key);
        buf_add_char(&ret->key, ']');
    }
    if (ret->key.error)
        return err_set(err, ERR_MEMORY, STEP_IDENTITY, "there is not enough memory");
    return jcs_digest(command, ret->digest, err);
}

/* 1 with the operation, 0, or -errno; ERR_CONFLICT where the name stands for something else. */
static int find_name(struct plane *plane, struct str space, struct str name, struct str digest,
                     char ret_operation[PLANE_URN_MAX], struct err *err)
{
    _cleanup_(buf_release) struct buf value = BUF_INIT;
    struct err inner = { 0 };
    int r = ledger_get_key(plane->ledger, space, name, &value, &inner);
    if (r == -ENOENT)
        return 0;
    if (r < 0) {
        if (err)
            *err = inner;
        return r;
    }
    struct str known = buf_str(&value);
    size_t space_at = str_index(known, ' ', 0);
    struct str operation = str_from_offset(known, space_at + 1);
    if (!str_equal(str_make(known.ptr, space_at), digest))
        return err_set(err, ERR_CONFLICT, STEP_IDENTITY,
                       "this %s belongs to another command, that of %.*s; give a new one",
                       str_equal(space, STR(KEY_SPACE)) ? "idempotency key" : "command id",
                       STR_ARG(operation));
    snprintf(ret_operation, PLANE_URN_MAX, "%.*s", STR_ARG(operation));
    return 1;
}

int identity_find(struct plane *plane, const struct identity *identity, struct outcome *ret,
                  struct err *err)
{
    char operation[PLANE_URN_MAX];
    _cleanup_(cleanup_work) struct work *work = NULL;
    int r = identity->key.len ? find_name(plane, STR(KEY_SPACE), buf_str(&identity->key),
                                          identity->parameters_digest, operation, err)
                              : 0;
    if (r == 0)
        r = find_name(plane, STR(COMMAND_SPACE), identity->command, str_from(identity->digest),
                      operation, err);
    if (r <= 0)
        return r;
    r = work_load(plane, str_from(operation), &work, err);
    if (r < 0)
        return r;
    finish_outcome(work, ret);
    ret->repeated = true;
    return 1;
}

int identity_put(struct work *work, const struct identity *identity, struct err *err)
{
    _cleanup_(buf_release) struct buf value = BUF_INIT;
    buf_addf(&value, "%s %.*s", identity->digest, STR_ARG(work_operation(work)));
    int r =
        ledger_put_key(work->batch, STR(COMMAND_SPACE), identity->command, buf_str(&value), err);
    if (r < 0 || identity->key.len == 0)
        return r;
    buf_reset(&value);
    buf_addf(&value, "%.*s %.*s", STR_ARG(identity->parameters_digest),
             STR_ARG(work_operation(work)));
    return ledger_put_key(work->batch, STR(KEY_SPACE), buf_str(&identity->key), buf_str(&value),
                          err);
}

int command_put(struct work *work, const yyjson_val *command, struct err *err)
{
    _cleanup_(buf_release) struct buf text = BUF_INIT_LIMIT(PLANE_COMMAND_BYTES_MAX);
    int r = jcs_add(&text, command, err);
    return r < 0 ? r
                 : ledger_put_document(work->batch, STR("OperationCommand"),
                                       text_of(member(command, "id")), work_operation(work),
                                       buf_str(&text), LEDGER_NEW, err);
}
