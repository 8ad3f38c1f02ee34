/* authorities: what is taken of files of certificates, and what is refused by name. */
#include "machine/authorities.h"

#include <sys/stat.h>

#include "authority/verdict_test.h"

#define BEGIN "-----BEGIN CERTIFICATE-----\n"
#define END   "-----END CERTIFICATE-----\n"
/* DER sequences of a number, and of a text that is longer than a line of PEM. */
#define SMALL "MAMCAQE="
#define LARGE                                                                                      \
    "MIGDBIGAeHh4eHh4eHh4eHh4eHh4eHh4eHh4eHh4eHh4eHh4eHh4eHh4eHh4eHh4eHh4eHh4eHh4eHh4eHh4eHh4eH"   \
    "h4eHh4eHh4eHh4eHh4eHh4eHh4eHh4eHh4eHh4eHh4eHh4eHh4eHh4eHh4eHh4eHh4eHh4eHh4eHh4eHh4eHh4eHg="

static int take(const char *text, char ret[1024], struct err *err)
{
    struct buf taken = BUF_INIT_LIMIT(1023);
    int r = authorities_take(str_from(text), &taken, err);
    snprintf(ret, 1024, "%s", taken.data);
    buf_release(&taken);
    return r;
}

TEST(certificates_are_taken_and_nothing_else)
{
    char taken[1024], again[1024];
    struct err err = { 0 };
    CHECK_INT(take("Issuer: somebody\n" BEGIN SMALL "\n" END
                   "-----BEGIN PRIVATE KEY-----\nMAMCAQI=\n-----END PRIVATE KEY-----\n" BEGIN
                   " MAMC\r\n\tAQE=\r\n" END "trailing",
                   taken, &err),
              2);
    CHECK_TEXT(taken, BEGIN SMALL "\n" END BEGIN SMALL "\n" END);
    CHECK_INT(take(BEGIN LARGE "\n" END, taken, &err), 1);
    CHECK(strstr(taken, "eHh4\neHh4") != NULL);
    CHECK_INT(take(taken, again, &err), 1);
    CHECK_TEXT(again, taken);
}

TEST(what_is_no_certificate_is_refused)
{
    static const struct {
        const char *text, *why;
    } cases[] = {
        { "", "no certificate in" },
        { "a -----BEGIN CERTIFICATE-----\n" SMALL "\n" END, "no certificate in" },
        { "-----BEGIN PRIVATE KEY-----\nMAMCAQI=\n-----END PRIVATE KEY-----\n",
          "no certificate in" },
        { BEGIN SMALL "\n", "certificate 1 is damaged" },
        { BEGIN END, "certificate 1 is damaged" },
        { BEGIN "MAMCAQ*=\n" END, "certificate 1 is damaged" },
        { BEGIN "MAQCAQE=\n" END, "certificate 1 is damaged" }, /* shorter than it says */
        { BEGIN "AgEB\n" END, "certificate 1 is damaged" },     /* no sequence */
        { BEGIN SMALL "\n" END BEGIN "x\n" END, "certificate 2 is damaged" },
    };
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        char taken[1024];
        struct err err = { 0 };
        CHECK_INT(take(cases[i].text, taken, &err), -EBADMSG);
        if (!strstr(err.cause, cases[i].why))
            test_fail(__FILE__, __LINE__, "%s: %s", cases[i].text, err.cause);
    }
}

/* Reads the files of a document whose list they are; `#` stands for the test's folder. */
static int read_list(const char *folder, const char *list, struct authorities *ret, struct err *err)
{
    struct fixture fixture;
    struct references *references = NULL;
    struct buf text = BUF_INIT;
    fixture_init(&fixture);
    buf_add_text(&text, "{'authorities':[");
    for (const char *c = list; *c; c++) {
        if (*c == '#')
            buf_add_text(&text, folder);
        else
            buf_add_char(&text, *c);
    }
    buf_add_text(&text, "]}");
    yyjson_doc *doc = fixture_read(&fixture, text.data);
    CHECK_INT(references_new(&references, err), 0);
    CHECK_INT(
        references_add(references, LAYER_USER, "references.yaml", yyjson_doc_get_root(doc), err),
        0);
    int r = authorities_read(references, ret, err);
    references_free(references);
    fixture_release(&fixture);
    buf_release(&text);
    return r;
}

TEST(files_are_read_by_name_and_refused_by_name)
{
    char folder[] = "/tmp/authorities_test.XXXXXX", path[64];
    struct authorities authorities = { 0 };
    struct err err = { 0 };
    CHECK(mkdtemp(folder) != NULL);
    test_put(folder, "a.pem", BEGIN SMALL "\n" END);
    test_put(folder, "b.pem", BEGIN SMALL "\n" END);
    test_put(folder, "none.pem", "nothing");
    snprintf(path, sizeof(path), "%s/fifo", folder);
    CHECK_INT(mkfifo(path, 0600), 0);
    CHECK_INT(read_list(folder, "'#/b.pem','#/a.pem'", &authorities, &err), 0);
    CHECK_TEXT(authorities.certificates.data, BEGIN SMALL "\n" END BEGIN SMALL "\n" END);
    authorities_release(&authorities);
    CHECK_INT(read_list(folder, "'#/a.pem','#/gone.pem'", &authorities, &err), -ENOENT);
    CHECK(strstr(err.where, "/gone.pem, which references.yaml names") != NULL);
    CHECK_INT(read_list(folder, "'#/none.pem'", &authorities, &err), -EBADMSG);
    CHECK(strstr(err.where, "/none.pem") != NULL);
    CHECK_INT(read_list(folder, "'#/fifo'", &authorities, &err), -EBADMSG);
    CHECK(strstr(err.cause, "no regular file") != NULL);
    CHECK_INT(read_list(folder, "'#'", &authorities, &err), -EBADMSG);
    CHECK_INT(read_list(folder, "'/proc/self/mem'", &authorities, &err) < 0, true);
    CHECK_INT(read_list(folder, "", &authorities, &err), 0);
    CHECK_INT(authorities.certificates.len, 0);
    authorities_release(&authorities);
    snprintf(path, sizeof(path), "rm -rf %s", folder);
    CHECK_INT(system(path), 0);
}
