/*
 * format_host: addresses, host names, and the internationalised names of IDNA2008.
 *
 * Theory of operation: a name is cut into labels. A label of letters, digits
 * and hyphens is decided here. libidn2, loaded when the first such label is
 * met, decides one that is not ASCII (a U-label) or starts with "xn--" (an
 * A-label): its function for registration applies every rule of RFC 5891 and 5892 to
 * one label, the contextual ones too. What libidn2 leaves open is the Bidi rule
 * of RFC 5893, which binds all labels of a name as soon as one of them runs from
 * right to left: the labels are gathered as Unicode and checked by PCRE2,
 * which knows the classes.
 *
 * Bounds: a name of more than NAME_BYTES_MAX bytes is none, before it is looked at.
 */
#include <arpa/inet.h>
#include <idn2.h>

#define PCRE2_CODE_UNIT_WIDTH 8
#include <pcre2.h>

#include "base/buf.h"
#include "base/lazy.h"
#include "contract/format_internal.h"

#define LABEL_LEN_MAX  63 /* as A-labels; RFC 1035 section 2.3.4 */
#define NAME_LEN_MAX   253
#define UTF8_BYTES_MAX 4
#define NAME_BYTES_MAX ((size_t)(NAME_LEN_MAX * UTF8_BYTES_MAX))

#define IDN_FUNCTIONS(X) X(idn2_register_u8) X(idn2_to_unicode_8z8z) X(idn2_free)
LAZY_LIBRARY(idn, "libidn2.so.0", IDN_FUNCTIONS)

static int check_address(struct str value, int family)
{
    char text[INET6_ADDRSTRLEN];
    struct in6_addr binary; /* the larger of the two */
    if (!value.len || value.len >= sizeof(text) || memchr(value.ptr, '\0', value.len))
        return 0;
    memcpy(text, value.ptr, value.len);
    text[value.len] = '\0';
    return inet_pton(family, text, &binary) == 1;
}

int format_ipv4(struct str value, struct err *err)
{
    (void)err;
    return check_address(value, AF_INET);
}

int format_ipv6(struct str value, struct err *err)
{
    (void)err;
    return check_address(value, AF_INET6);
}

static bool is_ldh_label(struct str label)
{
    if (!label.len || label.len > LABEL_LEN_MAX || label.ptr[0] == '-' ||
        label.ptr[label.len - 1] == '-')
        return false;
    for (size_t i = 0; i < label.len; i++) {
        if (!is_letter(label.ptr[i]) && !is_digit(label.ptr[i]) && label.ptr[i] != '-')
            return false;
    }
    return true;
}

bool format_is_ldh_name(struct str name)
{
    if (name.len > NAME_LEN_MAX)
        return false;
    for (size_t start = 0; start <= name.len;) {
        size_t end = str_index(name, '.', start);
        if (!is_ldh_label(str_make(name.ptr + start, end - start)))
            return false;
        start = end + 1;
    }
    return true;
}

static bool has_hyphens_third(struct str label)
{
    return label.len >= 4 && label.ptr[2] == '-' && label.ptr[3] == '-';
}

static bool is_a_label(struct str label)
{
    return has_hyphens_third(label) && (label.ptr[0] | 0x20) == 'x' && (label.ptr[1] | 0x20) == 'n';
}

static bool is_ascii(struct str text)
{
    for (size_t i = 0; i < text.len; i++) {
        if ((unsigned char)text.ptr[i] >= 0x80)
            return false;
    }
    return true;
}

/* A name being checked label by label. */
struct name {
    bool international; /* it may hold more than ASCII */
    int flags;          /* for libidn2 */
    size_t len;         /* of the labels so far, as A-labels with a dot each */
    struct buf unicode; /* the labels so far, with a dot behind each */
};

/* 1 and the label's length as an A-label; 0 where it is against the rules. */
static int register_label(const char *u_label, const char *a_label, int flags, size_t *ret_len,
                          struct err *err)
{
    uint8_t *registered = NULL;
    int r = idn.idn2_register_u8((const uint8_t *)u_label, (const uint8_t *)a_label, &registered,
                                 flags);
    if (r == IDN2_MALLOC)
        return err_set_errno(err, ENOMEM, "check a host name", "no room to convert it");
    if (r != IDN2_OK)
        return 0;
    *ret_len = strlen((const char *)registered);
    idn.idn2_free(registered);
    return 1;
}

/* A U-label or an A-label: libidn2 decides. */
static int check_idn_label(struct name *name, struct str label, struct err *err)
{
    char text[NAME_BYTES_MAX + 1];
    char *unicode = NULL;
    size_t len = 0;
    bool a_label = is_ascii(label);
    int r = lazy_load(&idn_library, err);
    if (r < 0)
        return r;
    for (size_t i = 0; i < label.len; i++) {
        bool upper = a_label && label.ptr[i] >= 'A' && label.ptr[i] <= 'Z';
        text[i] = (char)(upper ? label.ptr[i] | 0x20 : label.ptr[i]);
    }
    text[label.len] = '\0';
    r = a_label ? register_label(NULL, text, name->flags, &len, err)
                : register_label(text, NULL, name->flags, &len, err);
    if (r <= 0)
        return r;
    name->len += len;
    if (!a_label) {
        buf_add_str(&name->unicode, label);
        return 1;
    }
    if (idn.idn2_to_unicode_8z8z(text, &unicode, 0) != IDN2_OK)
        return 0;
    buf_add_text(&name->unicode, unicode);
    idn.idn2_free(unicode);
    return 1;
}

static int check_label(struct name *name, struct str label, struct err *err)
{
    int r = 1;
    bool ascii = is_ascii(label), a_label = is_a_label(label);
    if (!label.len || memchr(label.ptr, '\0', label.len))
        return 0;
    if (ascii ? !is_ldh_label(label) : !name->international)
        return 0;
    /* RFC 5890 section 2.3.1 keeps all prefixes of this form for itself. */
    if (name->international && has_hyphens_third(label) && !a_label)
        return 0;
    if (ascii && !a_label) {
        buf_add_str(&name->unicode, label);
        name->len += label.len;
    } else {
        r = check_idn_label(name, label, err);
    }
    buf_add_char(&name->unicode, '.');
    name->len++;
    return r;
}

/* The classes of RFC 5893 section 2, as members of a class of PCRE2. */
#define BIDI_L   "\\p{bidi_class:L}"
#define BIDI_R   "\\p{bidi_class:R}\\p{bidi_class:AL}"
#define BIDI_AN  "\\p{bidi_class:AN}"
#define BIDI_EN  "\\p{bidi_class:EN}"
#define BIDI_NSM "\\p{bidi_class:NSM}"
#define BIDI_NEUTRAL                                                                               \
    "\\p{bidi_class:ES}\\p{bidi_class:CS}\\p{bidi_class:ET}\\p{bidi_class:ON}\\p{bidi_class:BN}"

/* Rules 1 to 4: a label that runs from right to left, up to the dot behind it. */
#define RIGHT_TO_LEFT                                                                              \
    "(?!(?=[^.]*[" BIDI_EN "])[^.]*[" BIDI_AN "])"                                                 \
    "[" BIDI_R "](?:[" BIDI_R BIDI_AN BIDI_EN BIDI_NEUTRAL BIDI_NSM "]*"                           \
    "[" BIDI_R BIDI_AN BIDI_EN "])?[" BIDI_NSM "]*"
/* Rules 1, 5 and 6. */
#define LEFT_TO_RIGHT                                                                              \
    "[" BIDI_L "](?:[" BIDI_L BIDI_EN BIDI_NEUTRAL BIDI_NSM "]*"                                   \
    "[" BIDI_L BIDI_EN "])?[" BIDI_NSM "]*"

/* A name where nothing runs from right to left, or one of which every label keeps the rules. */
static const char bidi_pattern[] = "^(?:[^" BIDI_R BIDI_AN "]*|"
                                   "(?:(?:" RIGHT_TO_LEFT "|" LEFT_TO_RIGHT ")\\.)+)\\z";

/* `labels` have a dot behind each. */
static int check_bidi(struct str labels, struct err *err)
{
    static pcre2_code *code;
    int error;
    PCRE2_SIZE offset;
    if (!code)
        code = pcre2_compile((PCRE2_SPTR)bidi_pattern, PCRE2_ZERO_TERMINATED, PCRE2_UTF, &error,
                             &offset, NULL);
    if (!code)
        return err_set(err, ERR_UNSUPPORTED, "check a host name",
                       "PCRE2 does not know the classes of the Bidi rule");
    pcre2_match_data *data = pcre2_match_data_create(1, NULL);
    if (!data)
        return err_set_errno(err, ENOMEM, "check a host name", "no room to match it");
    int r = pcre2_match(code, (PCRE2_SPTR)labels.ptr, labels.len, 0, 0, data, NULL);
    pcre2_match_data_free(data);
    return r > 0;
}

/* Bytes of the dot at `at`: ".", or one of those that RFC 3490 takes for it. */
static size_t dot_size(struct str name, size_t at, bool international)
{
    struct str rest = str_from_offset(name, at);
    if (str_starts(rest, STR(".")))
        return 1;
    bool wide = str_starts(rest, STR("\xE3\x80\x82")) || str_starts(rest, STR("\xEF\xBC\x8E")) ||
                str_starts(rest, STR("\xEF\xBD\xA1"));
    return wide && international ? 3 : 0;
}

static void cleanup_name(struct name *name)
{
    buf_release(&name->unicode);
}

static int check_name(struct str value, bool international, int flags, struct err *err)
{
    _cleanup_(cleanup_name) struct name name = {
        .international = international,
        .flags = flags,
        .unicode = BUF_INIT,
    };
    if (value.len > NAME_BYTES_MAX)
        return 0;
    for (size_t start = 0; start <= value.len;) {
        size_t end = start;
        while (end < value.len && !dot_size(value, end, international))
            end++;
        struct str label = str_make(value.ptr + start, end - start);
        int r = check_label(&name, label, err);
        if (r <= 0)
            return r;
        start = end == value.len ? end + 1 : end + dot_size(value, end, international);
    }
    if (name.len - 1 > NAME_LEN_MAX)
        return 0;
    if (name.unicode.error)
        return err_set_errno(err, -name.unicode.error, "check a host name", "no room for it");
    return is_ascii(buf_str(&name.unicode)) ? 1 : check_bidi(buf_str(&name.unicode), err);
}

/* RFC 1123, and RFC 5890 for A-labels. */
int format_hostname(struct str value, struct err *err)
{
    bool a_labels = false;
    if (!format_is_ldh_name(value))
        return 0;
    for (size_t i = str_index(value, '-', 0); i < value.len; i = str_index(value, '-', i + 1))
        a_labels = a_labels || (i >= 2 && is_a_label(str_from_offset(value, i - 2)));
    return a_labels ? check_name(value, false, 0, err) : 1;
}

int format_idn_hostname(struct str value, struct err *err)
{
    return check_name(value, true, 0, err);
}

int format_loose_idn_hostname(struct str name, struct err *err)
{
    return check_name(name, true, IDN2_NFC_INPUT, err);
}
