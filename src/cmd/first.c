/* first: see the header. What is there already stays as it is. */
#include "cmd/first.h"

#include "authority/key.h"
#include "cmd/op.h"
#include "plane/profile.h"

static int make_key(struct first *first, struct err *err)
{
    char path[PLACE_SIZE + sizeof(KEY_FILE) + 1];
    first->config_made = access(first->config, F_OK) < 0;
    snprintf(path, sizeof(path), "%s/" KEY_FILE, first->config);
    return access(path, F_OK) == 0 ? 0 : key_init(first->config, &first->key_made, err);
}

/* A ledger is never empty of bytes, so that one which opens for writing was there. */
static int open_plane(const struct plane_options *given, struct first *first, struct plane **ret,
                      struct err *err)
{
    struct plane_options options = *given;
    struct err missing = { 0 };
    options.config_folder = first->config;
    options.state_folder = first->state;
    options.mode = LEDGER_WRITE;
    first->state_made = access(first->state, F_OK) < 0;
    int r = plane_open(&options, ret, &missing);
    if (r == 0)
        return 0;
    if (missing.code != ERR_NOT_FOUND) {
        if (err)
            *err = missing;
        return r;
    }
    options.mode = LEDGER_CREATE;
    first->ledger_made = true;
    return plane_open(&options, ret, err);
}

int first_open(const struct plane_options *options, struct first *ret_first, struct plane **ret,
               struct err *err)
{
    _cleanup_(cleanup_plane) struct plane *plane = NULL;
    struct first first = { 0 };
    int r = place_config(first.config, sizeof(first.config), err);
    if (r == 0)
        r = place_state(first.state, sizeof(first.state), err);
    if (r == 0)
        r = make_key(&first, err);
    if (r == 0)
        r = open_plane(options, &first, &plane, err);
    if (r == 0)
        r = profile_ensure_personal(plane, &first.profile_made, err);
    if (r < 0)
        return r;
    if (ret_first)
        *ret_first = first;
    *ret = TAKE_PTR(plane);
    return 0;
}
