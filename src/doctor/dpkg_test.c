#include "base/test.h"
#include "doctor/dpkg.h"

static int add_package(void *context, const struct dpkg_package *package)
{
    buf_addf(context, "%.*s/%.*s %.*s %.*s%s\n", STR_ARG(package->name),
             STR_ARG(package->architecture), STR_ARG(package->version), STR_ARG(package->state),
             package->many ? " many" : "");
    return 0;
}

TEST(dpkg_packages_are_read_by_stanza)
{
    _cleanup_(buf_release) struct buf text = BUF_INIT;
    const struct str status =
        STR("Package: acl\nStatus: install ok installed\nVersion: 2.3\n"
            "Description: lists\n Package: not this one\nArchitecture: amd64\n"
            "\n\nStatus: deinstall ok config-files\nPackage: b\n"
            "Multi-Arch: same\nArchitecture: all\nVersion: 1:2-3");
    CHECK_INT(dpkg_each_package(status, add_package, &text), 0);
    CHECK_TEXT(text.data, "acl/amd64 2.3 installed\nb/all 1:2-3 config-files many\n");
    buf_reset(&text);
    CHECK_INT(dpkg_each_package(STR("\n\nVersion: 1\n\n"), add_package, &text), 0);
    CHECK_TEXT(text.data, "");
}

static int add_digest(void *context, const struct dpkg_digest *digest)
{
    buf_addf(context, "%02x%02x %.*s\n", digest->md5[0], digest->md5[15], STR_ARG(digest->path));
    return 0;
}

TEST(dpkg_digests_are_read_by_line_and_odd_ones_are_counted)
{
    _cleanup_(buf_release) struct buf text = BUF_INIT;
    size_t odd = 0;
    const struct str sums = STR("0123456789abcdef0123456789abcdef  usr/bin/a b\n"
                                "0123456789abcdef0123456789abcdeg  usr/bin/c\n"
                                "0123456789abcdef0123456789abcdef  \n"
                                "short\n"
                                "ff23456789abcdef0123456789abcd00 *etc/d");
    CHECK_INT(dpkg_each_digest(sums, add_digest, &text, &odd), 0);
    CHECK_TEXT(text.data, "01ef usr/bin/a b\nff00 etc/d\n");
    CHECK_INT(odd, 3);
}

static int add_diversion(void *context, const struct dpkg_diversion *diversion)
{
    buf_addf(context, "%.*s>%.*s by %.*s\n", STR_ARG(diversion->from), STR_ARG(diversion->to),
             STR_ARG(diversion->by));
    return 0;
}

static int add_filter(void *context, const struct dpkg_filter *filter)
{
    buf_addf(context, "%c%.*s\n", filter->includes ? '+' : '-', STR_ARG(filter->pattern));
    return 0;
}

TEST(dpkg_diversions_and_filters_are_read)
{
    _cleanup_(buf_release) struct buf text = BUF_INIT;
    CHECK_INT(dpkg_each_diversion(STR("/a\n/a.real\nb\n/c\n/d"), add_diversion, &text), 0);
    CHECK_TEXT(text.data, "/a>/a.real by b\n");
    buf_reset(&text);
    CHECK_INT(dpkg_each_filter(STR("# x\npath-exclude=/usr/share/doc/*\n no-debsig\n"
                                   "path-include /usr/share/doc/*/copyright\npath-exclude =\n"),
                               add_filter, &text),
              0);
    CHECK_TEXT(text.data, "-/usr/share/doc/*\n+/usr/share/doc/*/copyright\n");
}
