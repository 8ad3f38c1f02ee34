/* worktree_taking: see the header. What goes wrong is told by who does it. */
#include "cmd/worktree_taking.h"

#include "base/json.h"
#include "cmd/tell.h"

/* A file of git's own, of which references tell. */
static bool is_of_git(const struct taking *taking, size_t mount, const struct apply_item *item)
{
    return item->rule && strcmp(item->rule, "git-data") == 0 && taking->gits[mount] &&
           git_apply_holds(taking->gits[mount], item->change->path);
}

static const struct apply_item *items_of(const struct taking *taking, size_t mount,
                                         size_t *ret_count)
{
    *ret_count = 0;
    return taking->plans[mount] ? worktree_apply_items(taking->plans[mount], ret_count) : NULL;
}

size_t taking_count(const struct taking *taking, enum apply_fate fate)
{
    size_t sum = 0;
    for (size_t i = 0; i < taking->set.mount_count; i++) {
        size_t items;
        const struct apply_item *item = items_of(taking, i, &items);
        sum += git_apply_count(taking->gits[i], fate);
        for (; items; items--, item++)
            sum += item->fate == fate && !is_of_git(taking, i, item);
    }
    return sum;
}

bool taking_git_is_done(const struct taking *taking, size_t mount)
{
    size_t items;
    (void)git_apply_items(taking->gits[mount], &items);
    return items == git_apply_count(taking->gits[mount], FATE_TAKEN) +
                        git_apply_count(taking->gits[mount], FATE_DONE);
}

/* --- telling ------------------------------------------------------------------------------- */

static bool is_told(enum apply_fate fate, bool all)
{
    bool quiet = fate == FATE_TAKEN || fate == FATE_DONE || fate == FATE_MERGED;
    return fate != FATE_NOT_CHOSEN && (all || !quiet);
}

static void tell_item(bool all, enum apply_fate fate, const char *path, const char *why)
{
    FILE *out = all ? stdout : stderr;
    if (!is_told(fate, all))
        return;
    fprintf(out, "%-8s  ", apply_fate_names[fate]);
    tell_text(out, path);
    if (why)
        fprintf(out, ": %s", why);
    fputc('\n', out);
}

/* Of a dry run each change; else what was not taken as it is. */
static void tell_items(const struct taking *taking, bool all)
{
    for (size_t i = 0; i < taking->set.mount_count; i++) {
        size_t items, refs;
        const struct apply_item *item = items_of(taking, i, &items);
        const struct git_item *ref = git_apply_items(taking->gits[i], &refs);
        for (; items; items--, item++)
            if (!is_of_git(taking, i, item))
                tell_item(all, item->fate, item->change->path, item->why);
        for (; refs; refs--, ref++)
            tell_item(all, ref->fate, ref->path, ref->why);
    }
}

static void add_json(struct buf *out, const struct git_item *item)
{
    if (item->fate == FATE_NOT_CHOSEN)
        return;
    buf_add_text(out, out->data[out->len - 1] == '[' ? "{\"path\":" : ",{\"path\":");
    json_add_string(out, str_from(item->path));
    buf_addf(out, ",\"change\":\"%s\",\"fate\":\"%s\"", change_names[item->type],
             apply_fate_names[item->fate]);
    if (item->rule)
        buf_addf(out, ",\"rule\":\"%s\"", item->rule);
    if (item->why) {
        buf_add_text(out, ",\"why\":");
        json_add_string(out, str_from(item->why));
    }
    buf_add_char(out, '}');
}

static void print_json(const struct taking *taking)
{
    struct buf out = BUF_INIT_LIMIT(CHANGES_TEXT_MAX);
    buf_add_char(&out, '[');
    for (size_t i = 0; i < taking->set.mount_count; i++) {
        size_t items, refs;
        const struct apply_item *item = items_of(taking, i, &items);
        const struct git_item *ref = git_apply_items(taking->gits[i], &refs);
        for (; items; items--, item++) {
            const struct git_item as_ref = { .path = item->change->path,
                                             .type = item->change->type,
                                             .fate = item->fate,
                                             .rule = item->rule,
                                             .why = item->why };
            if (!is_of_git(taking, i, item))
                add_json(&out, &as_ref);
        }
        for (; refs; refs--, ref++)
            add_json(&out, ref);
    }
    buf_add_char(&out, ']');
    puts(out.data);
    buf_release(&out);
}

static void say_count(size_t number, const char *what)
{
    if (number)
        fprintf(stderr, "agent-machine: %zu %s\n", number, what);
}

/* Of what is held, what its own line says how to take. */
static size_t count_checked_out(const struct taking *taking)
{
    size_t sum = 0;
    for (size_t i = 0; i < taking->set.mount_count; i++) {
        size_t refs;
        const struct git_item *ref = git_apply_items(taking->gits[i], &refs);
        for (; refs; refs--, ref++)
            sum += ref->fate == FATE_HELD && strcmp(ref->rule, "git-head") == 0;
    }
    return sum;
}

int taking_tell(const struct taking *taking, bool done)
{
    const struct invocation *invocation = taking->invocation;
    bool dry = invocation->values[APPLY_DRY_RUN];
    if (invocation->values[APPLY_JSON])
        print_json(taking);
    else
        tell_items(taking, dry);
    size_t conflicts = taking_count(taking, FATE_CONFLICT);
    size_t taken = taking_count(taking, FATE_TAKEN) + taking_count(taking, FATE_MERGED) +
                   taking_count(taking, FATE_MARKED);
    if (done)
        say_count(taken, taken == 1 ? "change applied" : "changes applied");
    if (done && !taken)
        fputs("agent-machine: nothing was left to apply\n", stderr);
    say_count(taking_count(taking, FATE_MARKED), "of them with conflict markers to resolve");
    say_count(taking_count(taking, FATE_HELD) - count_checked_out(taking),
              "held apart: name them, or give --include-held");
    say_count(taking->held_cards, "of them asked about: agent-machine op pending");
    say_count(taking_count(taking, FATE_KEPT), "in conflict, and kept as the host has them");
    say_count(conflicts, "in conflict, so nothing is applied: --ours keeps the host's, --theirs "
                         "takes the run's, --merge makes one of both; or name other paths");
    return conflicts || taking_count(taking, FATE_MARKED) ? EXIT_NEGATIVE : EXIT_OK;
}

int taking_tell_commits(const struct taking *taking)
{
    for (size_t i = 0; i < taking->set.mount_count; i++) {
        size_t refs;
        const struct git_item *ref = git_apply_items(taking->gits[i], &refs);
        for (; refs; refs--, ref++) {
            if (ref->fate == FATE_CONFLICT) {
                tell_item(false, ref->fate, ref->to, ref->why);
                continue;
            }
            printf("%.12s ", ref->new.text);
            tell_text(stdout, ref->to + strlen("refs/heads/"));
            putchar('\n');
        }
        if (taking->gits[i])
            say_count(git_apply_left_out(taking->gits[i]),
                      "left out: no branches that git would take");
    }
    return taking_count(taking, FATE_CONFLICT) ? EXIT_NEGATIVE : EXIT_OK;
}
