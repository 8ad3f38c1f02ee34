/* worktree_taking: see the header. What goes wrong is told by who does it. */
#include "cmd/worktree_taking.h"

#include "base/json.h"
#include "cmd/tell.h"

void taking_prefix(const struct taking *taking, char ret[GIT_PREFIX_MAX])
{
    snprintf(ret, GIT_PREFIX_MAX, "agent/%s", change_set_name(&taking->set));
}

size_t taking_count(const struct taking *taking, enum apply_fate fate)
{
    size_t sum = 0;
    for (size_t i = 0; i < taking->set.mount_count; i++)
        sum += worktree_apply_count(taking->plans[i], fate);
    return sum;
}

/* --- telling ------------------------------------------------------------------------------- */

static void tell_item(FILE *out, const struct apply_item *item)
{
    fprintf(out, "%-8s  ", apply_fate_names[item->fate]);
    tell_text(out, item->change->path);
    if (item->why)
        fprintf(out, ": %s", item->why);
    fputc('\n', out);
}

/* Of a dry run each change; else what was not taken as it is. */
static void tell_items(const struct taking *taking, bool all)
{
    for (size_t i = 0; i < taking->set.mount_count; i++) {
        size_t items;
        const struct apply_item *item = worktree_apply_items(taking->plans[i], &items);
        for (; items; items--, item++) {
            bool quiet =
                item->fate == FATE_TAKEN || item->fate == FATE_DONE || item->fate == FATE_MERGED;
            if (item->fate != FATE_NOT_CHOSEN && (all || !quiet))
                tell_item(all ? stdout : stderr, item);
        }
    }
}

static void print_json(const struct taking *taking)
{
    struct buf out = BUF_INIT_LIMIT(CHANGES_TEXT_MAX);
    bool first = true;
    buf_add_char(&out, '[');
    for (size_t i = 0; i < taking->set.mount_count; i++) {
        size_t items;
        const struct apply_item *item = worktree_apply_items(taking->plans[i], &items);
        for (; items; items--, item++) {
            if (item->fate == FATE_NOT_CHOSEN)
                continue;
            buf_add_text(&out, first ? "{\"path\":" : ",{\"path\":");
            json_add_string(&out, str_from(item->change->path));
            buf_addf(&out, ",\"change\":\"%s\",\"fate\":\"%s\"", change_names[item->change->type],
                     apply_fate_names[item->fate]);
            if (item->rule)
                buf_addf(&out, ",\"rule\":\"%s\"", item->rule);
            if (item->why) {
                buf_add_text(&out, ",\"why\":");
                json_add_string(&out, str_from(item->why));
            }
            buf_add_char(&out, '}');
            first = false;
        }
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
    say_count(taking_count(taking, FATE_HELD), "held apart: name them, or give --include-held");
    say_count(taking_count(taking, FATE_KEPT), "in conflict, and kept as the host has them");
    say_count(conflicts, "in conflict, so nothing is applied: --ours keeps the host's, --theirs "
                         "takes the run's, --merge makes one of both; or name other paths");
    return conflicts || taking_count(taking, FATE_MARKED) ? EXIT_NEGATIVE : EXIT_OK;
}

void taking_tell_commits(const struct taking *taking)
{
    char prefix[GIT_PREFIX_MAX];
    taking_prefix(taking, prefix);
    for (size_t i = 0; i < taking->set.mount_count; i++) {
        for (size_t j = 0; j < taking->commits[i].count; j++) {
            printf("%.12s %s/", taking->commits[i].branches[j].commit, prefix);
            tell_text(stdout, taking->commits[i].branches[j].name);
            putchar('\n');
        }
        say_count(taking->commits[i].left_out, "left out: no branches that git would take");
    }
}
