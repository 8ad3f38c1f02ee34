#include "doors/model/door_test.h"

/* Whether the packages are there; as a test of what people use it must work where tests must. */
static bool install(struct scene *scene)
{
    char packages[80];
    snprintf(packages, sizeof(packages), "%s/packages", scene->folder);
    CHECK_INT(mkdir(packages, 0700), 0);
    scene_run(scene, (const char *const[]){ "npm", "install", "--no-audit", "--no-fund",
                                            "--loglevel=error", "--prefix", packages, "openai@6",
                                            "@anthropic-ai/sdk", "ollama@0.6", NULL });
    if (scene->exit_status != 0)
        return false;
    scene_run(scene, (const char *const[]){ "cp", "tests/model/clients.mjs", packages, NULL });
    return scene->exit_status == 0;
}

TEST(the_packages_that_programs_use)
{
    struct scene scene;
    char script[112], url[64];
    scene_open(&scene);
    scene.ceiling = 50000000;
    if (!install(&scene)) {
        test_skip("npm brings no packages: %.200s", scene.answer.data);
    } else {
        snprintf(script, sizeof(script), "%s/packages/clients.mjs", scene.folder);
        snprintf(url, sizeof(url), "http://127.0.0.1:%u", ntohs(scene.port));
        scene_run(&scene, (const char *const[]){ "node", script, url, NULL });
        if (strstr(scene.answer.data, "FAILED") || !strstr(scene.answer.data, "all tried\n"))
            test_fail(__FILE__, __LINE__, "%s", scene.answer.data);
        CHECK(!strstr(scene_log(&scene), "of-the-client"));
        UNTIL(&scene, strstr(scene_log(&scene), "\"gone\": true"));
    }
    snprintf(script, sizeof(script), "%s/packages", scene.folder);
    scene_run(&scene, (const char *const[]){ "rm", "-rf", script, NULL });
    scene_close(&scene);
}
