/*
 * rules_carry: the checks of what a carried document may say.
 *
 * Theory of operation. Carried documents refer to models and services and
 * confer nothing. Their schemas have no field for authority over a lifecycle
 * or for tuning without consent, so what remains is checked here: that names
 * and remarks do not claim it either, that a local model stays local, that
 * digests are those of what they pin, and that fallbacks and release sets are
 * what the other documents of the set say of them.
 *
 * Names and remarks are read in one way. A text is cut into sentences, and a
 * sentence into lower-case words with a space on either side: "lifeCycle",
 * "life-cycle" and "Life cycle" are all " life cycle ", and "don't" ends in
 * " t ". Two rules look for the stems of short lists in that. A remark that
 * denies what it speaks of passes; a name cannot deny. The lists catch the
 * plain statement and no paraphrase, which is enough: free text has no effect.
 *
 * Limits: the schemas bound texts to 4,000 characters and pins to 1,000.
 */

#include "contract/catalogue.h"
#include "contract/destination.h"
#include "contract/jcs.h"
#include "contract/rules_table.h"
#include "contract/uri.h"

#define STEP "lint"

/* --- names and remarks ---------------------------------------------------------------------- */

/* Where carried documents have free text; a member's name means the same in every type. */
static const struct place {
    const char *pointer;
    bool is_name; /* else a remark for people */
} places[] = {
    { "/clientId", true },     { "/serviceId", true }, { "/function", true }, { "/action", true },
    { "/displayName", false }, { "/title", false },    { "/notes", false },
};

/* Stems: a space is a word's edge. Each list ends in NULL. */
typedef const char *const stems[];

static stems governing = { " promot",    " retir",      " deprecat", " decommission",
                           " lifecycle", " life cycle", NULL };
static stems tuning = { " tune",    " tuning",     " finetun",    " train",
                        " retrain", " personaliz", " personalis", NULL };
static stems learning = { " learn ", " learns ", NULL }; /* a name may mean a person's learning */
static stems personal = { " user",    " person ", " personal ",    " my ",    " our ",
                          " your ",   " his ",    " her ",         " mail",   " email",
                          " message", " chats ",  " conversation", " prompt", NULL };
static stems entitling = { " authori",   " authorized ", " authorised ", " allowed ", " permitted ",
                           " entitled ", " granted ",    " right to ",   " rights ",  NULL };
static stems denying = { " no ",     " not ",     " never ",     " none ",   " nothing ",
                         " nobody ", " neither ", " nor ",       " cannot ", " t ",
                         " denied ", " refused ", " forbidden ", NULL };

static bool ends_sentence(struct str text, size_t i)
{
    char c = text.ptr[i], next = i + 1 < text.len ? text.ptr[i + 1] : '\n';
    bool stops = c == '.' || c == '!' || c == '?' || c == ';';
    return c == '\n' || (stops && (next == ' ' || next == '\t' || next == '\r' || next == '\n'));
}

/* Takes the first sentence off a text and leaves its words in `words`; false at the text's end. */
static bool next_sentence(struct str *text, struct buf *words)
{
    size_t i = 0;
    bool in_word = false, after_lower = false;
    if (!text->len)
        return false;
    buf_reset(words);
    buf_add_char(words, ' ');
    for (; i < text->len && !ends_sentence(*text, i); i++) {
        char c = text->ptr[i], lower = (char)(c | ('a' - 'A'));
        bool is_letter = lower >= 'a' && lower <= 'z', is_lower = is_letter && c == lower;
        if (in_word && (!is_letter || (after_lower && !is_lower)))
            buf_add_char(words, ' ');
        if (is_letter)
            buf_add_char(words, lower);
        in_word = is_letter;
        after_lower = is_lower;
    }
    if (in_word)
        buf_add_char(words, ' ');
    *text = str_from_offset(*text, i + 1);
    return !words->error;
}

/*
 * The first word (or phrase) that has one of the stems; empty where none has. A stem's participle
 * does not count: "trained" and "retired" say how something came to be.
 */
static struct str find_stem(const char *sentence, stems list)
{
    for (size_t i = 0; list[i]; i++) {
        size_t len = strlen(list[i]);
        for (const char *hit = strstr(sentence, list[i]); hit; hit = strstr(hit + 1, list[i])) {
            const char *end = strchr(hit + len - 1, ' ');
            bool is_participle = end > hit + len && end[-2] == 'e' && end[-1] == 'd';
            if (!is_participle)
                return str_make(hit + 1, (size_t)(end - hit) - 1);
        }
    }
    return STR("");
}

static bool has_stem(const char *sentence, stems list)
{
    return find_stem(sentence, list).len > 0;
}

/* The word in a sentence with which it claims something; empty where it does not. */
typedef struct str find_claim(const char *sentence, bool is_name);

static struct str find_authority_claim(const char *sentence, bool is_name)
{
    return is_name || !has_stem(sentence, denying) ? find_stem(sentence, governing) : STR("");
}

/* Any name that speaks of tuning; a remark if it is about people's data or somebody's right. */
static struct str find_tuning_claim(const char *sentence, bool is_name)
{
    struct str word = find_stem(sentence, tuning);
    if (is_name)
        return word;
    if (has_stem(sentence, denying) ||
        !(has_stem(sentence, personal) || has_stem(sentence, entitling)))
        return STR("");
    return word.len ? word : find_stem(sentence, learning);
}

/* Reports every place with a claim, and what to do about it. */
static int find_claims(struct lint *lint, const struct rule *rule,
                       const struct lint_document *document, find_claim *find, const char *advice,
                       struct err *err)
{
    struct buf words = BUF_INIT;
    for (size_t i = 0; i < ARRAY_LEN(places) && !words.error; i++) {
        struct str text = text_of(at(document->root, places[i].pointer)), word = STR("");
        while (!word.len && next_sentence(&text, &words))
            word = find(words.data, places[i].is_name);
        if (word.len)
            lint_find(lint, rule, document, places[i].pointer, "\"%.*s\" %s", STR_ARG(word),
                      advice);
    }
    int r = words.error ? err_set(err, ERR_MEMORY, STEP, "there is not enough memory") : 0;
    buf_release(&words);
    return r;
}

int check_no_authority_claim(struct lint *lint, const struct rule *rule,
                             const struct lint_document *document, struct err *err)
{
    return find_claims(lint, rule, document, find_authority_claim,
                       "claims authority that a carried document does not have; leave it out, or "
                       "say with \"not\" or \"never\" what is not done",
                       err);
}

#define TUNING_ADVICE                                                                              \
    "asks for tuning or training; name a separate consented contract and a separate evidence "     \
    "ledger in dataUse of a SignedServiceReference"

/* Whether a reference leads out of the family, whose types are those that the rule is about. */
static bool leads_elsewhere(const struct rule *rule, const yyjson_val *reference)
{
    const struct embedded_schema *schema = catalogue_find_urn(text_of(reference));
    return text_of(reference).len && !(schema && rule_applies(rule, schema->type));
}

int check_tuning_needs_consent(struct lint *lint, const struct rule *rule,
                               const struct lint_document *document, struct err *err)
{
    const yyjson_val *use = member(document->root, "dataUse");
    const yyjson_val *contract = member(use, "consentContractRef");
    const yyjson_val *ledger = member(use, "evidenceLedgerRef");
    size_t index, count;
    yyjson_val *purpose;
    if (leads_elsewhere(rule, contract) && leads_elsewhere(rule, ledger) &&
        !str_equal(text_of(contract), text_of(ledger)))
        return 0;
    yyjson_arr_foreach(member(use, "purposes"), index, count, purpose)
    {
        if (!text_is(purpose, "inference"))
            lint_find(lint, rule, document, pointer_to("/dataUse/purposes/%zu", index).text,
                      "\"%.*s\" " TUNING_ADVICE, STR_ARG(text_of(purpose)));
    }
    return find_claims(lint, rule, document, find_tuning_claim, TUNING_ADVICE, err);
}

/* --- local models --------------------------------------------------------------------------- */

int check_local_model_stays_local(struct lint *lint, const struct rule *rule,
                                  const struct lint_document *document, struct err *err)
{
    static const struct {
        const char *pointer;
        bool leaves;
        const char *message;
    } switches[] = {
        { "/policy/localOnlyDefault", false,
          "a local model profile is local only; describe a model elsewhere in an "
          "ExternalModelProviderProfile" },
        { "/policy/sendPromptOffDeviceDefault", true,
          "prompts of a local model stay on this machine; leave this member out" },
        { "/policy/allowNetwork", true, "a local model needs no network; leave this member out" },
    };
    const yyjson_val *endpoint = at(document->root, "/runtime/endpoint");
    size_t index, count;
    yyjson_val *fallback;
    int here = url_is_loopback(text_of(endpoint), err);
    if (here < 0)
        return here;
    for (size_t i = 0; i < ARRAY_LEN(switches); i++) {
        yyjson_val *value = at(document->root, switches[i].pointer);
        if (yyjson_is_bool(value) && yyjson_get_bool(value) == switches[i].leaves)
            lint_find(lint, rule, document, switches[i].pointer, "%s", switches[i].message);
    }
    if (text_of(endpoint).len && !here)
        lint_find(lint, rule, document, "/runtime/endpoint",
                  "%.*s is not this machine; use localhost, an address in 127.0.0.0/8 or [::1]",
                  STR_ARG(text_of(endpoint)));
    yyjson_arr_foreach(at(document->root, "/policy/fallbackProfileRefs"), index, count, fallback)
    {
        if (!str_starts(text_of(fallback), STR("urn:srcos:model-profile:")))
            lint_find(lint, rule, document,
                      pointer_to("/policy/fallbackProfileRefs/%zu", index).text,
                      "%.*s is no local model profile; name one, urn:srcos:model-profile:...",
                      STR_ARG(text_of(fallback)));
    }
    return 0;
}

int check_pull_is_explicit(struct lint *lint, const struct rule *rule,
                           const struct lint_document *document, struct err *err)
{
    const char *pointer = "/policy/requiresExplicitPull";
    (void)err;
    if (yyjson_is_false(at(document->root, pointer)))
        lint_find(lint, rule, document, pointer,
                  "weights would be downloaded without a person asking; leave this member out");
    return 0;
}

/* Words of a command line that fetch things; the second, if any, right behind the first. */
static const struct download {
    const char *first, *second;
} downloads[] = {
    { "ollama", "run" },       { "ollama", "pull" },
    { "hf", "download" },      { "huggingface-cli", "download" },
    { "-hf", NULL },           { "-hfr", NULL },
    { "--hf-repo", NULL },     { "-hff", NULL },
    { "--hf-file", NULL },     { "-mu", NULL },
    { "--model-url", NULL },   { "-dr", NULL },
    { "--docker-repo", NULL }, { "curl", NULL },
    { "wget", NULL },
};

/* NULL where a command has none. Programs go by the last part of their path. */
static const struct download *find_download(const char *command)
{
    static const char separators[] = " \t\"'`=;|&()<>$";
    struct str previous = STR("");
    for (const char *p = command + strspn(command, separators); *p; p += strspn(p, separators)) {
        size_t len = strcspn(p, separators);
        const char *slash = memrchr(p, '/', len);
        struct str word =
            slash ? str_make(slash + 1, (size_t)(p + len - slash) - 1) : str_make(p, len);
        for (size_t i = 0; i < ARRAY_LEN(downloads); i++) {
            const struct download *d = &downloads[i];
            if (d->second ? str_equal(previous, str_from(d->first)) &&
                                str_equal(word, str_from(d->second))
                          : str_equal(word, str_from(d->first)))
                return d;
        }
        previous = word;
        p += len;
    }
    return NULL;
}

int check_command_may_download(struct lint *lint, const struct rule *rule,
                               const struct lint_document *document, struct err *err)
{
    static const char *const commands[] = { "/runtime/launchCommand", "/runtime/healthCommand" };
    (void)err;
    for (size_t i = 0; i < ARRAY_LEN(commands); i++) {
        const char *command = yyjson_get_str(at(document->root, commands[i]));
        const struct download *download = command ? find_download(command) : NULL;
        if (download)
            lint_find(lint, rule, document, commands[i],
                      "%s%s%s can download what nobody asked for; use a command that only starts "
                      "or asks the runtime",
                      download->first, download->second ? " " : "",
                      download->second ? download->second : "");
    }
    return 0;
}

/* --- digests and references ----------------------------------------------------------------- */

static void cleanup_mut_doc(yyjson_mut_doc **doc)
{
    yyjson_mut_doc_free(*doc);
}

/* The digest of what a publisher signs: the document without its digest and its signature. */
static int digest_of_signed_part(const yyjson_val *root, char ret_text[DIGEST_TEXT_SIZE],
                                 struct err *err)
{
    _cleanup_(cleanup_mut_doc) yyjson_mut_doc *copy = yyjson_mut_doc_new(NULL);
    yyjson_mut_val *part = copy ? yyjson_val_mut_copy(copy, (yyjson_val *)root) : NULL;
    yyjson_mut_obj_remove_key(part, "digest");
    yyjson_mut_obj_remove_key(part, "signature");
    _cleanup_(cleanup_json_doc) yyjson_doc *doc = yyjson_mut_val_imut_copy(part, NULL);
    if (!doc)
        return err_set(err, ERR_MEMORY, STEP, "there is not enough memory");
    return jcs_digest(yyjson_doc_get_root(doc), ret_text, err);
}

int check_digest_covers_document(struct lint *lint, const struct rule *rule,
                                 const struct lint_document *document, struct err *err)
{
    char digest[DIGEST_TEXT_SIZE];
    int r = digest_of_signed_part(document->root, digest, err);
    if (r == 0 && !text_is(member(document->root, "digest"), digest))
        lint_find(lint, rule, document, "/digest",
                  "without digest and signature the document has the digest %s; it was altered "
                  "after signing, and its publisher has to sign it again",
                  digest);
    return r;
}

int check_fallback_is_signed(struct lint *lint, const struct rule *rule,
                             const struct lint_document *document, struct err *err)
{
    size_t index, count;
    yyjson_val *fallback;
    (void)err;
    yyjson_arr_foreach(member(document->root, "fallbackRefs"), index, count, fallback)
    {
        if (!str_starts(text_of(fallback), STR("urn:srcos:fallback-reference:")))
            lint_find(lint, rule, document, pointer_to("/fallbackRefs/%zu", index).text,
                      "%.*s is neither signed nor pinned; name a FallbackReference to it",
                      STR_ARG(text_of(fallback)));
    }
    return 0;
}

/* Lists of references with a digest each. */
static const struct {
    const char *list, *reference;
} pin_lists[] = { { "pins", "pinnedRef" }, { "carriedReferences", "carriedRef" } };

int check_one_digest_per_reference(struct lint *lint, const struct rule *rule,
                                   const struct lint_document *document, struct err *err)
{
    size_t index, count;
    yyjson_val *pin;
    (void)err;
    for (size_t i = 0; i < ARRAY_LEN(pin_lists); i++) {
        const yyjson_val *pins = member(document->root, pin_lists[i].list);
        yyjson_arr_foreach((yyjson_val *)pins, index, count, pin)
        {
            if (stands_earlier(pins, pin, &pin_lists[i].reference, 1))
                lint_find(lint, rule, document,
                          pointer_to("/%s/%zu", pin_lists[i].list, index).text,
                          "%.*s stands further up already; keep the one digest that holds",
                          STR_ARG(text_of(member(pin, pin_lists[i].reference))));
        }
    }
    return 0;
}

static int check_pin(struct lint *lint, const struct rule *rule,
                     const struct lint_document *document, const yyjson_val *reference,
                     const yyjson_val *digest, const char *pointer, struct err *err)
{
    const struct lint_document *pinned = lint_resolve(lint, text_of(reference));
    char actual[DIGEST_TEXT_SIZE];
    if (!pinned || !digest)
        return 0;
    int r = jcs_digest(pinned->root, actual, err);
    if (r == 0 && !text_is(digest, actual))
        lint_find(lint, rule, document, pointer,
                  "%s has the digest %s; pin that, or give the file that was meant", pinned->name,
                  actual);
    return r;
}

int check_pinned_digest_matches(struct lint *lint, const struct rule *rule,
                                const struct lint_document *document, struct err *err)
{
    size_t index, count;
    yyjson_val *pin;
    int r = check_pin(lint, rule, document, member(document->root, "fallbackRef"),
                      member(document->root, "digest"), "/digest", err);
    for (size_t i = 0; i < ARRAY_LEN(pin_lists); i++) {
        yyjson_arr_foreach(member(document->root, pin_lists[i].list), index, count, pin)
        {
            if (r == 0)
                r = check_pin(lint, rule, document, member(pin, pin_lists[i].reference),
                              member(pin, "digest"),
                              pointer_to("/%s/%zu/digest", pin_lists[i].list, index).text, err);
        }
    }
    return r;
}

int check_fallback_is_permitted(struct lint *lint, const struct rule *rule,
                                const struct lint_document *document, struct err *err)
{
    const yyjson_val *permitting = member(document->root, "permittedByRef");
    const yyjson_val *profile = lint_resolve_as(lint, permitting, "LocalModelProfile");
    struct str fallback = text_of(member(document->root, "fallbackRef"));
    (void)err;
    if (profile && !array_has(at(profile, "/policy/fallbackProfileRefs"), fallback))
        lint_find(lint, rule, document, "/permittedByRef",
                  "%.*s does not permit this fallback; add %.*s to its "
                  "policy.fallbackProfileRefs, or name the profile that does",
                  STR_ARG(text_of(permitting)), STR_ARG(fallback));
    return 0;
}

int check_release_set_names_document(struct lint *lint, const struct rule *rule,
                                     const struct lint_document *document, struct err *err)
{
    const yyjson_val *trust = member(document->root, "trust");
    const yyjson_val *reference = member(trust, "releaseSetBindingRef");
    const yyjson_val *binding = lint_resolve_as(lint, reference, "ReleaseSetBinding");
    (void)err;
    if (text_is(member(trust, "basis"), "release-set") && binding &&
        !array_has_member(member(binding, "carriedReferences"), "carriedRef", document->id))
        lint_find(lint, rule, document, "/trust/releaseSetBindingRef",
                  "%.*s does not list this document; add it there, or trust it on other grounds",
                  STR_ARG(text_of(reference)));
    return 0;
}
