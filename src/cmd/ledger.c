/* ledger: the verbs that verify what happened, and prove it to others. */
#include "cmd/ledger.h"

#include "authority/key.h"
#include "base/file.h"
#include "base/place.h"
#include "cmd/tell.h"
#include "ledger/proof.h"

#define INPUT_BYTES_MAX ((size_t)8 << 20) /* of a checkpoint or a proof */

int ledger_verb_open(const char *state, struct ledger **ret, struct err *err)
{
    char folder[PLACE_SIZE];
    if (state)
        return ledger_open(state, LEDGER_READ, ret, err);
    int r = place_state(folder, sizeof(folder), err);
    return r < 0 ? r : ledger_open(folder, LEDGER_READ, ret, err);
}

/* --- keys ---------------------------------------------------------------------------------- */

static void cleanup_key(struct sign_key **key)
{
    sign_key_free(*key);
}

static int open_key(const char *reference, struct sign_key **ret, struct err *err)
{
    char config[PLACE_SIZE];
    if (reference)
        return key_open(reference, ret, err);
    int r = place_config(config, sizeof(config), err);
    return r < 0 ? r : key_open_user(config, ret, err);
}

int ledger_verb_key(const char *given, struct sign_public *ret, struct err *err)
{
    char config[PLACE_SIZE], path[PLACE_SIZE + sizeof(KEY_PUBLIC_FILE)];
    struct err why = { 0 };
    if (given)
        return key_open_public(given, ret, err);
    int r = place_config(config, sizeof(config), &why);
    if (r == 0) {
        snprintf(path, sizeof(path), "%s/" KEY_PUBLIC_FILE, config);
        r = key_open_public(path, ret, &why);
    }
    return r == 0 ? 0
                  : err_set(err, ERR_USAGE, "open a key",
                            "there is no key of yours here (%s); name the signer's with --key",
                            why.cause);
}

static void put(const struct buf *out)
{
    fwrite(out->data, 1, out->len, stdout);
}

/* --- verify -------------------------------------------------------------------------------- */

enum { VERIFY_AGAINST, VERIFY_KEY, VERIFY_STATE, VERIFY_JSON, VERIFY_COUNT };

static const struct option_row verify_options[VERIFY_COUNT] = {
    [VERIFY_AGAINST] = { "against", 'a', "FILE", "also hold it against an earlier checkpoint" },
    [VERIFY_KEY] = { "key", 'k', "KEY", "the public key of that checkpoint (your own)" },
    [VERIFY_STATE] = STATE_OPTION,
    [VERIFY_JSON] = { "json", 'j', NULL, "print a JSON object" },
};

struct verified {
    struct tree_head head, against;
    bool has_against;
    int64_t events;
    uint64_t bytes;
};

static int read_against(const struct invocation *invocation, struct verified *verified,
                        struct err *err)
{
    const char *path = invocation->values[VERIFY_AGAINST];
    _cleanup_(buf_release) struct buf note = BUF_INIT_LIMIT(INPUT_BYTES_MAX);
    struct sign_public key;
    if (!path)
        return 0;
    int r = ledger_verb_key(invocation->values[VERIFY_KEY], &key, err);
    if (r == 0)
        r = file_read(path, &note, err);
    if (r < 0)
        return r;
    r = proof_read_checkpoint(buf_str(&note), &key, &verified->against, err);
    if (r < 0)
        err_where(err, "%s", path);
    verified->has_against = r == 0;
    return r;
}

static void print_verified(const struct verified *verified)
{
    printf("%sledger %s is whole%s\n", tell_colour(stdout, COLOUR_GOOD), verified->head.ledger,
           tell_colour_end(stdout));
    printf("%lld events, %.1f MB: every digest, the chain, the tree\n", (long long)verified->events,
           (double)verified->bytes / 1e6);
    if (verified->has_against)
        printf("it continues the checkpoint of %lld events\n", (long long)verified->against.size);
}

/* A fault is an answer, too: programs read it where they read the other one. */
static void print_verified_json(const struct verified *verified, const struct err *fault)
{
    _cleanup_(buf_release) struct buf out = BUF_INIT;
    buf_addf(&out, "{\"ledger\":\"%s\",\"valid\":%s", verified->head.ledger,
             fault ? "false" : "true");
    if (!fault)
        buf_addf(&out, ",\"events\":%lld,\"bytes\":%llu", (long long)verified->events,
                 (unsigned long long)verified->bytes);
    if (!fault && verified->has_against)
        buf_addf(&out, ",\"againstEvents\":%lld", (long long)verified->against.size);
    if (fault) {
        buf_add_text(&out, ",\"where\":");
        json_add_string(&out, str_from(fault->where));
        buf_add_text(&out, ",\"fault\":");
        json_add_string(&out, str_from(fault->cause));
    }
    buf_add_text(&out, "}\n");
    put(&out);
}

static int run_verify(const struct invocation *invocation)
{
    _cleanup_(cleanup_ledger) struct ledger *ledger = NULL;
    struct verified verified = { 0 };
    struct err err = { 0 };
    int r = read_against(invocation, &verified, &err);
    if (r == 0)
        r = ledger_verb_open(invocation->values[VERIFY_STATE], &ledger, &err);
    if (r == 0)
        r = proof_tree_head(ledger, &verified.head, &err);
    if (r == 0)
        r = proof_verify(ledger, verified.has_against ? &verified.against : NULL, &verified.events,
                         &verified.bytes, &err);
    if (invocation->values[VERIFY_JSON] && (r == 0 || err.code == ERR_DAMAGED)) {
        print_verified_json(&verified, r < 0 ? &err : NULL);
        return r < 0 ? EXIT_NEGATIVE : EXIT_OK;
    }
    if (r < 0)
        return tell_error(invocation, &err);
    print_verified(&verified);
    return EXIT_OK;
}

/* --- checkpoint ---------------------------------------------------------------------------- */

enum { SIGN_KEY, SIGN_STATE, SIGN_JSON, CHECKPOINT_COUNT };

static const struct option_row checkpoint_options[CHECKPOINT_COUNT] = {
    [SIGN_KEY] = { "key", 'k', "KEY", "the key to sign with (your own)" },
    [SIGN_STATE] = STATE_OPTION,
    [SIGN_JSON] = { "json", 'j', NULL, "print a JSON object around it" },
};

static int run_checkpoint(const struct invocation *invocation)
{
    _cleanup_(cleanup_ledger) struct ledger *ledger = NULL;
    _cleanup_(cleanup_key) struct sign_key *key = NULL;
    _cleanup_(buf_release) struct buf note = BUF_INIT, out = BUF_INIT;
    struct sign_public public;
    struct tree_head head;
    struct err err = { 0 };
    int r = open_key(invocation->values[SIGN_KEY], &key, &err);
    if (r == 0)
        r = ledger_verb_open(invocation->values[SIGN_STATE], &ledger, &err);
    if (r == 0)
        r = proof_checkpoint(ledger, key, &note, &err);
    if (r < 0)
        return tell_error(invocation, &err);
    if (!invocation->values[SIGN_JSON]) {
        put(&note);
        return EXIT_OK;
    }
    sign_key_public(key, &public);
    if (proof_read_checkpoint(buf_str(&note), &public, &head, &err) < 0)
        return tell_error(invocation, &err);
    buf_addf(&out, "{\"ledger\":\"%s\",\"events\":%lld,\"checkpoint\":", head.ledger,
             (long long)head.size);
    json_add_string(&out, buf_str(&note));
    buf_add_text(&out, "}\n");
    put(&out);
    return EXIT_OK;
}

/* --- prove --------------------------------------------------------------------------------- */

enum { PROVE_FROM, PROVE_TO, PROVE_KEY, PROVE_STATE, PROVE_COUNT };

static const struct option_row prove_options[PROVE_COUNT] = {
    [PROVE_FROM] = { "from", 'f', "N",
                     "prove that the ledger of the first N events was continued" },
    [PROVE_TO] = { "to", 't', "N", "up to which size (what it is now)" },
    [PROVE_KEY] = { "key", 'k', "KEY", "the key to sign with (your own)" },
    [PROVE_STATE] = STATE_OPTION,
};

static bool read_number(const char *text, int64_t *ret)
{
    char *end;
    errno = 0;
    long long number = strtoll(text, &end, 10);
    if (errno || *end || end == text || number < 0)
        return false;
    *ret = number;
    return true;
}

static int prove(const struct invocation *invocation, int64_t from, int64_t to, struct buf *ret,
                 struct err *err)
{
    _cleanup_(cleanup_ledger) struct ledger *ledger = NULL;
    _cleanup_(cleanup_key) struct sign_key *key = NULL;
    int r = open_key(invocation->values[PROVE_KEY], &key, err);
    if (r == 0)
        r = ledger_verb_open(invocation->values[PROVE_STATE], &ledger, err);
    if (r < 0)
        return r;
    if (invocation->operand_count)
        return proof_inclusion(ledger, str_from(invocation->operands[0]), key, ret, err);
    return proof_consistency(ledger, from, to, key, ret, err);
}

static int run_prove(const struct invocation *invocation)
{
    const char *from_text = invocation->values[PROVE_FROM], *to_text = invocation->values[PROVE_TO];
    _cleanup_(buf_release) struct buf proof = BUF_INIT;
    struct err err = { 0 };
    int64_t from = 0, to = -1;
    if ((invocation->operand_count == 0) == !from_text || (to_text && !from_text))
        return tell_usage(invocation->path, "name an event, or --from and perhaps --to");
    if ((from_text && !read_number(from_text, &from)) || (to_text && !read_number(to_text, &to)))
        return tell_usage(invocation->path, "--from and --to take numbers of events");
    if (prove(invocation, from, to, &proof, &err) < 0)
        return tell_error(invocation, &err);
    buf_add_char(&proof, '\n');
    put(&proof);
    return EXIT_OK;
}

/* --- check-proof --------------------------------------------------------------------------- */

enum { CHECK_KEY, CHECK_JSON, CHECK_COUNT };

static const struct option_row check_options[CHECK_COUNT] = {
    [CHECK_KEY] = { "key", 'k', "KEY", "the public key: ed25519:…, or a file that holds it" },
    [CHECK_JSON] = { "json", 'j', NULL, "print a JSON object" },
};

static int run_check_proof(const struct invocation *invocation)
{
    _cleanup_(buf_release) struct buf proof = BUF_INIT_LIMIT(INPUT_BYTES_MAX);
    struct sign_public key;
    struct err err = { 0 };
    int r = ledger_verb_key(invocation->values[CHECK_KEY], &key, &err);
    if (r == 0)
        r = file_read(invocation->operands[0], &proof, &err);
    if (r == 0)
        r = proof_check(buf_str(&proof), &key, &err);
    bool answered = r == 0 || err.code == ERR_DAMAGED || err.code == ERR_DENIED;
    if (invocation->values[CHECK_JSON] && answered) {
        _cleanup_(buf_release) struct buf out = BUF_INIT;
        buf_addf(&out, "{\"valid\":%s", r < 0 ? "false,\"fault\":" : "true");
        if (r < 0)
            json_add_string(&out, str_from(err.cause));
        buf_add_text(&out, "}\n");
        put(&out);
        return r < 0 ? err_exit_status(err.code) : EXIT_OK;
    }
    if (r < 0)
        return tell_error(invocation, &err);
    puts("the proof holds");
    return EXIT_OK;
}

/* --- the table ----------------------------------------------------------------------------- */

static const struct verb verbs[] = {
    {
        .name = "verify",
        .summary = "Check that nothing in the ledger was changed",
        .description =
            "Reads every event and checks its digest, the chain, the Merkle tree, and that each "
            "operation's events are all found. What was changed, removed, inserted, reordered or "
            "cut off is named by its sequence.\n\n"
            "Who may write the ledger could rewrite all of it consistently, or cut it short. "
            "Against a checkpoint that was kept elsewhere (`ledger checkpoint`), that is found, "
            "too. The exit status is 0 if all is whole, 1 if not.",
        .options = verify_options,
        .option_count = VERIFY_COUNT,
        .run = run_verify,
    },
    {
        .name = "checkpoint",
        .summary = "Print a signed checkpoint of the ledger",
        .description =
            "Prints the ledger's name, its number of events and the root of its Merkle tree, "
            "signed "
            "with your key, as a C2SP signed note. Keep it where the ledger's machine cannot reach "
            "it: `ledger verify --against` then shows whether the ledger still holds all that it "
            "held.",
        .options = checkpoint_options,
        .option_count = CHECKPOINT_COUNT,
        .run = run_checkpoint,
    },
    {
        .name = "prove",
        .operands = "[EVENT]",
        .operands_max = 1,
        .summary = "Prove an event, or that the ledger only grew",
        .description =
            "Prints a proof that can be checked with nothing but itself and your public key: that "
            "an event (named by its id or its sequence) is in the ledger; or, with --from, that "
            "the "
            "ledger of some size continues the one of an earlier size.",
        .options = prove_options,
        .option_count = PROVE_COUNT,
        .run = run_prove,
    },
    {
        .name = "check-proof",
        .operands = "FILE",
        .operand_kind = OPERAND_FILE,
        .operands_min = 1,
        .operands_max = 1,
        .summary = "Check a proof",
        .description = "Checks a proof that `ledger prove` printed, without any ledger. The exit "
                       "status is 0 if it holds, 1 if it does not, 77 if another key signed it.",
        .options = check_options,
        .option_count = CHECK_COUNT,
        .run = run_check_proof,
    },
    {
        .name = "export",
        .summary = "Print every event, one to a line",
        .description = "Prints the events in their order as JSON Lines, each in the canonical form "
                       "that its digest is made of.",
        .options = ledger_export_options,
        .option_count = LEDGER_EXPORT_OPTION_COUNT,
        .run = run_ledger_export,
    },
    {
        .name = "tail",
        .summary = "Print the newest events, and wait for more",
        .description = "Prints the newest events, one line each: sequence, time, operation, type "
                       "and what happened.",
        .options = ledger_tail_options,
        .option_count = LEDGER_TAIL_OPTION_COUNT,
        .run = run_ledger_tail,
    },
};

const struct verb verb_ledger = {
    .name = "ledger",
    .summary = "Verify, prove and read what happened",
    .description = "The ledger: what happened, in order, each event holding the digest of the one "
                   "before it, all of them the leaves of a Merkle tree.",
    .verbs = verbs,
    .verb_count = ARRAY_LEN(verbs),
};
