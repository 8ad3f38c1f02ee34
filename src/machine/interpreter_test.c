/* By what a script asks to be run. */
#include "machine/interpreter.h"

#include "base/test.h"

TEST(what_env_looks_for_is_known)
{
    static const struct {
        const char *beginning, *name;
    } rows[] = {
        { "#!/usr/bin/env node\nx", "node" },
        { "#! /usr/bin/env\tpython3 \n", "python3" },
        { "#!/usr/bin/env -S node --no-warnings\n", "node" },
        { "#!/usr/bin/env -S A=1 B=2 node\n", "node" },
        { "#!/usr/bin/env -Snode\n", "node" },
        { "#!/usr/bin/node\n", "" },
        { "#!/usr/bin/env node", "" },
        { "#!/usr/bin/env\n", "" },
        { "#!/usr/bin/env -i\n", "" },
        { "#!/usr/bin/env ../node\n", "" },
        { "#!/usr/bin/env -S A=1\n", "" },
        { "#!\n", "" },
        { "\x7f"
          "ELF",
          "" },
        { "", "" },
    };
    for (size_t i = 0; i < ARRAY_LEN(rows); i++)
        CHECK_STR(interpreter_name(str_from(rows[i].beginning)), str_from(rows[i].name));
}
