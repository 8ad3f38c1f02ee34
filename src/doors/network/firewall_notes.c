/* firewall_notes: see the header. */
#include "doors/network/firewall_notes.h"

#include "doors/network/firewall_text.h"

#define REASON_SIZE_MAX 512
#define ID_SHOWN_MAX    100

const char *const firewall_effect_names[FIREWALL_EFFECT_COUNT] = {
#define X(effect, name) [effect] = name,
    FIREWALL_EFFECT_TABLE(X)
#undef X
};

static void cut(struct firewall_notes *notes, size_t count)
{
    for (size_t i = count; i < notes->count; i++)
        free(notes->of[i].text);
    notes->count = count;
    map_release(&notes->said);
}

void firewall_notes_release(struct firewall_notes *notes)
{
    cut(notes, 0);
    free(notes->of);
    *notes = (struct firewall_notes){ 0 };
}

void firewall_notes_keep(struct firewall_notes *notes)
{
    notes->kept = notes->count;
}

void firewall_notes_forget(struct firewall_notes *notes)
{
    cut(notes, notes->kept);
    for (size_t i = 0; i < notes->count; i++) {
        int r = map_put(&notes->said, str_from(notes->of[i].text), 0);
        notes->error = r == -ENOMEM ? r : notes->error;
    }
}

/* "stricter: RULE of DOCUMENT: why" */
static char *write_text(const struct firewall_notes *notes, const struct firewall_note *note,
                        size_t *ret_reason)
{
    struct buf text = BUF_INIT;
    buf_addf(&text, "%s: ", firewall_effect_names[note->effect]);
    firewall_add_safe(&text, note->rule, ID_SHOWN_MAX);
    if (note->rule.len && note->document.len && notes->shows_documents) {
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

static bool make_room(struct firewall_notes *notes)
{
    if (notes->count < notes->capacity)
        return true;
    size_t larger = notes->capacity ? notes->capacity * 2 : 32;
    bool is_over = notes->count >= FIREWALL_NOTES_MAX;
    struct firewall_note *of = is_over ? NULL : realloc(notes->of, larger * sizeof(*of));
    if (!of) {
        notes->error = is_over ? -E2BIG : -ENOMEM;
        return false;
    }
    notes->of = of;
    notes->capacity = larger;
    return true;
}

void firewall_notes_addv(struct firewall_notes *notes, enum firewall_effect effect, struct str rule,
                         struct str document, const char *format, va_list arguments)
{
    char reason[REASON_SIZE_MAX];
    size_t reason_at = 0;
    struct firewall_note note = { effect, rule, document, reason, NULL };
    vsnprintf(reason, sizeof(reason), format, arguments);
    note.text = write_text(notes, &note, &reason_at);
    int r = note.text ? map_put(&notes->said, str_from(note.text), 0) : -ENOMEM;
    if (r == 0 && make_room(notes)) {
        note.reason = note.text + reason_at;
        notes->of[notes->count++] = note;
        return;
    }
    if (r == 0) /* its text goes, and must not stay a key */
        map_release(&notes->said);
    free(note.text); /* -EEXIST: it was said before */
    notes->error = r == 0 || r == -EEXIST ? notes->error : r;
}

void firewall_notes_add(struct firewall_notes *notes, enum firewall_effect effect, struct str rule,
                        struct str document, const char *format, ...)
{
    va_list arguments;
    va_start(arguments, format);
    firewall_notes_addv(notes, effect, rule, document, format, arguments);
    va_end(arguments);
}
