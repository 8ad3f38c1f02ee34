#include "base/place.h"
#include "base/test.h"

static void set(const char *name, const char *value)
{
    if (value)
        setenv(name, value, 1);
    else
        unsetenv(name);
}

TEST(folders_follow_the_variables_and_then_home)
{
    static const struct {
        const char *home, *config, *state, *expected_config, *expected_state;
    } cases[] = {
        { "/home/ada", NULL, NULL, "/home/ada/.config/agent-machine",
          "/home/ada/.local/state/agent-machine" },
        { "/home/ada/", "/c", "/s/", "/c/agent-machine", "/s/agent-machine" },
        { "/home/ada", "relative", "", "/home/ada/.config/agent-machine",
          "/home/ada/.local/state/agent-machine" },
        { NULL, "/c", "/s", "/c/agent-machine", "/s/agent-machine" },
        { "/", NULL, NULL, "/.config/agent-machine", "/.local/state/agent-machine" },
    };
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        char path[PLACE_SIZE] = "";
        set("HOME", cases[i].home);
        set("XDG_CONFIG_HOME", cases[i].config);
        set("XDG_STATE_HOME", cases[i].state);
        CHECK_INT(place_config(path, sizeof(path), NULL), 0);
        CHECK_TEXT(path, cases[i].expected_config);
        CHECK_INT(place_state(path, sizeof(path), NULL), 0);
        CHECK_TEXT(path, cases[i].expected_state);
    }
}

TEST(without_a_home_or_room_there_is_no_folder)
{
    char path[PLACE_SIZE] = "untouched";
    struct err err = { 0 };
    set("HOME", NULL);
    set("XDG_CONFIG_HOME", NULL);
    CHECK_INT(place_config(path, sizeof(path), &err), -EINVAL);
    CHECK(strstr(err.cause, "XDG_CONFIG_HOME"));
    set("HOME", "home");
    CHECK_INT(place_config(path, sizeof(path), NULL), -EINVAL);
    set("HOME", "/home/ada");
    CHECK_INT(place_config(path, 20, &err), -E2BIG);
    CHECK_TEXT(path, "untouched");
}
