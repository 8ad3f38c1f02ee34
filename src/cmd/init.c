/* init: the user's key and ledger, made where they are missing. */
#include "authority/key.h"
#include "base/buf.h"
#include "base/place.h"
#include "cmd/tell.h"
#include "cmd/verb.h"
#include "ledger/ledger.h"

enum { OPTION_JSON };

static const struct option_row options[] = {
    [OPTION_JSON] = { "json", 'j', NULL, "print a JSON object" },
};

/* What there is afterwards, and which of it is new. */
struct made {
    char config[PLACE_SIZE], state[PLACE_SIZE];
    char user[KEY_USER_TEXT_MAX], public[SIGN_PUBLIC_TEXT_MAX];
    bool config_made, key_made, state_made, ledger_made;
};

/* A ledger is never empty of bytes, so that one which opens for reading was there. */
static int make_ledger(struct made *made, struct err *err)
{
    struct ledger *ledger;
    struct err missing = { 0 };
    made->state_made = access(made->state, F_OK) < 0;
    int r = ledger_open(made->state, LEDGER_READ, &ledger, &missing);
    if (r == 0) {
        ledger_close(ledger);
        return 0;
    }
    if (missing.code != ERR_NOT_FOUND) {
        if (err)
            *err = missing;
        return r;
    }
    r = ledger_open(made->state, LEDGER_CREATE, &ledger, err);
    if (r < 0)
        return r;
    ledger_close(ledger);
    made->ledger_made = true;
    return 0;
}

static int make_key(struct made *made, struct err *err)
{
    struct sign_key *key;
    struct sign_public public;
    made->config_made = access(made->config, F_OK) < 0;
    int r = key_init(made->config, &made->key_made, err);
    if (r == 0)
        r = key_open_user(made->config, &key, err);
    if (r < 0)
        return r;
    sign_key_public(key, &public);
    sign_key_free(key);
    return sign_public_text(&public, made->public) < 0
               ? err_set(err, ERR_MEMORY, "initialise", "there is not enough memory")
               : 0;
}

static void print_json(const struct made *made)
{
    const struct {
        const char *name;
        bool made;
    } parts[] = { { "configFolder", made->config_made },
                  { "key", made->key_made },
                  { "stateFolder", made->state_made },
                  { "ledger", made->ledger_made } };
    struct buf out = BUF_INIT;
    buf_add_text(&out, "{\"user\":");
    json_add_string(&out, str_from(made->user));
    buf_addf(&out, ",\"publicKey\":\"%s\",\"configFolder\":", made->public);
    json_add_string(&out, str_from(made->config));
    buf_add_text(&out, ",\"stateFolder\":");
    json_add_string(&out, str_from(made->state));
    buf_add_text(&out, ",\"made\":[");
    for (size_t i = 0, count = 0; i < ARRAY_LEN(parts); i++)
        if (parts[i].made)
            buf_addf(&out, "%s\"%s\"", count++ ? "," : "", parts[i].name);
    buf_add_text(&out, "]}");
    puts(out.data);
    buf_release(&out);
}

static void print_row(const char *what, bool is_new, const char *folder, const char *name)
{
    printf("%-7s %-13s ", what, is_new ? "made" : "was there");
    tell_text(stdout, folder);
    printf("%s\n", name);
}

static void print_words(const struct made *made)
{
    print_row("key", made->key_made, made->config, "/" KEY_FILE);
    print_row("ledger", made->ledger_made, made->state, "");
    printf("you are %s\nyour public key is %s\n", made->user, made->public);
}

static int run_init(const struct invocation *invocation)
{
    struct made made = { 0 };
    struct err err = { 0 };
    int r = place_config(made.config, sizeof(made.config), &err);
    if (r == 0)
        r = place_state(made.state, sizeof(made.state), &err);
    if (r == 0)
        r = make_key(&made, &err);
    if (r == 0)
        r = make_ledger(&made, &err);
    if (r < 0)
        return tell_error(invocation, &err);
    key_user(made.user);
    if (invocation->values[OPTION_JSON])
        print_json(&made);
    else
        print_words(&made);
    return EXIT_OK;
}

const struct verb verb_init = {
    .name = "init",
    .summary = "Make your key and your ledger",
    .description =
        "Makes the Ed25519 key with which you delegate (key.pem, which nobody else can read, and "
        "its public half key.pub) in the configuration folder, and the ledger in the state folder. "
        "What is there already stays as it is, so that this can be run at any time.\n\n"
        "The folders are agent-machine below XDG_CONFIG_HOME (~/.config) and XDG_STATE_HOME "
        "(~/.local/state).",
    .options = options,
    .option_count = ARRAY_LEN(options),
    .run = run_init,
};
