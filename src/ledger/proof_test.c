#include "ledger/proof.h"

#include "base/json.h"
#include "ledger/testing.h"

struct keys {
    struct sign_key *key, *other;
    struct sign_public public, other_public;
};

static struct keys make_keys(void)
{
    struct keys keys = { 0 };
    struct err err = { 0 };
    CHECK_OK(sign_key_generate(&keys.key, &err));
    CHECK_OK(sign_key_generate(&keys.other, &err));
    sign_key_public(keys.key, &keys.public);
    sign_key_public(keys.other, &keys.other_public);
    return keys;
}

static void free_keys(struct keys *keys)
{
    sign_key_free(keys->key);
    sign_key_free(keys->other);
}

/* The proof with one member's text replaced. */
static int check_changed(const struct buf *proof, const char *from, const char *to,
                         const struct sign_public *key, struct err *err)
{
    struct buf changed = BUF_INIT;
    char *at = memmem(proof->data, proof->len, from, strlen(from));
    CHECK(at);
    buf_add(&changed, proof->data, at ? (size_t)(at - proof->data) : 0);
    buf_add_text(&changed, to);
    buf_add_text(&changed, at ? at + strlen(from) : "");
    int r = proof_check(buf_str(&changed), key, err);
    buf_release(&changed);
    return r;
}

TEST(checkpoint_names_the_ledger_its_size_and_its_root)
{
    struct folder folder = folder_make();
    struct keys keys = make_keys();
    struct err err = { 0 };
    struct ledger *ledger = ledger_of(&folder, LEDGER_CREATE);
    for (int size = 0; size <= 300; size += 100) {
        struct buf note = BUF_INIT;
        struct tree_head head, read = { 0 };
        char origin[128];
        CHECK_OK(proof_tree_head(ledger, &head, &err));
        CHECK_INT(head.size, size);
        CHECK_OK(proof_checkpoint(ledger, keys.key, &note, &err));
        snprintf(origin, sizeof(origin), "agent-machine/ledger/%s\n%d\n", head.ledger, size);
        CHECK(str_starts(buf_str(&note), str_from(origin)));
        CHECK_OK(proof_read_checkpoint(buf_str(&note), &keys.public, &read, &err));
        CHECK_INT(read.size, size);
        CHECK(memcmp(read.root, head.root, sizeof(head.root)) == 0);
        CHECK_TEXT(read.ledger, head.ledger);
        CHECK_INT(proof_read_checkpoint(buf_str(&note), &keys.other_public, &read, &err), -EACCES);
        buf_release(&note);
        fill_ledger(ledger, 100);
    }
    ledger_close(ledger);
    free_keys(&keys);
    folder_remove(&folder);
}

TEST(event_is_proven_by_key_and_proof_alone)
{
    struct folder folder = folder_make();
    struct keys keys = make_keys();
    struct err err = { 0 };
    struct ledger *ledger = ledger_of(&folder, LEDGER_CREATE);
    fill_ledger(ledger, 777); /* three whole subtrees and a part */
    for (int i = 0; i < 777; i += i < 20 || (i > 250 && i < 260) || i > 760 ? 1 : 97) {
        struct buf proof = BUF_INIT;
        char name[64];
        snprintf(name, sizeof(name), i % 2 ? "%d" : "urn:srcos:operation-event:filled-%d", i);
        CHECK_OK(proof_inclusion(ledger, str_from(name), keys.key, &proof, &err));
        CHECK_OK(proof_check(buf_str(&proof), &keys.public, &err));
        CHECK_INT(proof_check(buf_str(&proof), &keys.other_public, &err), -EACCES);
        CHECK_INT(check_changed(&proof, "progress", "complete", &keys.public, &err), -EBADF);
        CHECK_INT(err.code, ERR_DAMAGED);
        CHECK_INT(check_changed(&proof, "\\n777\\n", "\\n778\\n", &keys.public, &err), -EACCES);
        buf_release(&proof);
    }
    struct buf none = BUF_INIT;
    CHECK_INT(proof_inclusion(ledger, STR("777"), keys.key, &none, &err), -ENOENT);
    CHECK_INT(proof_inclusion(ledger, STR("filled-1"), keys.key, &none, &err), -ENOENT);
    CHECK_INT(none.len, 0);
    buf_release(&none);
    ledger_close(ledger);
    free_keys(&keys);
    folder_remove(&folder);
}

TEST(growth_is_proven_by_two_checkpoints_and_a_path)
{
    struct folder folder = folder_make();
    struct keys keys = make_keys();
    struct err err = { 0 };
    struct ledger *ledger = ledger_of(&folder, LEDGER_CREATE);
    static const int sizes[] = { 1, 2, 3, 64, 255, 256, 257, 511, 512, 600, 601 };
    struct buf proof = BUF_INIT;
    fill_ledger(ledger, 601);
    for (size_t i = 0; i < ARRAY_LEN(sizes); i++) {
        for (size_t j = i; j < ARRAY_LEN(sizes); j++) {
            buf_reset(&proof);
            CHECK_OK(proof_consistency(ledger, sizes[i], sizes[j], keys.key, &proof, &err));
            CHECK_OK(proof_check(buf_str(&proof), &keys.public, &err));
            CHECK_INT(proof_check(buf_str(&proof), &keys.other_public, &err), -EACCES);
        }
    }
    buf_reset(&proof);
    CHECK_OK(proof_consistency(ledger, 100, -1, keys.key, &proof, &err));
    CHECK_OK(proof_check(buf_str(&proof), &keys.public, &err));
    CHECK_INT(proof_consistency(ledger, 0, 5, keys.key, &proof, &err), -ENOENT);
    CHECK_INT(proof_consistency(ledger, 6, 5, keys.key, &proof, &err), -ENOENT);
    CHECK_INT(proof_consistency(ledger, 6, 602, keys.key, &proof, &err), -ENOENT);
    buf_release(&proof);
    ledger_close(ledger);
    free_keys(&keys);
    folder_remove(&folder);
}

/* A ledger that was begun anew with other events: its checkpoint does not continue the old one. */
TEST(two_histories_are_told_apart)
{
    struct folder one = folder_make(), two = folder_make();
    struct keys keys = make_keys();
    struct err err = { 0 };
    struct ledger *first = ledger_of(&one, LEDGER_CREATE), *second = ledger_of(&two, LEDGER_CREATE);
    struct buf proof = BUF_INIT, other = BUF_INIT, note = BUF_INIT, quoted = BUF_INIT;
    fill_ledger(first, 20);
    CHECK_OK(commit_event(second, "another", "", NULL, &err));
    fill_ledger(second, 29);
    CHECK_OK(proof_consistency(first, 10, 20, keys.key, &proof, &err));
    CHECK_OK(proof_checkpoint(second, keys.key, &note, &err));
    /* The second ledger's checkpoint in place of the later one. */
    yyjson_doc *doc = yyjson_read(proof.data, proof.len, 0);
    yyjson_mut_doc *changed = yyjson_doc_mut_copy(doc, NULL);
    yyjson_mut_val *root = yyjson_mut_doc_get_root(changed);
    yyjson_mut_obj_remove_key(root, "to");
    yyjson_mut_obj_add_str(changed, root, "to", note.data);
    size_t len;
    char *text = yyjson_mut_write(changed, 0, &len);
    CHECK_INT(proof_check(str_make(text, len), &keys.public, &err), -EBADF);
    free(text);
    yyjson_mut_doc_free(changed);
    yyjson_doc_free(doc);
    buf_release(&proof);
    buf_release(&other);
    buf_release(&note);
    buf_release(&quoted);
    ledger_close(first);
    ledger_close(second);
    free_keys(&keys);
    folder_remove(&one);
    folder_remove(&two);
}

TEST(proof_that_is_none_is_refused)
{
    static const char *const rows[] = {
        "",
        "[]",
        "{}",
        "{\"kind\":7}",
        "{\"kind\":\"agent-machine/ledger-inclusion\"}",
        "{\"kind\":\"agent-machine/ledger-inclusion\",\"event\":{\"sequence\":-1}}",
        "{\"kind\":\"agent-machine/ledger-inclusion\",\"event\":{\"sequence\":1},\"checkpoint\":1}",
        "{\"kind\":\"agent-machine/ledger-consistency\",\"from\":\"x\",\"to\":\"y\",\"path\":[]}",
    };
    struct keys keys = make_keys();
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        struct err err = { 0 };
        CHECK(proof_check(str_from(rows[i]), &keys.public, &err) < 0);
        CHECK(err.code == ERR_DOCUMENT || err.code == ERR_SYNTAX);
    }
    free_keys(&keys);
}
