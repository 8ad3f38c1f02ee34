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

#define STEP         "plan a firewall"
#define ID_SHOWN_MAX 100

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

void firewall_plan_free(struct firewall_plan *plan)
{
    if (!plan)
        return;
    firewall_notes_release(&plan->notes);
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
    plan->notes.shows_documents = plan->document_count > 1;
    firewall_notes_keep(&plan->notes);
    return r;
}

/* --- notes --------------------------------------------------------------------------------- */

void firewall_note(struct firewall_plan *plan, enum firewall_effect effect,
                   const struct firewall_rule *rule, const char *format, ...)
{
    va_list arguments;
    va_start(arguments, format);
    firewall_notes_addv(&plan->notes, effect, rule ? rule->id : STR(""),
                        rule ? rule->document : STR(""), format, arguments);
    va_end(arguments);
}

void firewall_note_range(struct firewall_plan *plan)
{
    firewall_note(plan, FIREWALL_LOOSER, NULL,
                  "an address that is allowed is allowed by whatever name it is reached");
}

const struct firewall_notes *firewall_plan_notes(const struct firewall_plan *plan)
{
    return &plan->notes;
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
        if (plan->document_count > 1) /* two may have one id, and no line stands twice */
            buf_addf(&line, "document %zu: ", i + 1);
        firewall_add_safe(&line, text_of(member(plan->documents[i], "id")), ID_SHOWN_MAX);
        add_line(ret, style, &line);
    }
    for (size_t i = 0; i < plan->notes.count; i++) {
        buf_reset(&line);
        buf_add_text(&line, plan->notes.of[i].text);
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
    firewall_notes_forget(&plan->notes);
    for (size_t i = 0; target != FIREWALL_LULU && i < plan->rule_count; i++) /* which knows some */
        plan->rules[i].skipped =
            !firewall_subject_applies(plan, &plan->rules[i], targets[target].name);
    int r = targets[target].render(plan, &body, err);
    if (r < 0)
        return r;
    buf_add_text(&text, style->begin);
    r = add_head(plan, target, style, &text);
    buf_add_str(&text, buf_str(&body));
    r = plan->notes.error ? plan->notes.error : r ? r : body.error ? body.error : text.error;
    if (r == 0)
        r = buf_add_str(ret, buf_str(&text));
    if (r == 0)
        return 0;
    return r == -ENOMEM ? err_set(err, ERR_MEMORY, STEP, "there is not enough memory")
                        : err_set(err, ERR_LIMIT, STEP, "the text or its notes grow too large");
}

const char *firewall_plan_table(const struct firewall_plan *plan)
{
    return plan->table;
}
