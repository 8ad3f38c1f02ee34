/*
 * git_decide: what becomes of each reference that a run changed, and of what is checked out.
 *
 * Theory of operation. A table says what kinds of references are taken by themselves: branches, and
 * tags that are new. What the host would believe, or lose, is held apart until it is named. A
 * reference that stands elsewhere on the host than it stood at the launch is a conflict. Where that
 * is not known, a branch may still go on from where the host has it.
 *
 * What is checked out in a work tree is its HEAD, and the branch that HEAD leads to. Where both are
 * to move, the commit that HEAD will lead to must be the one that it led to in the run.
 */
#include "machine/git_apply_internal.h"

#include "machine/git_link.h"

static const char *const moved = "the host has moved it since the launch";
static const char *const unknown = "where it stood at the launch is not known any more";
const char *const git_exists = "the host has one of that name already";
static const char *const symbolic = "it leads to another reference";
static const char *const in_the_way = "the host has something else of that name";
static const char *const no_object = "it leads to no object";
static const char *const unread = "its references are kept in a form that is not read";
static const char *const checked_out = "it is checked out; --head moves it";
static const char *const elsewhere =
    "it is checked out in another work tree; --commits takes it beside";
static const char *const head_moves = "what is checked out changes only with --head";
static const char *const branch_stays =
    "the branch that it leads to is not taken as the run had it";

/* What is said of a reference that is new, moves or goes; NULL: it is taken. The first row fits. */
static const struct ref_rule {
    const char *prefix;
    const char *added, *moved, *deleted;
    bool never;
} rules[] = {
    { GIT_HEADS, NULL, NULL, "commits might be lost with the branch", false },
    { "refs/tags/", NULL, "a tag is believed to stay where it is",
      "a tag is believed to stay where it is", false },
    { "refs/notes/", "notes are shown with every log", "notes are shown with every log",
      "notes are shown with every log", false },
    { "refs/replace/", "git would take one object for another",
      "git would take one object for another", "git would take one object for another", true },
    { "refs/remotes/", "only a fetch can say what a remote has",
      "only a fetch can say what a remote has", "only a fetch can say what a remote has", true },
    { "refs/stash", "a stash stays in the change set", "a stash stays in the change set",
      "a stash stays in the change set", true },
    { "", "it is no branch and no tag", "it is no branch and no tag", "it is no branch and no tag",
      true },
};

static int no_memory(struct err *err)
{
    return err_set(err, ERR_MEMORY, STEP_APPLY_GIT, "there is not enough memory");
}

const char *git_items_join(struct git_apply *apply, const char *a, const char *b, const char *c)
{
    _cleanup_(buf_release) struct buf text = BUF_INIT;
    return buf_addf(&text, "%s%s%s", a, b, c) < 0 ? NULL
                                                  : arena_copy(&apply->arena, buf_str(&text));
}

struct git_item *git_items_add(struct git_apply *apply, const struct git_item *item,
                               struct err *err)
{
    if (apply->count == apply->capacity) {
        size_t capacity = apply->capacity ? apply->capacity * 2 : 16;
        struct git_item *larger = reallocarray(apply->items, capacity, sizeof(*larger));
        if (!larger) {
            (void)no_memory(err);
            return NULL;
        }
        apply->items = larger;
        apply->capacity = capacity;
    }
    if (!item->path || !item->to) {
        (void)no_memory(err);
        return NULL;
    }
    apply->items[apply->count] = *item;
    return &apply->items[apply->count++];
}

static void hold(const struct git_apply *apply, struct git_item *item, const char *rule,
                 const char *why, bool never)
{
    item->rule = rule;
    item->why = why;
    if (never ||
        !(apply->options.include_held || apply->options.names(apply->options.context, item->path)))
        item->fate = FATE_HELD;
}

void git_item_conflict(const struct git_apply *apply, struct git_item *item, const char *why)
{
    static const enum apply_fate fates[] = { [APPLY_REFUSE] = FATE_CONFLICT,
                                             [APPLY_OURS] = FATE_KEPT,
                                             [APPLY_THEIRS] = FATE_TAKEN,
                                             [APPLY_MERGE] = FATE_CONFLICT };
    item->fate = fates[apply->options.strategy];
    item->why = why;
}

/* --- what is checked out ------------------------------------------------------------------- */

/* The run's work tree that a HEAD belongs to; NULL where the run had none of it. */
static const char *work_of(struct git_apply *apply, size_t repository, const struct git_head *head)
{
    const char *prefix = apply->refs.items[repository].prefix;
    char own[WORKTREE_PATH_SIZE + CHANGES_PATH_MAX];
    struct git_link link;
    if (strcmp(prefix, ".git/") == 0 && !head->folder[0])
        return head->is_bare ? NULL : apply->worktree->host_path;
    snprintf(own, sizeof(own), "%s/%s%s", apply->worktree->host_path, prefix, head->folder);
    own[strlen(own) - 1] = '\0';
    for (size_t i = 0; apply->options.roots[i]; i++)
        if (git_link_find(apply->options.roots[i], &link) && link.believed &&
            strcmp(link.own, own) == 0)
            return apply->options.roots[i];
    return NULL;
}

/* The HEAD that leads to a branch on the host. */
static const struct git_head *find_head(const struct git_apply *apply, size_t repository,
                                        const char *name)
{
    const struct git_repository_changes *changes = &apply->refs.items[repository];
    for (size_t i = 0; i < changes->head_count; i++)
        if (!changes->heads[i].is_bare && changes->heads[i].host.kind == GIT_SYMBOLIC &&
            strcmp(changes->heads[i].host.text, name) == 0)
            return &changes->heads[i];
    return NULL;
}

/* --- one reference ------------------------------------------------------------------------- */

/*
 * Where it stood is not known: nothing is lost where the run's commit has the host's in its
 * history, which can be seen once the run's objects are there.
 */
static void decide_unknown(const struct git_apply *apply, const struct git_ref *ref,
                           struct git_item *item)
{
    bool is_branch = strncmp(item->to, GIT_HEADS, strlen(GIT_HEADS)) == 0;
    bool may_follow = is_branch && item->new.kind == GIT_OBJECT && !ref->may_be_new &&
                      apply->options.strategy != APPLY_OURS;
    if (may_follow)
        item->follows = apply->options.strategy != APPLY_THEIRS;
    else
        git_item_conflict(apply, item, unknown);
}

/* What is nowhere by now can be made whatever it was. */
static void compare(const struct git_apply *apply, const struct git_ref *ref, struct git_item *item)
{
    if (git_value_equal(&ref->host, &ref->run))
        item->fate = FATE_DONE;
    else if (ref->host.kind == GIT_SYMBOLIC || ref->host.kind == GIT_NOT_KNOWN)
        hold(apply, item, "git-ref", ref->host.kind == GIT_SYMBOLIC ? symbolic : in_the_way, true);
    else if (ref->launch.kind == GIT_NOT_KNOWN && ref->host.kind != GIT_ABSENT)
        decide_unknown(apply, ref, item);
    else if (ref->launch.kind != GIT_NOT_KNOWN && !git_value_equal(&ref->launch, &ref->host))
        git_item_conflict(apply, item, ref->launch.kind == GIT_ABSENT ? git_exists : moved);
}

static int decide_ref(struct git_apply *apply, size_t repository, const struct git_ref *ref,
                      struct err *err)
{
    const struct git_head *head = find_head(apply, repository, ref->name);
    const struct ref_rule *rule = rules;
    struct git_item new = { .path = git_items_join(apply, apply->refs.items[repository].prefix,
                                                   ref->name, ""),
                            .to = ref->name,
                            .fate = FATE_TAKEN,
                            .type = ref->run.kind == GIT_ABSENT      ? CHANGE_DELETED
                                    : ref->launch.kind == GIT_ABSENT ? CHANGE_ADDED
                                                                     : CHANGE_MODIFIED,
                            .repository = repository,
                            .old = ref->host,
                            .new = ref->run };
    struct git_item *item = git_items_add(apply, &new, err);
    if (!item)
        return -ENOMEM;
    while (strncmp(ref->name, rule->prefix, strlen(rule->prefix)) != 0)
        rule++;
    const char *why = item->type == CHANGE_DELETED ? rule->deleted
                      : item->type == CHANGE_ADDED ? rule->added
                                                   : rule->moved;
    if (!apply->options.chooses(apply->options.context, item->path))
        item->fate = FATE_NOT_CHOSEN;
    else if (ref->run.kind == GIT_SYMBOLIC || ref->run.kind == GIT_NOT_KNOWN)
        hold(apply, item, "git-ref", ref->run.kind == GIT_SYMBOLIC ? symbolic : no_object, true);
    else if (head && !work_of(apply, repository, head))
        hold(apply, item, "git-head", elsewhere, true);
    else if (head && (!apply->options.heads || item->type == CHANGE_DELETED))
        hold(apply, item, "git-head", checked_out, true);
    else if (why)
        hold(apply, item, "git-ref", why, rule->never);
    if (item->fate == FATE_TAKEN)
        compare(apply, ref, item);
    return 0;
}

/* --- HEAD ---------------------------------------------------------------------------------- */

static int decide_head(struct git_apply *apply, size_t repository, const struct git_head *head,
                       struct err *err)
{
    const struct git_ref as_ref = { "HEAD", head->launch, head->run, head->host };
    struct git_item new = { .path = git_items_join(apply, apply->refs.items[repository].prefix,
                                                   head->folder, "HEAD"),
                            .to = "HEAD",
                            .fate = FATE_TAKEN,
                            .type = CHANGE_MODIFIED,
                            .repository = repository,
                            .old = head->host,
                            .new = head->run };
    if (git_value_equal(&head->launch, &head->run) || git_value_equal(&head->host, &head->run))
        return 0;
    struct git_item *item = git_items_add(apply, &new, err);
    if (!item)
        return -ENOMEM;
    bool is_branch = head->run.kind == GIT_SYMBOLIC &&
                     strncmp(head->run.text, GIT_HEADS, strlen(GIT_HEADS)) == 0 &&
                     git_ref_is_name(head->run.text);
    if (!apply->options.chooses(apply->options.context, item->path))
        item->fate = FATE_NOT_CHOSEN;
    else if (head->is_bare || !work_of(apply, repository, head))
        hold(apply, item, "git-head", elsewhere, true);
    else if (!apply->options.heads)
        hold(apply, item, "git-head", head_moves, true);
    else if (!is_branch && head->run.kind != GIT_OBJECT)
        hold(apply, item, "git-head", no_object, true);
    else if (as_ref.launch.kind == GIT_NOT_KNOWN)
        git_item_conflict(apply, item, unknown);
    else if (!git_value_equal(&as_ref.launch, &as_ref.host))
        git_item_conflict(apply, item, moved);
    return 0;
}

/*
 * Where a reference stands once all that is taken is; of the run, where it stood at its end, which
 * is not known of one that the host has had from there already.
 */
static int look_ahead(const struct git_apply *apply, size_t repository,
                      const struct git_value *head, bool of_run, const char **ret, struct err *err)
{
    struct git_ref ref = { 0 };
    *ret = head->kind == GIT_OBJECT ? head->text : "";
    if (head->kind != GIT_SYMBOLIC || !git_ref_is_name(head->text))
        return 0;
    int r = git_refs_look(&apply->refs, repository, head->text, &ref, err);
    struct git_value value = of_run ? ref.run : ref.host;
    for (size_t i = 0; i < apply->count && !of_run; i++)
        if (apply->items[i].repository == repository && apply->items[i].fate == FATE_TAKEN &&
            strcmp(apply->items[i].to, head->text) == 0)
            value = apply->items[i].new;
    *ret = r == 0 && value.kind == GIT_OBJECT ? value.text : "";
    return r;
}

static int commit_now(const struct git_apply *apply, size_t repository,
                      const struct git_value *head, const char **ret, struct err *err)
{
    struct git_ref ref = { 0 };
    *ret = head->kind == GIT_OBJECT ? head->text : "";
    if (head->kind != GIT_SYMBOLIC || !git_ref_is_name(head->text))
        return 0;
    int r = git_refs_look(&apply->refs, repository, head->text, &ref, err);
    *ret = r == 0 && ref.host.kind == GIT_OBJECT ? ref.host.text : "";
    return r;
}

static struct git_item *item_of_head(struct git_apply *apply, size_t repository,
                                     const struct git_head *head)
{
    const char *prefix = apply->refs.items[repository].prefix;
    for (size_t i = 0; i < apply->count; i++) {
        const char *path = apply->items[i].path;
        if (apply->items[i].repository == repository && strcmp(apply->items[i].to, "HEAD") == 0 &&
            strncmp(path + strlen(prefix), head->folder, strlen(head->folder)) == 0 &&
            strcmp(path + strlen(prefix) + strlen(head->folder), "HEAD") == 0)
            return &apply->items[i];
    }
    return NULL;
}

/* A HEAD whose commit is another one afterwards. */
static int plan_move(struct git_apply *apply, size_t repository, const struct git_head *head,
                     struct err *err)
{
    struct git_item *item = item_of_head(apply, repository, head);
    const char *of_run;
    struct git_move move = { .repository = repository,
                             .head = head,
                             .work = work_of(apply, repository, head),
                             .at = item && item->fate == FATE_TAKEN ? item : NULL };
    if (!move.work)
        return 0;
    const struct git_value *after = move.at ? &head->run : &head->host;
    int r = commit_now(apply, repository, &head->host, &move.old, err);
    if (r == 0)
        r = look_ahead(apply, repository, after, false, &move.new, err);
    if (r == 0)
        r = look_ahead(apply, repository, after, true, &of_run, err);
    if (r < 0)
        return r;
    if (move.at && (!move.new[0] || (of_run[0] && strcmp(move.new, of_run) != 0))) {
        item->fate = apply->options.strategy == APPLY_OURS ? FATE_KEPT : FATE_CONFLICT;
        item->why = branch_stays;
        return 0;
    }
    if (!move.at && strcmp(move.old, move.new) == 0)
        return 0;
    apply->moves[apply->move_count++] = move;
    return 0;
}

/* --- the whole ----------------------------------------------------------------------------- */

/* Nothing is known of what the run did there, so nothing of it may be thought to be done. */
static int hold_unread(struct git_apply *apply, size_t repository, struct err *err)
{
    struct git_item new = { .path = git_items_join(apply, apply->refs.items[repository].prefix,
                                                   "reftable", ""),
                            .to = "",
                            .type = CHANGE_MODIFIED,
                            .repository = repository };
    struct git_item *item = git_items_add(apply, &new, err);
    if (item)
        hold(apply, item, "git-ref", unread, true);
    return item ? 0 : -ENOMEM;
}

static int decide_repository(struct git_apply *apply, size_t repository, struct err *err)
{
    const struct git_repository_changes *changes = &apply->refs.items[repository];
    int r = 0;
    if (changes->is_unread)
        return hold_unread(apply, repository, err);
    for (size_t i = 0; i < changes->ref_count && r == 0; i++)
        r = decide_ref(apply, repository, &changes->refs[i], err);
    for (size_t i = 0; i < changes->head_count && r == 0; i++)
        r = decide_head(apply, repository, &changes->heads[i], err);
    return r;
}

int git_decide(struct git_apply *apply, struct err *err)
{
    size_t heads = 0;
    int r = 0;
    for (size_t i = 0; i < apply->refs.count && r == 0; i++) {
        heads += apply->refs.items[i].head_count;
        r = apply->options.prefix ? git_decide_beside(apply, i, err)
                                  : decide_repository(apply, i, err);
    }
    apply->moves = calloc(heads + 1, sizeof(*apply->moves));
    if (r == 0 && !apply->moves)
        return no_memory(err);
    for (size_t i = 0; i < apply->refs.count && r == 0 && apply->options.heads; i++)
        for (size_t j = 0; j < apply->refs.items[i].head_count && r == 0; j++)
            r = plan_move(apply, i, &apply->refs.items[i].heads[j], err);
    return r;
}
