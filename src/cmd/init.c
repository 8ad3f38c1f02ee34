/* init: the user's key, ledger and personal profile, made where they are missing. */
#include "authority/key.h"
#include "base/json.h"
#include "cmd/first.h"
#include "cmd/op.h"
#include "cmd/tell.h"
#include "plane/profile.h"

enum { OPTION_JSON };

static const struct option_row options[] = {
    [OPTION_JSON] = { "json", 'j', NULL, "print a JSON object" },
};

/* What is said of it. */
struct made {
    struct first first;
    char user[KEY_USER_TEXT_MAX], public[SIGN_PUBLIC_TEXT_MAX];
};

/* Shows that the key is the user's and can be used, before anything is signed with it. */
static int read_key(const char *config, struct made *made, bool *ret_new, struct err *err)
{
    struct sign_key *key;
    struct sign_public public;
    int r = key_init(config, ret_new, err);
    if (r == 0)
        r = key_open_user(config, &key, err);
    if (r < 0)
        return r;
    sign_key_public(key, &public);
    sign_key_free(key);
    key_user(made->user);
    return sign_public_text(&public, made->public) < 0
               ? err_set(err, ERR_MEMORY, "initialise", "there is not enough memory")
               : 0;
}

static int make(struct made *ret, struct err *err)
{
    static const struct plane_options nothing_plugged_in;
    _cleanup_(cleanup_plane) struct plane *plane = NULL;
    char config[PLACE_SIZE];
    bool config_made = false, key_made = false;
    int r = place_config(config, sizeof(config), err);
    if (r == 0) {
        config_made = access(config, F_OK) < 0;
        r = read_key(config, ret, &key_made, err);
    }
    if (r == 0)
        r = first_open(&nothing_plugged_in, &ret->first, &plane, err);
    ret->first.config_made = config_made;
    ret->first.key_made = key_made;
    return r;
}

static void print_json(const struct made *made)
{
    const struct {
        const char *name;
        bool made;
    } parts[] = { { "configFolder", made->first.config_made },
                  { "key", made->first.key_made },
                  { "stateFolder", made->first.state_made },
                  { "ledger", made->first.ledger_made },
                  { "profile", made->first.profile_made } };
    struct buf out = BUF_INIT;
    buf_add_text(&out, "{\"user\":");
    json_add_string(&out, str_from(made->user));
    buf_addf(&out, ",\"publicKey\":\"%s\",\"configFolder\":", made->public);
    json_add_string(&out, str_from(made->first.config));
    buf_add_text(&out, ",\"stateFolder\":");
    json_add_string(&out, str_from(made->first.state));
    buf_add_text(&out, ",\"profile\":\"" PROFILE_PERSONAL "\",\"made\":[");
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
    print_row("key", made->first.key_made, made->first.config, "/" KEY_FILE);
    print_row("ledger", made->first.ledger_made, made->first.state, "");
    print_row("profile", made->first.profile_made, "personal", "");
    printf("you are %s\nyour public key is %s\n", made->user, made->public);
}

static int run_init(const struct invocation *invocation)
{
    struct made made = { 0 };
    struct err err = { 0 };
    if (make(&made, &err) < 0)
        return tell_error(invocation, &err);
    if (invocation->values[OPTION_JSON])
        print_json(&made);
    else
        print_words(&made);
    return EXIT_OK;
}

const struct verb verb_init = {
    .name = "init",
    .summary = "Make your key, your ledger and your profile",
    .description =
        "Makes the Ed25519 key with which you delegate (key.pem, which nobody else can read, and "
        "its public half key.pub) in the configuration folder, the ledger in the state folder, "
        "and in it the profile `personal`, as a recorded operation. What is there already stays "
        "as it is, so that this can be run at any time; the first run does it by itself.\n\n"
        "The folders are agent-machine below XDG_CONFIG_HOME (~/.config) and XDG_STATE_HOME "
        "(~/.local/state).",
    .options = options,
    .option_count = ARRAY_LEN(options),
    .run = run_init,
};
