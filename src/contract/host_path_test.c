/* Host paths: one spelling, what lies within what, and the host's secrets. */
#include "contract/host_path.h"

#include "base/test.h"

TEST(a_path_has_one_spelling)
{
    static const struct {
        const char *path, *expected;
    } cases[] = {
        { "/", "" },
        { "//", "" },
        { "/home//ada///src/", "/home/ada/src" },
        { "~", "~" },
        { "~//src/", "~/src" },
        { "c:\\", "C:" },
        { "c:\\Users\\\\ada/src\\", "C:/Users/ada/src" },
        { "/home/ada/a\\b", "/home/ada/a\\b" },
        { "", "" },
    };
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        struct buf out = BUF_INIT;
        CHECK_INT(host_path_normalise(str_from(cases[i].path), &out), 0);
        CHECK_STR(buf_str(&out), str_from(cases[i].expected));
        buf_release(&out);
    }
}

TEST(a_tilde_is_the_home_that_is_given)
{
    static const struct {
        const char *path, *home, *expected;
    } cases[] = {
        { "~/src", "/home/ada/", "/home/ada/src" },
        { "~", "/home/ada", "/home/ada" },
        { "~/src", "/", "/src" },
        { "~ada/src", "/home/ada", "~ada/src" },
        { "/srv/~", "/home/ada", "/srv/~" },
        { "~/src", "~", "~/src" },
    };
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        struct buf out = BUF_INIT;
        CHECK_INT(host_path_expand(str_from(cases[i].path), cases[i].home, &out), 0);
        CHECK_STR(buf_str(&out), str_from(cases[i].expected));
        buf_release(&out);
    }
}

TEST(a_path_is_within_by_whole_components)
{
    CHECK(host_path_is_within(STR("/a/b"), STR("/a")));
    CHECK(host_path_is_within(STR("/a"), STR("/a")));
    CHECK(host_path_is_within(STR("/a"), STR("")));
    CHECK(!host_path_is_within(STR("/ab"), STR("/a")));
    CHECK(!host_path_is_within(STR("/a"), STR("/a/b")));
}

static void check_secret(const char *path, const char *expected)
{
    char secret[HOST_SECRET_SIZE] = "nothing";
    struct buf spelled = BUF_INIT;
    CHECK_INT(host_path_normalise(str_from(path), &spelled), 0);
    host_path_touches_secret(buf_str(&spelled), secret);
    if (strcmp(secret, expected) != 0)
        test_fail(__FILE__, __LINE__, "%s touches %s, expected %s", path, secret, expected);
    buf_release(&spelled);
}

TEST(what_is_holds_or_lies_within_a_place_of_secrets_touches_it)
{
    check_secret("~/.ssh", "~/.ssh");
    check_secret("~/.ssh/keys/work", "~/.ssh");
    check_secret("~/.config", "~/.config/sops");
    check_secret("~/.config/gcloud/bin", "~/.config/gcloud");
    check_secret("/root/.aws/credentials", "/root/.aws");
    check_secret("/home/ada/.SSH", "/home/*/.ssh");
    check_secret("/mnt/c/users/ada/.ssh", "/mnt/?/Users/*/.ssh");
    check_secret("d:\\Users\\ada\\AppData\\Roaming",
                 "?:/Users/*/AppData/Roaming/Microsoft/Credentials");
    check_secret("/Users/ada/Library/Application Support",
                 "/Users/*/Library/Application Support/1Password");
    check_secret("/run/user/1000/gnupg", "/run");
    check_secret("/etc", "/etc/shadow");
    check_secret("/tmp", "/tmp/.X11-unix");
    check_secret("/srv/certificates/server.KEY", "*.key");
    check_secret("~/src/compass/.npmrc", ".npmrc");
    check_secret("~/src/compass/id_ed25519", "id_ed25519");
}

TEST(whole_homes_and_what_holds_them_are_refused)
{
    static const char *const wholes[] = {
        "/",      "~",          "/root", "/home",  "/home/ada",    "/var", "/var/home",
        "/Users", "/Users/ada", "/mnt",  "/mnt/c", "/mnt/c/Users", "C:\\", "C:\\Users\\ada"
    };
    for (size_t i = 0; i < ARRAY_LEN(wholes); i++) {
        char secret[HOST_SECRET_SIZE];
        struct buf spelled = BUF_INIT;
        CHECK_INT(host_path_normalise(str_from(wholes[i]), &spelled), 0);
        if (!host_path_touches_secret(buf_str(&spelled), secret))
            test_fail(__FILE__, __LINE__, "%s", wholes[i]);
        buf_release(&spelled);
    }
}

TEST(places_of_work_are_let_through)
{
    static const char *const places[] = {
        "~/src",
        "~/src/compass",
        "/home/ada/.sshfs",
        "/home/ada/src/.ssh-notes",
        "~/.local/share/claude",
        "~/.local/lib/node_modules/@openai/codex",
        "~/.cache/compass",
        "/srv/northwind/handbook",
        "/mnt/data",
        "/var/lib/compass",
        "/usr/lib/node_modules",
        "/opt/keys",
        "/etc/compass",
        "/tmp/compass",
        "C:\\Users\\ada\\src",
        "/Users/ada/Documents/key",
    };
    for (size_t i = 0; i < ARRAY_LEN(places); i++)
        check_secret(places[i], "nothing");
}
