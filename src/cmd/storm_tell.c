/*
 * storm_tell: storms as a table, as documents, and as the lines that they leave over.
 *
 * In the table a storm that another one brought about stands below it.
 */
#include "cmd/storm.h"

#include <spawn.h>
#include <sys/wait.h>

#include "base/clock.h"
#include "cmd/tell.h"

#define STEP             "tell storms"
#define INDENT_MAX       4  /* causes above one another that are drawn */
#define TEXT_COLUMNS     50 /* of 80, behind the numbers */
#define ESCALATION_BYTES ((size_t)400)

extern char **environ;

static int memory(struct err *err)
{
    return err_set(err, ERR_MEMORY, STEP, "there is not enough memory");
}

static int output_failed(struct err *err)
{
    return err_set_errno(err, errno ? errno : EIO, STEP, "standard output");
}

/* --- one storm ------------------------------------------------------------------------------ */

static int print_record(struct storm_output *output, const struct storm *storm, size_t slot,
                        struct err *err)
{
    struct buf text = BUF_INIT;
    int r = storm_add_record(storm, slot, output->scanner, &text, err);
    if (r == 0 && puts(text.data) == EOF)
        r = output_failed(err);
    buf_release(&text);
    return r;
}

/* A duration as people say it. */
static void print_distance(double ms)
{
    static const struct {
        double ms;
        const char *name;
    } units[] = { { 86400e3, "d" }, { 3600e3, "h" }, { 60e3, "min" }, { 1e3, "s" } };
    for (size_t i = 0; i < ARRAY_LEN(units); i++) {
        if (ms >= units[i].ms) {
            printf("%.1f %s", ms / units[i].ms, units[i].name);
            return;
        }
    }
    printf("%.0f ms", ms);
}

/* At most `columns` code points, cut with an ellipsis; nothing that acts on a terminal. */
static void print_cut(struct buf *text, size_t columns)
{
    size_t i = 0, column = 0;
    for (; i < text->len && column < columns; column++)
        for (i++; i < text->len && ((unsigned char)text->data[i] & 0xc0) == 0x80;)
            i++;
    bool is_cut = i < text->len;
    buf_truncate(text, i);
    tell_text(stdout, text->data);
    fputs(is_cut ? "…\n" : "\n", stdout);
}

static int add_title(const struct storm_output *output, const struct storm *storm, size_t slot,
                     struct buf *out, struct err *err)
{
    struct storm_view view;
    storm_view(storm, slot, &view);
    for (size_t i = 0; i < view.component.len; i++)
        buf_add_char(out, view.component.ptr[i] < ' ' && view.component.ptr[i] > 0
                              ? '*'
                              : view.component.ptr[i]);
    if (view.component.len)
        buf_add_text(out, ": ");
    return storm_add_template_of(storm, slot, output->scanner, out, err);
}

static int print_row(const struct storm_output *output, const struct storm *storm, size_t slot,
                     size_t depth, struct err *err)
{
    char first[CLOCK_TEXT_SIZE], last[CLOCK_TEXT_SIZE];
    struct storm_view view;
    struct buf title = BUF_INIT;
    storm_view(storm, slot, &view);
    int r = add_title(output, storm, slot, &title, err);
    if (r < 0) {
        buf_release(&title);
        return r;
    }
    clock_text(view.first_ms, first);
    clock_text(view.last_ms, last);
    size_t indent = depth * 2;
    printf("%10llu  %-8s  %6llu  %*s%s", (unsigned long long)view.count,
           storm_severity_names[view.severity], (unsigned long long)view.peak, (int)indent, "",
           depth ? "└ " : "");
    print_cut(&title, TEXT_COLUMNS - indent - (depth ? 2 : 0));
    printf("%30s%*s%.19sZ", "", (int)indent, "", first);
    if (view.count > 1) {
        bool same_day = strncmp(first, last, 10) == 0;
        printf(" to %.*sZ", same_day ? 8 : 19, same_day ? last + 11 : last);
        fputs(", every ", stdout);
        print_distance(view.median_interval_ms < 0 ? 0 : view.median_interval_ms);
    }
    fputc('\n', stdout);
    if (view.parent_id[0])
        printf("%30s%*sbrought about: same %s, same object (%.2f)\n", "", (int)indent, "",
               view.by_process ? "process" : "session", view.confidence);
    buf_release(&title);
    return 0;
}

/* --- the table ------------------------------------------------------------------------------ */

struct table {
    struct storm_output *output;
    const struct storm *storm;
    const size_t *slots;
    size_t count;
    bool *printed;  /* by place in slots */
    size_t *caused; /* places of storms that go back to another one */
    size_t caused_count;
    uint64_t rows;
};

static void find_caused(struct table *table)
{
    struct storm_view view;
    for (size_t i = 0; i < table->count; i++) {
        storm_view(table->storm, table->slots[i], &view);
        if (view.parent_id[0])
            table->caused[table->caused_count++] = i;
    }
}

static bool has_parent_in(const struct table *table, const struct storm_view *view, size_t *ret)
{
    struct storm_view other;
    for (size_t i = 0; view->parent_id[0] && i < table->count; i++) {
        storm_view(table->storm, table->slots[i], &other);
        if (strcmp(other.id, view->parent_id) == 0) {
            *ret = i;
            return true;
        }
    }
    return false;
}

static int print_family(struct table *table, size_t place, size_t depth, struct err *err)
{
    struct storm_view view, other;
    storm_view(table->storm, table->slots[place], &view);
    table->printed[place] = true;
    table->rows++;
    int r = print_row(table->output, table->storm, table->slots[place], depth, err);
    for (size_t i = 0; r == 0 && depth < INDENT_MAX && i < table->caused_count; i++) {
        size_t child = table->caused[i];
        storm_view(table->storm, table->slots[child], &other);
        if (!table->printed[child] && strcmp(other.parent_id, view.id) == 0)
            r = print_family(table, child, depth + 1, err);
    }
    return r;
}

static int print_table(struct storm_output *output, const struct storm *storm, const size_t *slots,
                       size_t count, uint64_t *ret_rows, struct err *err)
{
    struct table table = { .output = output, .storm = storm, .slots = slots, .count = count };
    struct storm_view view;
    int r = 0;
    size_t parent;
    table.printed = calloc(count + 1, sizeof(*table.printed));
    table.caused = calloc(count + 1, sizeof(*table.caused));
    if (!table.printed || !table.caused) {
        free(table.printed);
        free(table.caused);
        return memory(err);
    }
    find_caused(&table);
    if (count)
        printf("%10s  %-8s  %6s  %s\n", "EVENTS", "SEVERITY", "PEAK/S", "COMPONENT: TEMPLATE");
    for (size_t i = 0; r == 0 && i < count && table.rows < output->top; i++) {
        storm_view(storm, slots[i], &view);
        if (table.printed[i] || view.count < output->count_min)
            continue;
        size_t top = i;
        for (size_t depth = 0;
             depth < INDENT_MAX && has_parent_in(&table, &view, &parent) && !table.printed[parent];
             depth++) {
            top = parent;
            storm_view(storm, slots[top], &view);
        }
        r = print_family(&table, top, 0, err);
    }
    free(table.printed);
    free(table.caused);
    *ret_rows = table.rows;
    return r;
}

static void print_totals(const struct storm *storm, uint64_t rows_left, FILE *out)
{
    const struct storm_totals *totals = storm_totals(storm);
    fprintf(out, "%llu lines, %llu signatures", (unsigned long long)totals->lines,
            (unsigned long long)totals->signatures);
    if (rows_left)
        fprintf(out, " (%llu not shown)", (unsigned long long)rows_left);
    const struct {
        uint64_t count;
        const char *text;
    } notes[] = {
        { totals->untimed, "without a time" },
        { totals->backwards, "earlier than the one before" },
        { totals->cut, "longer than is looked at" },
        { totals->held, "held back" },
        { totals->evicted_events, "in signatures that had to go" },
    };
    for (size_t i = 0; i < ARRAY_LEN(notes); i++)
        if (notes[i].count)
            fprintf(out, "; %llu %s", (unsigned long long)notes[i].count, notes[i].text);
    fputc('\n', out);
}

/* --- what the verb calls -------------------------------------------------------------------- */

static bool is_changed(struct storm_output *output, size_t slot, const struct storm_view *view)
{
    struct storm_told *told = &output->told[slot];
    bool changed = told->count != view->count || told->first_ms != view->first_ms;
    *told = (struct storm_told){ view->count, view->first_ms };
    return changed;
}

static int tell_one(struct storm_output *output, const struct storm *storm, size_t slot,
                    struct err *err)
{
    struct storm_view view;
    struct buf title = BUF_INIT;
    int r = 0;
    storm_view(storm, slot, &view);
    if (output->telling == TELL_JSON)
        return print_record(output, storm, slot, err);
    if (output->telling == TELL_TABLE)
        return print_row(output, storm, slot, 0, err);
    if (view.held) {
        r = add_title(output, storm, slot, &title, err);
        if (r == 0) {
            printf("[storm: %llu events, %llu held back] ", (unsigned long long)view.count,
                   (unsigned long long)view.held);
            print_cut(&title, BUF_LIMIT_DEFAULT);
        }
        buf_release(&title);
    }
    return r;
}

static int keep_storms(const struct storm_output *output, const struct storm *storm,
                       const size_t *slots, size_t count, bool is_last, struct err *err)
{
    int r = 0;
    for (size_t i = 0; output->keep && r == 0 && i < count; i++)
        r = storm_keep_note(output->keep, storm, slots[i], is_last, output->scanner, err);
    return r == 0 && output->keep ? storm_keep_commit(output->keep, is_last, err) : r;
}

static int tell_changes(struct storm_output *output, const struct storm *storm, const size_t *slots,
                        size_t count, struct err *err)
{
    struct storm_view view;
    int r = 0;
    for (size_t i = 0; r == 0 && i < count; i++) {
        storm_view(storm, slots[i], &view);
        if (is_changed(output, slots[i], &view) && view.count >= output->count_min)
            r = tell_one(output, storm, slots[i], err);
    }
    return r == 0 && fflush(stdout) != 0 ? output_failed(err) : r;
}

int storm_tell_changes(struct storm_output *output, struct storm *storm, struct err *err)
{
    size_t *slots = NULL, count = 0;
    int r = storm_settle(storm, err);
    if (r == 0)
        r = storm_slots(storm, &slots, &count, err);
    if (r == 0)
        r = keep_storms(output, storm, slots, count, false, err);
    if (r == 0)
        r = tell_changes(output, storm, slots, count, err);
    free(slots);
    return r;
}

int storm_tell_all(struct storm_output *output, struct storm *storm, struct err *err)
{
    size_t *slots = NULL, count = 0;
    uint64_t rows = 0;
    int r = storm_settle(storm, err);
    if (r == 0)
        r = storm_slots(storm, &slots, &count, err);
    if (r == 0)
        r = keep_storms(output, storm, slots, count, true, err);
    if (r == 0)
        r = output->telling == TELL_TABLE ? print_table(output, storm, slots, count, &rows, err)
                                          : tell_changes(output, storm, slots, count, err);
    free(slots);
    if (r == 0)
        print_totals(storm, output->telling == TELL_TABLE ? count - rows : 0,
                     output->telling == TELL_TABLE ? stdout : stderr);
    return r;
}

int storm_tell_evicted(void *context, struct storm *storm, size_t slot, struct err *err)
{
    struct storm_output *output = context;
    output->told[slot] = (struct storm_told){ 0 };
    int r =
        output->keep ? storm_keep_note(output->keep, storm, slot, true, output->scanner, err) : 0;
    return r == 0 && output->telling == TELL_JSON ? print_record(output, storm, slot, err) : r;
}

/* Calls somebody: the command gets the line on its standard input. */
static int call(const struct storm_output *output, struct str line, struct err *err)
{
    int pipe_fds[2], status;
    pid_t pid;
    posix_spawn_file_actions_t actions;
    const char *arguments[] = { "sh", "-c", output->call, NULL };
    if (pipe2(pipe_fds, O_CLOEXEC) < 0)
        return err_set_errno(err, errno, STEP, "call %s", output->call);
    posix_spawn_file_actions_init(&actions);
    posix_spawn_file_actions_adddup2(&actions, pipe_fds[0], STDIN_FILENO);
    int r = posix_spawn(&pid, "/bin/sh", &actions, NULL, (char **)(uintptr_t)arguments, environ);
    posix_spawn_file_actions_destroy(&actions);
    close(pipe_fds[0]);
    /* A line is shorter than a pipe holds, or is cut to what it holds. */
    fcntl(pipe_fds[1], F_SETFL, O_NONBLOCK);
    if (r == 0 && (write(pipe_fds[1], line.ptr, line.len) < 0 || write(pipe_fds[1], "\n", 1) < 0))
        errno = 0; /* who is called need not read it */
    close(pipe_fds[1]);
    if (r != 0)
        return err_set_errno(err, r, STEP, "call %s", output->call);
    while (waitpid(pid, &status, 0) < 0 && errno == EINTR) {
    }
    return 0;
}

static int print_line(const struct storm_output *output, struct str line, struct err *err)
{
    if (output->to_terminal) {
        struct buf text = BUF_INIT;
        buf_add_str(&text, line);
        tell_text(stdout, text.data);
        buf_release(&text);
    } else if (fwrite_unlocked(line.ptr, 1, line.len, stdout) != line.len) {
        return output_failed(err);
    }
    return putc_unlocked('\n', stdout) == EOF ? output_failed(err) : 0;
}

static void say_escalation(struct str line)
{
    struct buf text = BUF_INIT;
    buf_add(&text, line.ptr, line.len < ESCALATION_BYTES ? line.len : ESCALATION_BYTES);
    fputs("storm: escalated: ", stderr);
    tell_text(stderr, text.data);
    fputc('\n', stderr);
    buf_release(&text);
}

int storm_tell_line(void *context, enum storm_action action, struct str line, struct err *err)
{
    struct storm_output *output = context;
    switch (action) {
    case STORM_SHOW:
        return output->telling == TELL_PASS ? print_line(output, line, err) : 0;
    case STORM_APART:
        if (output->apart && (fwrite(line.ptr, 1, line.len, output->apart) != line.len ||
                              putc('\n', output->apart) == EOF))
            return err_set_errno(err, errno, STEP, "the file of --apart");
        return 0;
    case STORM_CALL:
        say_escalation(line);
        return output->call ? call(output, line, err) : 0;
    case STORM_HIDE:
        break;
    }
    return 0;
}
