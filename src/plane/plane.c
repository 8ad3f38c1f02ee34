/*
 * plane: opening it, who we are, and what a command must be like.
 *
 * A process is known by its number, the moment it started and the boot it
 * lives in: a number alone is given to others later.
 */
#include <ctype.h>
#include <inttypes.h>
#include <sys/random.h>

#include "base/clock.h"
#include "base/file.h"
#include "base/json.h"
#include "contract/catalogue.h"
#include "contract/explain.h"
#include "contract/rules.h"
#include "contract/validate.h"
#include "plane/gate_layers.h"
#include "plane/work.h"

#define STEP_OPEN             "open the plane"
#define BOOT_ID_FILE          "/proc/sys/kernel/random/boot_id"
#define PROC_BYTES_MAX        4096
#define STAT_START_TIME_FIELD 22 /* of /proc/PID/stat, counted from 1 */

/* --- who we are ---------------------------------------------------------------------------- */

/* The start time of a process; -ENOENT where there is none, or only its remains. */
static int read_start(int64_t pid, int64_t *ret, struct err *err)
{
    char path[64];
    _cleanup_(buf_release) struct buf text = BUF_INIT_LIMIT(PROC_BYTES_MAX);
    snprintf(path, sizeof(path), "/proc/%" PRId64 "/stat", pid);
    int r = file_read(path, &text, err);
    if (r < 0)
        return r;
    buf_add_char(&text, '\0');
    const char *at = strrchr(text.data, ')'); /* the name before it may hold anything */
    if (!at || at[1] != ' ')
        return err_set(err, ERR_IO, STEP_OPEN, "%s is not as it should be", path);
    if (at[2] == 'Z' || at[2] == 'X')
        return -ENOENT;
    at++;
    for (int field = 3; at && field <= STAT_START_TIME_FIELD; field++)
        at = strchr(at + (field > 3), ' ');
    if (!at)
        return err_set(err, ERR_IO, STEP_OPEN, "%s is not as it should be", path);
    *ret = strtoll(at, NULL, 10);
    return 0;
}

static int read_boot_id(char ret[40], struct err *err)
{
    _cleanup_(buf_release) struct buf text = BUF_INIT_LIMIT(PROC_BYTES_MAX);
    int r = file_read(BOOT_ID_FILE, &text, err);
    if (r < 0)
        return r;
    while (text.len && isspace((unsigned char)text.data[text.len - 1]))
        buf_truncate(&text, text.len - 1);
    if (text.len >= 40)
        return err_set(err, ERR_IO, STEP_OPEN, BOOT_ID_FILE " is not as it should be");
    snprintf(ret, 40, "%.*s", (int)text.len, text.data);
    return 0;
}

int plane_holder_self(struct holder *ret, struct err *err)
{
    struct holder self = { .pid = getpid() };
    int r = read_start(self.pid, &self.start_ticks, err);
    if (r == 0)
        r = read_boot_id(self.boot_id, err);
    if (r == 0)
        *ret = self;
    return r;
}

bool plane_holder_alive(const struct holder *holder)
{
    char boot_id[40];
    int64_t start;
    if (read_boot_id(boot_id, NULL) == 0 && strcmp(boot_id, holder->boot_id) != 0)
        return false;
    int r = read_start(holder->pid, &start, NULL);
    if (r < 0)
        return r != -ENOENT && r != -ESRCH;
    return start == holder->start_ticks;
}

/* --- names --------------------------------------------------------------------------------- */

struct str urn_local(struct str urn)
{
    size_t at = 0;
    for (int colons = 0; colons < 3 && at < urn.len; colons++)
        at = str_index(urn, ':', at) + 1;
    return str_from_offset(urn, at);
}

void urn_make(const char *type, struct str local, char ret[PLANE_URN_MAX])
{
    snprintf(ret, PLANE_URN_MAX, "urn:srcos:%s:%.*s", type, STR_ARG(local));
}

int urn_fresh(char ret[40], struct err *err)
{
    uint64_t random;
    if (getrandom(&random, sizeof(random), 0) != (ssize_t)sizeof(random))
        return err_set_errno(err, errno, STEP_PLANE, "the kernel gives no random bytes");
    snprintf(ret, 40, "%011" PRIx64 "-%016" PRIx64, (uint64_t)clock_now_ms(), random);
    return 0;
}

/* --- opening ------------------------------------------------------------------------------- */

int plane_open(const struct plane_options *options, struct plane **ret, struct err *err)
{
    static const struct compile_options strict = { .assert_formats = true };
    struct plane *plane = calloc(1, sizeof(*plane));
    if (!plane)
        return err_set(err, ERR_MEMORY, STEP_OPEN, "there is not enough memory");
    plane->options = *options;
    plane->state_folder = plane->config_folder = BUF_INIT;
    buf_add_text(&plane->state_folder, options->state_folder);
    buf_add_text(&plane->config_folder, options->config_folder);
    plane->options.state_folder = plane->state_folder.data;
    plane->options.config_folder = plane->config_folder.data;
    if (!plane->options.gate) {
        plane->options.gate = gate_layers_ask;
        plane->options.gate_context = plane;
    }
    int r = plane->state_folder.error || plane->config_folder.error
                ? err_set(err, ERR_MEMORY, STEP_OPEN, "there is not enough memory")
                : plane_holder_self(&plane->self, err);
    if (r == 0)
        r = catalogue_new(&strict, &plane->catalogue, err);
    if (r == 0)
        r = ledger_open(plane->options.state_folder, options->mode, &plane->ledger, err);
    if (r < 0) {
        plane_close(plane);
        return r;
    }
    *ret = plane;
    return 0;
}

void plane_close(struct plane *plane)
{
    if (!plane)
        return;
    if (plane->ledger)
        ledger_close(plane->ledger);
    catalogue_free(plane->catalogue);
    gate_layers_free(plane->gate_layers);
    buf_release(&plane->state_folder);
    buf_release(&plane->config_folder);
    free(plane);
}

struct ledger *plane_ledger(struct plane *plane)
{
    return plane->ledger;
}

/* --- commands ------------------------------------------------------------------------------ */

int plane_check_document(struct plane *plane, const yyjson_val *document, const char *type,
                         const char *step, struct err *err)
{
    const struct embedded_schema *schema = catalogue_find(str_from(type));
    const struct program *program;
    int r = catalogue_program(plane->catalogue, schema, &program, err);
    if (r == 0)
        r = explain_check(program, document, type, step, err);
    return r < 0 ? r : lint_alone(document, schema, step, err);
}

int plane_check_command(struct plane *plane, const yyjson_val *command, struct err *err)
{
    return plane_check_document(plane, command, "OperationCommand", "check a command", err);
}
