/*
 * firewall_plan: documents in, the text of a firewall out.
 *
 * Theory of operation. Documents become rules (firewall_read.c), which are
 * sorted once: by unit, and within one the most specific first. A renderer
 * walks them and appends its format; what it cannot say it notes. The notes
 * then go in front, as comments of that format.
 *
 * Invariants. The same documents and the same scope give the same bytes. Every
 * rule is in the text, or has a note. No byte of a document reaches the text
 * but through firewall_add_safe, or as a name or a number that was read.
 *
 * Threats: ids and reasons that would end a comment or a string of the format,
 * and go on as rules. Limits: FIREWALL_RULES_MAX, FIREWALL_TEXT_MAX.
 */
#include "contract/rules.h"
#include "doors/network/firewall_rule.h"
#include "doors/network/firewall_text.h"

#define STEP            "plan a firewall"
#define REASON_SIZE_MAX 512
#define ID_SHOWN_MAX    100

const char *const firewall_effect_names[FIREWALL_EFFECT_COUNT] = {
#define X(effect, name) [effect] = name,
    FIREWALL_EFFECT_TABLE(X)
#undef X
};
const char *const firewall_target_names[FIREWALL_TARGET_COUNT] = {
#define X(target, name) [target] = name,
    FIREWALL_TARGET_TABLE(X)
#undef X
};

static const struct {
    firewall_render *render;
    const char *name, *format;
} targets[FIREWALL_TARGET_COUNT] = {
    [FIREWALL_NFTABLES] = { firewall_nftables, "nftables", "nftables ruleset, for nft -f" },
    [FIREWALL_LULU] = { firewall_lulu, "LuLu", "LuLu rules, JSON, for its Rules > Import" },
    [FIREWALL_GATEWAY] = { firewall_gateway, "Squid",
                           "Squid access rules, for include in squid.conf" },
    [FIREWALL_KUBERNETES] = { firewall_kubernetes, "a NetworkPolicy",
                              "Kubernetes NetworkPolicy, YAML, for kubectl apply" },
    [FIREWALL_CILIUM] = { firewall_cilium, "Cilium",
                          "CiliumNetworkPolicy, YAML, for kubectl apply" },
};

const char *firewall_target_format(enum firewall_target target)
{
    return targets[target].format;
}

/* --- making one ---------------------------------------------------------------------------- */

int firewall_plan_new(const struct firewall_scope *scope, struct firewall_plan **ret,
                      struct err *err)
{
    struct firewall_plan *plan = calloc(1, sizeof(*plan));
    if (!plan)
        return err_set(err, ERR_MEMORY, STEP, "there is not enough memory");
    plan->scope = *scope;
    *ret = plan;
    return 0;
}

/* Of those that are kept nothing is forgotten, nor that they were said. */
static void forget_notes(struct firewall_plan *plan, size_t kept)
{
    for (size_t i = kept; i < plan->note_count; i++)
        free(plan->notes[i].text);
    plan->note_count = kept;
    map_release(&plan->said);
    for (size_t i = 0; i < kept; i++)
        (void)map_put(&plan->said, str_from(plan->notes[i].text), (uint32_t)i);
}

void firewall_plan_free(struct firewall_plan *plan)
{
    if (!plan)
        return;
    forget_notes(plan, 0);
    map_release(&plan->said);
    free(plan->notes);
    free(plan->rules);
    arena_release(&plan->arena);
    free(plan);
}

int firewall_plan_add(struct firewall_plan *plan, const yyjson_val *root, struct err *err)
{
    static const char prefix[] = "agent_machine_";
    int r = 0;
    if (plan->document_count == FIREWALL_DOCUMENTS_MAX)
        return err_set(err, ERR_LIMIT, STEP, "a plan has at most %d documents",
                       FIREWALL_DOCUMENTS_MAX);
    if (!plan->document_count) {
        char name[FIREWALL_NAME_MAX];
        r = firewall_name(text_of(member(root, "id")), '_', name, err);
        if (r == 0)
            snprintf(plan->table, sizeof(plan->table), "%s%.*s", prefix,
                     (int)(sizeof(plan->table) - sizeof(prefix)), name);
    }
    if (r == 0)
        r = firewall_read_document(plan, root, err);
    if (r == 0)
        plan->documents[plan->document_count++] = root;
    plan->sorted = false;
    plan->kept_notes = plan->note_count;
    return r;
}

/* --- notes --------------------------------------------------------------------------------- */

/* What a note says, as it stands in the text: "stricter: RULE of DOCUMENT: why". */
static char *write_note(const struct firewall_plan *plan, const struct firewall_note *note,
                        size_t *ret_reason)
{
    struct buf text = BUF_INIT;
    buf_addf(&text, "%s: ", firewall_effect_names[note->effect]);
    firewall_add_safe(&text, note->rule, ID_SHOWN_MAX);
    if (note->rule.len && plan->document_count > 1) {
        buf_add_text(&text, " of ");
        firewall_add_safe(&text, note->document, ID_SHOWN_MAX);
    }
    buf_add_text(&text, note->rule.len ? ": " : "");
    *ret_reason = text.len;
    firewall_add_safe(&text, str_from(note->reason), REASON_SIZE_MAX);
    char *copy = text.error ? NULL : strdup(text.data);
    buf_release(&text);
    return copy;
}

static bool make_room(struct firewall_plan *plan)
{
    if (plan->note_count < plan->note_capacity)
        return true;
    size_t larger = plan->note_capacity ? plan->note_capacity * 2 : 32;
    bool is_over = plan->note_count == FIREWALL_NOTES_MAX;
    struct firewall_note *notes = is_over ? NULL : realloc(plan->notes, larger * sizeof(*notes));
    if (!notes) {
        plan->error = is_over ? -E2BIG : -ENOMEM;
        return false;
    }
    plan->notes = notes;
    plan->note_capacity = larger;
    return true;
}

void firewall_note(struct firewall_plan *plan, enum firewall_effect effect,
                   const struct firewall_rule *rule, const char *format, ...)
{
    char reason[REASON_SIZE_MAX];
    size_t reason_at;
    va_list arguments;
    va_start(arguments, format);
    vsnprintf(reason, sizeof(reason), format, arguments);
    va_end(arguments);
    struct firewall_note note = { .effect = effect,
                                  .rule = rule ? rule->id : STR(""),
                                  .document = rule ? rule->document : STR(""),
                                  .reason = reason };
    note.text = write_note(plan, &note, &reason_at);
    int r = note.text ? map_put(&plan->said, str_from(note.text), 0) : -ENOMEM;
    if (r == 0 && make_room(plan)) {
        note.reason = note.text + reason_at;
        plan->notes[plan->note_count++] = note;
        return;
    }
    free(note.text); /* -EEXIST: it was said before */
    plan->error = r == 0 || r == -EEXIST ? plan->error : r;
}

void firewall_note_range(struct firewall_plan *plan)
{
    firewall_note(plan, FIREWALL_LOOSER, NULL,
                  "an address that is allowed is allowed by whatever name it is reached");
}

size_t firewall_plan_note_count(const struct firewall_plan *plan)
{
    return plan->note_count;
}

struct firewall_note firewall_plan_note(const struct firewall_plan *plan, size_t index)
{
    return plan->notes[index];
}

bool firewall_subject_applies(struct firewall_plan *plan, const struct firewall_rule *rule,
                              const char *target)
{
    bool allows = rule->answer == ANSWER_ALLOW;
    switch (rule->who) {
    case FIREWALL_ANYONE:
        return true;
    case FIREWALL_SANDBOX:
        if (allows)
            return true;
        if (rule->model_host) {
            firewall_note(plan, FIREWALL_ELSEWHERE, rule,
                          "the Model Door goes to these hosts from the same place; the Network "
                          "Door denies them to the sandbox");
            return false;
        }
        firewall_note(plan, FIREWALL_STRICTER, rule,
                      "%s cannot tell the sandbox from its doors: it holds for them too", target);
        return true;
    case FIREWALL_PROGRAM:
    case FIREWALL_OTHER:
        firewall_note(plan, allows ? FIREWALL_LEFT_OUT : FIREWALL_STRICTER, rule,
                      allows ? "%s cannot tell whose traffic it is, and it allows one alone"
                             : "%s cannot tell whose traffic it is: it holds for all of it",
                      target);
        return !allows;
    }
    return false;
}

/* --- the text ------------------------------------------------------------------------------ */

static int compare_rules(const void *a, const void *b)
{
    const struct firewall_rule *left = a, *right = b;
    if (left->unit != right->unit)
        return left->unit < right->unit ? -1 : 1;
    int order = firewall_compare(left, right);
    return order ? order : left->place < right->place ? -1 : left->place > right->place;
}

static void add_line(struct buf *ret, const struct comment_style *style, const struct buf *line)
{
    buf_add_text(ret, style->open);
    buf_add_str(ret, buf_str(line));
    buf_add_text(ret, style->close);
}

/* What the plan is of, and what it cannot say. */
static int add_head(struct firewall_plan *plan, enum firewall_target target,
                    const struct comment_style *style, struct buf *ret)
{
    _cleanup_(buf_release) struct buf line = BUF_INIT;
    buf_addf(&line, "agent-machine: %s", targets[target].format);
    add_line(ret, style, &line);
    for (size_t i = 0; i < plan->document_count; i++) {
        buf_reset(&line);
        buf_add_text(&line, "of ");
        firewall_add_safe(&line, text_of(member(plan->documents[i], "id")), ID_SHOWN_MAX);
        add_line(ret, style, &line);
    }
    for (size_t i = 0; i < plan->note_count; i++) {
        buf_reset(&line);
        buf_add_text(&line, plan->notes[i].text);
        add_line(ret, style, &line);
    }
    return line.error;
}

int firewall_plan_render(struct firewall_plan *plan, enum firewall_target target, struct buf *ret,
                         struct err *err)
{
    const struct comment_style *style = firewall_comment_style(target);
    _cleanup_(buf_release) struct buf body = BUF_INIT_LIMIT(FIREWALL_TEXT_MAX);
    _cleanup_(buf_release) struct buf text = BUF_INIT_LIMIT(FIREWALL_TEXT_MAX);
    if (!plan->sorted && plan->rule_count)
        qsort(plan->rules, plan->rule_count, sizeof(*plan->rules), compare_rules);
    plan->sorted = true;
    forget_notes(plan, plan->kept_notes);
    for (size_t i = 0; target != FIREWALL_LULU && i < plan->rule_count; i++) /* which knows some */
        plan->rules[i].skipped =
            !firewall_subject_applies(plan, &plan->rules[i], targets[target].name);
    int r = targets[target].render(plan, &body, err);
    if (r < 0)
        return r;
    buf_add_text(&text, style->begin);
    r = add_head(plan, target, style, &text);
    buf_add_str(&text, buf_str(&body));
    r = plan->error ? plan->error : r ? r : body.error ? body.error : text.error;
    if (r == 0)
        r = buf_add_str(ret, buf_str(&text));
    if (r == 0)
        return 0;
    return r == -ENOMEM ? err_set(err, ERR_MEMORY, STEP, "there is not enough memory")
                        : err_set(err, ERR_LIMIT, STEP, "the text or its notes grow too large");
}

bool firewall_plan_is_closed(const struct firewall_plan *plan)
{
    return plan->closed;
}

const char *firewall_plan_table(const struct firewall_plan *plan)
{
    return plan->table;
}
