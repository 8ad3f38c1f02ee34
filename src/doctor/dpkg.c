/* dpkg: see the header. Nothing here recurses, and each text is gone through once. */
#include "doctor/dpkg.h"

#define ADMIN_FOLDER "/var/lib/dpkg"

const char *dpkg_root(void)
{
    const char *root = getenv("DPKG_ROOT");
    return root && root[0] == '/' && root[1] ? root : "";
}

bool dpkg_folder(char ret[DPKG_PATH_MAX])
{
    const char *named = getenv("DPKG_ADMINDIR");
    int len = named && named[0] == '/'
                  ? snprintf(ret, DPKG_PATH_MAX, "%s", named)
                  : snprintf(ret, DPKG_PATH_MAX, "%s" ADMIN_FOLDER, dpkg_root());
    return len > 0 && len < DPKG_PATH_MAX;
}

static struct str next_line(struct str text, size_t *at)
{
    size_t end = str_index(text, '\n', *at);
    struct str line = str_make(text.ptr + *at, end - *at);
    *at = end + 1;
    return line;
}

static struct str trim(struct str s)
{
    while (s.len && (s.ptr[0] == ' ' || s.ptr[0] == '\t'))
        s = str_from_offset(s, 1);
    while (s.len &&
           (s.ptr[s.len - 1] == ' ' || s.ptr[s.len - 1] == '\t' || s.ptr[s.len - 1] == '\r'))
        s.len--;
    return s;
}

/* The first word; the rest stays behind. */
static struct str take_word(struct str *s)
{
    struct str word = trim(*s);
    word.len = str_index(word, ' ', 0);
    *s = trim(str_from_offset(trim(*s), word.len));
    return word;
}

static bool take_field(struct str line, struct str name, struct str *ret)
{
    if (!str_starts(line, name))
        return false;
    *ret = trim(str_from_offset(line, name.len));
    return true;
}

int dpkg_each_package(struct str status, dpkg_visit_package *visit, void *context)
{
    struct dpkg_package package = { 0 };
    int r = 0;
    for (size_t at = 0; r == 0 && at <= status.len;) {
        struct str line = next_line(status, &at), value;
        if (trim(line).len == 0) { /* the end of a stanza */
            if (package.name.len)
                r = visit(context, &package);
            package = (struct dpkg_package){ 0 };
        } else if (take_field(line, STR("Package:"), &value))
            package.name = value;
        else if (take_field(line, STR("Architecture:"), &value))
            package.architecture = value;
        else if (take_field(line, STR("Version:"), &value))
            package.version = value;
        else if (take_field(line, STR("Multi-Arch:"), &value))
            package.many = str_equal(value, STR("same"));
        else if (take_field(line, STR("Status:"), &value)) {
            package.want = take_word(&value);
            package.flag = take_word(&value);
            package.state = take_word(&value);
        }
    }
    if (r == 0 && package.name.len)
        r = visit(context, &package);
    return r;
}

static int digit_of(char c)
{
    return c >= '0' && c <= '9' ? c - '0' : c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

/* "<32 digits>  path" */
static bool read_digest(struct str line, struct dpkg_digest *ret)
{
    if (line.len < DPKG_MD5_DIGITS + 3 || line.ptr[DPKG_MD5_DIGITS] != ' ')
        return false;
    for (size_t i = 0; i < DPKG_MD5_DIGITS; i += 2) {
        int high = digit_of(line.ptr[i]), low = digit_of(line.ptr[i + 1]);
        if (high < 0 || low < 0)
            return false;
        ret->md5[i / 2] = (unsigned char)(high << 4 | low);
    }
    ret->path = str_from_offset(line, DPKG_MD5_DIGITS + 2); /* behind two blanks, or " *" */
    return !memchr(ret->path.ptr, '\0', ret->path.len);
}

int dpkg_each_digest(struct str md5sums, dpkg_visit_digest *visit, void *context,
                     size_t *ret_odd_lines)
{
    size_t odd = 0;
    int r = 0;
    for (size_t at = 0; r == 0 && at < md5sums.len;) {
        struct dpkg_digest digest;
        if (read_digest(next_line(md5sums, &at), &digest))
            r = visit(context, &digest);
        else
            odd++;
    }
    *ret_odd_lines = odd;
    return r;
}

int dpkg_each_diversion(struct str text, dpkg_visit_diversion *visit, void *context)
{
    int r = 0;
    for (size_t at = 0; r == 0 && at < text.len;) {
        struct dpkg_diversion diversion;
        diversion.from = next_line(text, &at);
        if (at >= text.len)
            break;
        diversion.to = next_line(text, &at);
        if (at >= text.len)
            break;
        diversion.by = next_line(text, &at);
        r = visit(context, &diversion);
    }
    return r;
}

int dpkg_each_filter(struct str configuration, dpkg_visit_filter *visit, void *context)
{
    int r = 0;
    for (size_t at = 0; r == 0 && at < configuration.len;) {
        struct str line = trim(next_line(configuration, &at));
        struct dpkg_filter filter = { .includes = true };
        if (!take_field(line, STR("path-include"), &filter.pattern)) {
            filter.includes = false;
            if (!take_field(line, STR("path-exclude"), &filter.pattern))
                continue;
        }
        if (str_starts(filter.pattern, STR("=")))
            filter.pattern = trim(str_from_offset(filter.pattern, 1));
        if (filter.pattern.len)
            r = visit(context, &filter);
    }
    return r;
}
