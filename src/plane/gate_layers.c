/*
 * gate_layers: see the header.
 *
 * Theory of operation. Three look-ups say whether there are folders of layers
 * at all; where there are none and the command adds nothing, no layer says
 * anything and that is all it costs. Else the documents are read once and
 * compiled for the subject that asks, because firewall rules name subjects. Where a layer has a
 * policy engine behind the gate, it is asked last.
 *
 * A path is asked about as it is written and as the file system has it: a link
 * in it leads past no rule.
 *
 * Invariant: an answer is never milder for a document that cannot be read. One
 * of the enterprise or the device denies as part of the policy; of the user it
 * is an error, which denies here.
 */
#include "plane/gate_layers.h"

#include "authority/engine.h"
#include "authority/layers.h"
#include "base/json.h"
#include "contract/jcs.h"
#include "contract/rules.h"
#include "plane/work.h"

#define STEP_LAYERS     "ask the layers"
#define RULE_UNREADABLE "built-in.unreadable-document"

struct gate_layers {
    bool silent; /* there are no folders, and the command adds nothing */
    struct layers *layers;
    struct policy *policy;
    char subject[PLANE_URN_MAX];   /* for which it was compiled, */
    const struct plane_asks *asks; /* and for which command */
};

/* --- reading and compiling ----------------------------------------------------------------- */

/* Those around the folder we are in, with the plane's own of the user. */
static int find_places(const struct plane *plane, struct layers_places *ret, struct err *err)
{
    if (plane->options.places) {
        *ret = *plane->options.places;
        return 0;
    }
    int r = layers_places_default(NULL, ret, err);
    if (r < 0)
        return r;
    if (plane->config_folder.len >= sizeof(ret->config) ||
        plane->state_folder.len >= sizeof(ret->state))
        return err_set(err, ERR_LIMIT, STEP_LAYERS, "the path of a folder is too long");
    snprintf(ret->config, sizeof(ret->config), "%s", plane->options.config_folder);
    snprintf(ret->state, sizeof(ret->state), "%s", plane->options.state_folder);
    return 0;
}

static bool command_speaks(const struct plane *plane)
{
    return plane->asks && (plane->asks->addition_count || plane->asks->choice_count);
}

static int read_layers(const struct plane *plane, struct gate_layers *layers, struct err *err)
{
    struct layers_places places;
    int r = find_places(plane, &places, err);
    bool is_silent = r == 0 && !layers_may_speak(&places);
    layers->silent = is_silent && !command_speaks(plane);
    return r < 0 || is_silent ? r : layers_open(&places, &layers->layers, err);
}

static int add_command(const struct plane *plane, struct policy_builder *builder, struct err *err)
{
    const struct plane_asks *asks = plane->asks;
    int r = 0;
    for (size_t i = 0; i < asks->addition_count && r == 0; i++)
        r = policy_add(builder, asks->additions[i].layer, asks->additions[i].name,
                       asks->additions[i].root, err);
    for (size_t i = 0; i < asks->choice_count && r == 0; i++)
        r = policy_add_choice(builder, str_from(asks->choices[i].destination),
                              asks->choices[i].allow, err);
    return r;
}

static int compile(const struct plane *plane, struct gate_layers *layers, struct str subject,
                   struct err *err)
{
    struct policy_builder *builder = NULL;
    struct policy *policy = NULL;
    int r = policy_builder_new(&builder, err);
    if (r == 0 && subject.len)
        r = policy_builder_subject(builder, subject, err);
    if (r == 0 && layers->layers)
        r = layers_add(layers->layers, NULL, builder, err);
    if (r == 0 && command_speaks(plane))
        r = add_command(plane, builder, err);
    if (r == 0)
        r = policy_build(builder, &policy, err);
    policy_builder_free(builder);
    if (r < 0)
        return r;
    policy_free(layers->policy);
    layers->policy = policy;
    layers->silent = false;
    snprintf(layers->subject, sizeof(layers->subject), "%.*s", STR_ARG(subject));
    return 0;
}

/* What was read stays, and what failed is tried again by the next who asks. */
static int prepare(struct plane *plane, struct str subject, struct err *err)
{
    if (!plane->gate_layers) {
        plane->gate_layers = calloc(1, sizeof(*plane->gate_layers));
        if (!plane->gate_layers)
            return err_set(err, ERR_MEMORY, STEP_LAYERS, "there is not enough memory");
    }
    struct gate_layers *layers = plane->gate_layers;
    bool is_known = layers->policy && str_equal(subject, str_from(layers->subject));
    if (layers->asks == plane->asks && (layers->silent || is_known))
        return 0;
    layers->asks = plane->asks;
    int r = layers->layers ? 0 : read_layers(plane, layers, err);
    return r < 0 || layers->silent ? r : compile(plane, layers, subject, err);
}

void gate_layers_free(struct gate_layers *layers)
{
    if (!layers)
        return;
    policy_free(layers->policy);
    layers_close(layers->layers);
    free(layers);
}

int gate_layers_policy(struct plane *plane, struct str subject, const struct policy **ret,
                       struct err *err)
{
    int r = prepare(plane, subject, err);
    if (r == 0 && !plane->gate_layers->policy)
        r = compile(plane, plane->gate_layers, subject, err); /* which says nothing */
    if (r == 0)
        *ret = plane->gate_layers->policy;
    return r;
}

const struct references *gate_layers_references(const struct plane *plane)
{
    const struct gate_layers *layers = plane->gate_layers;
    return layers && layers->layers ? layers_references(layers->layers) : NULL;
}

static bool redacts(const yyjson_val *document)
{
    return text_is(member(document, "type"), "FirewallBindingProfile") &&
           yyjson_is_true(at(document, "/evidence/redactDestinations"));
}

bool gate_layers_redact(const struct plane *plane)
{
    const struct gate_layers *layers = plane->gate_layers;
    for (size_t i = 0; layers && layers->layers && i < layers_count(layers->layers); i++)
        if (redacts(layers_at(layers->layers, i).root))
            return true;
    for (size_t i = 0; plane->asks && i < plane->asks->addition_count; i++)
        if (redacts(plane->asks->additions[i].root))
            return true;
    return false;
}

int gate_layers_digest(struct plane *plane, char ret[DIGEST_TEXT_SIZE], struct err *err)
{
    const struct gate_layers *layers = plane->gate_layers;
    if (!layers || !layers->policy)
        return policy_digest_empty(ret, err);
    memcpy(ret, policy_digest(layers->policy), DIGEST_TEXT_SIZE);
    return 0;
}

struct layer_digests {
    char of[LAYERS_FILES_MAX][DIGEST_TEXT_SIZE];
    size_t count;
};

static int by_text(const void *a, const void *b)
{
    return strcmp(a, b);
}

/* The digests of a layer's documents, sorted; and their names, where they have one. */
static int list_layer(const struct layers *layers, enum layer layer, struct layer_digests *digests,
                      struct buf *names, struct err *err)
{
    int r = 0;
    digests->count = 0;
    for (size_t i = 0; i < layers_count(layers) && r == 0; i++) {
        struct layer_document document = layers_at(layers, i);
        struct str id = text_of(member(document.root, "id"));
        if (document.layer != layer || document.state != DOCUMENT_IN_FORCE ||
            digests->count == LAYERS_FILES_MAX)
            continue;
        r = jcs_digest(document.root, digests->of[digests->count++], err);
        if (id.len) {
            buf_add_text(names, names->len ? "," : "");
            json_add_string(names, id);
        }
    }
    qsort(digests->of, digests->count, sizeof(digests->of[0]), by_text);
    return r;
}

static int write_layer(const struct layers *layers, enum layer layer, struct layer_digests *digests,
                       struct buf *ret, struct err *err)
{
    _cleanup_(buf_release) struct buf names = BUF_INIT, list = BUF_INIT;
    char digest[DIGEST_TEXT_SIZE];
    int r = list_layer(layers, layer, digests, &names, err);
    if (r < 0 || digests->count == 0)
        return r;
    for (size_t i = 0; i < digests->count; i++)
        buf_addf(&list, "%s\"%s\"", i ? "," : "[", digests->of[i]);
    buf_add_char(&list, ']');
    r = digest_text(buf_str(&list), digest, err);
    if (r == 0)
        buf_addf(ret, "%s{\"layer\":\"%s\",\"digest\":\"%s\",\"documentRefs\":[%s]}",
                 ret->data[ret->len - 1] == '[' ? "" : ",", layer_names[layer], digest, names.data);
    return r;
}

int gate_layers_write(struct plane *plane, struct buf *ret, struct err *err)
{
    const struct gate_layers *layers = plane->gate_layers;
    struct layer_digests *digests = NULL;
    int r = 0;
    buf_add_char(ret, '[');
    if (layers && layers->layers) {
        digests = malloc(sizeof(*digests));
        r = digests ? 0 : err_set(err, ERR_MEMORY, STEP_LAYERS, "there is not enough memory");
    }
    for (size_t i = 0; digests && i < LAYER_COUNT && r == 0; i++)
        r = write_layer(layers->layers, (enum layer)i, digests, ret, err);
    free(digests);
    buf_add_char(ret, ']');
    return r;
}

/* --- asking -------------------------------------------------------------------------------- */

/* A text that is cut where there is no more room, and not within a character. */
static void copy_text(char *ret, size_t size, struct str text)
{
    size_t len = text.len < size ? text.len : size - 1;
    while (len < text.len && len && ((unsigned char)text.ptr[len] & 0xc0) == 0x80)
        len--;
    memcpy(ret, text.ptr, len);
    ret[len] = '\0';
}

static void deny_unreadable(const struct err *why, struct gate_answer *ret)
{
    *ret = (struct gate_answer){ .answer = ANSWER_DENY, .built_in = true };
    copy_text(ret->rule, sizeof(ret->rule), STR(RULE_UNREADABLE));
    copy_text(ret->document, sizeof(ret->document), str_from(why->where));
    snprintf(ret->reason, sizeof(ret->reason),
             "The layers of policy cannot be read, so that everything is denied: %.400s",
             why->cause);
    copy_text(ret->smallest_change, sizeof(ret->smallest_change),
              STR("Mend the document: agent-machine policy show"));
}

static void answer_verdict(const struct verdict *verdict, struct gate_answer *ret)
{
    bool is_silent = verdict->answer == ANSWER_ALLOW && verdict->built_in;
    *ret = (struct gate_answer){ .answer = is_silent ? ANSWER_NOTHING : verdict->answer,
                                 .layer = verdict->layer,
                                 .built_in = verdict->built_in };
    copy_text(ret->rule, sizeof(ret->rule), verdict->rule);
    if (verdict->document_id.len)
        copy_text(ret->document, sizeof(ret->document), verdict->document_id);
    else if (verdict->document)
        copy_text(ret->document, sizeof(ret->document), str_from(verdict->document));
    copy_text(ret->pointer, sizeof(ret->pointer), str_from(verdict->pointer));
    copy_text(ret->reason, sizeof(ret->reason), str_from(verdict->reason));
    copy_text(ret->smallest_change, sizeof(ret->smallest_change),
              str_from(verdict->smallest_change));
}

static int ask_policy(const struct policy *policy, const struct gate_question *question,
                      struct gate_answer *ret, struct err *err)
{
    struct str source = text_of(member(question->detail, "source"));
    struct gate_thing thing = { .gate = question->gate,
                                .name = question->name,
                                .profile = question->profile,
                                .digest = text_of(member(question->detail, "digest")),
                                .is_local = source.len && !str_equal(source, STR("registry")) };
    struct engine_request request = { .thing = &thing,
                                      .subject = question->subject,
                                      .workspace = question->workspace };
    struct engine_record engine = { 0 };
    struct verdict verdict;
    int r = policy_decide_gate_here(policy, &thing, &verdict, err);
    if (r == 0)
        r = policy_ask_engines(policy, &request, &verdict, &engine, err);
    if (r < 0)
        return r;
    answer_verdict(&verdict, ret);
    copy_text(ret->engine, sizeof(ret->engine), str_from(engine.reference));
    ret->engine_answer = engine.answer;
    return 0;
}

int gate_layers_ask(void *context, const struct gate_question *question, struct gate_answer *ret,
                    struct err *err)
{
    struct plane *plane = context;
    struct err why = { 0 };
    int r = prepare(plane, question->subject, &why);
    if (r == 0 && plane->gate_layers->silent)
        *ret = (struct gate_answer){ 0 };
    else if (r == 0)
        r = ask_policy(plane->gate_layers->policy, question, ret, &why);
    if (r < 0 && why.code == ERR_MEMORY) {
        if (err)
            *err = why;
        return r;
    }
    if (r < 0)
        deny_unreadable(&why, ret);
    return 0;
}
