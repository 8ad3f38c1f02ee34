/*
 * Input: a pattern, a newline, a subject. A pattern that is valid must compile
 * or be refused for what PCRE2 is known not to do; both ways of matching must
 * agree.
 */
#include "base/utf8.h"
#include "contract/regex_internal.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static bool is_known_refusal(const struct err *err)
{
    return err->code == ERR_LIMIT ||
           (err->code == ERR_UNSUPPORTED &&
            (!strstr(err->cause, "PCRE2 cannot match it") || strstr(err->cause, "lookbehind") ||
             strstr(err->cause, "too complicated") || strstr(err->cause, "unknown property")));
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct str text = str_make((const char *)data, size);
    struct str pattern = str_make(text.ptr, str_index(text, '\n', 0));
    struct str subject = str_from_offset(text, pattern.len + 1);
    struct regex *regex = NULL, *reference = NULL;
    struct err err = { 0 };
    int valid = regex_valid(pattern, &err);
    int r = regex_new(pattern, &regex, &err);
    bool expected_result = valid < 0    ? r < 0 && err.code == ERR_LIMIT
                           : valid == 0 ? r < 0 && err.code == ERR_SCHEMA
                                        : r == 0 || is_known_refusal(&err);
    if (!expected_result)
        abort();
    if (r == 0 && utf8_valid(subject)) {
        int found = regex_search(regex, subject, &err);
        if (found < 0 && err.code != ERR_LIMIT)
            abort();
        if (regex_uses_steps(regex) && regex_new_pcre2(pattern, &reference, &err) == 0) {
            int expected = regex_search(reference, subject, &err);
            if (expected >= 0 && found != expected)
                abort();
        }
    }
    regex_free(reference);
    regex_free(regex);
    return 0;
}
