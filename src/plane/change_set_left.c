/*
 * change_set_left: the change set of a run whose supervisor was killed.
 *
 * What it wrote is in its layers, since its overlay is no process's; what was staged, its
 * fingerprint says, which was durable before the command began. The sandbox ended with its
 * supervisor: the kernel kills its first process, and with that all others. A file that one of them
 * would still have written afterwards has not the digest that is taken here, and is not applied.
 *
 * An overlay of ours syncs nothing until its run ends. After the host itself went down (another
 * boot) nobody can say what of it reached the disk: then it is not offered to be applied. `status`
 * and `export` show what is there.
 */
#include "base/json.h"
#include "contract/rules.h"
#include "machine/held.h"
#include "machine/run_folder.h"
#include "machine/worktree.h"
#include "plane/change_set.h"

#define LAYER_SIZE (RUN_FOLDER_SIZE + 32)

void change_sum_add_digest(struct change_sum *sum, const char digest[DIGEST_TEXT_SIZE])
{
    memcpy(sum->digest, digest, sizeof(sum->digest));
    buf_addf(&sum->digests, "%s\n", digest);
    sum->lists++;
}

void change_sum_add(struct change_sum *sum, const struct changes *changes)
{
    for (size_t type = 0; type < CHANGE_TYPE_COUNT; type++)
        sum->changed[type] += changes->counts[type];
    sum->held += held_count(changes);
    sum->bytes += changes->bytes;
    if (changes->count)
        change_sum_add_digest(sum, changes->digest);
}

int change_sum_end(struct change_sum *sum, struct err *err)
{
    int r = sum->lists > 1 ? digest_text(buf_str(&sum->digests), sum->digest, err) : 0;
    buf_release(&sum->digests);
    return r;
}

static int read_layers(const char *folder, const yyjson_val *fingerprint, struct change_sum *sum,
                       struct err *err)
{
    yyjson_val *mounts = (yyjson_val *)member(fingerprint, "mounts"), *mount;
    char layer[LAYER_SIZE], host[WORKTREE_PATH_SIZE];
    size_t i, count;
    int r = 0;
    if (!mounts)
        return 0;
    yyjson_arr_foreach(mounts, i, count, mount)
    {
        struct changes changes;
        if (!text_is(member(mount, "semantics"), "staged"))
            continue;
        snprintf(layer, sizeof(layer), "%s/%zu", folder, i);
        snprintf(host, sizeof(host), "%.*s", STR_ARG(text_of(member(mount, "hostPath"))));
        r = worktree_keep_left(layer, host, yyjson_is_true(member(mount, "secretsProhibited")),
                               &changes, err);
        if (r < 0)
            return r;
        change_sum_add(sum, &changes);
        changes_release(&changes);
    }
    return 0;
}

static int read_left(struct work *work, struct change_sum *sum, struct err *err)
{
    _cleanup_(buf_release) struct buf text = BUF_INIT;
    _cleanup_(cleanup_json_doc) yyjson_doc *doc = NULL;
    struct str name = urn_local(work_operation(work));
    char urn[PLANE_URN_MAX], folder[RUN_FOLDER_SIZE];
    int64_t revision;
    urn_make("agent-machine-fingerprint", name, urn);
    if (!run_folder_path(work->plane->options.state_folder, name, folder))
        return 0;
    int r = ledger_get_document(work->plane->ledger, str_from(urn), &text, &revision, err);
    if (r == 0)
        r = json_read(buf_str(&text), &json_limits_default, &doc, err);
    return r < 0 ? r : read_layers(folder, yyjson_doc_get_root(doc), sum, err);
}

int change_set_add_left(struct work *work, struct err *err)
{
    struct change_sum sum = CHANGE_SUM_INIT;
    struct holder holder = work_holder(work);
    struct err unread = { 0 };
    char urn[PLANE_URN_MAX];
    bool same_boot = strcmp(holder.boot_id, work->plane->self.boot_id) == 0;
    int r = same_boot ? read_left(work, &sum, &unread) : 0;
    int ended = change_sum_end(&sum, err);
    if (r == -ENOMEM || ended < 0)
        return r < 0 ? err_set(err, ERR_MEMORY, unread.step, "%s", unread.cause) : ended;
    if (r < 0 || !sum.lists)
        return 0;
    urn_make("change-set", urn_local(work_operation(work)), urn);
    return change_set_add(work, str_from(urn), &sum, err);
}
