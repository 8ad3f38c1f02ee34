/*
 * verb: from words to a function.
 *
 * The words lead down the table of verbs; what follows is read by
 * getopt_long, whose arrays are built from the verb's own rows.
 */
#include "cmd/verb.h"

#include <getopt.h>

#include "cmd/tell.h"

#define PATH_TEXT_MAX 128
#define HELP_OPTION   1000
#define FIRST_OPTION  1001

struct way {
    const struct verb *verb;
    char path[PATH_TEXT_MAX];
    int used; /* words */
};

static const struct verb *find_verb(const struct verb *parent, const char *name)
{
    for (size_t i = 0; i < parent->verb_count; i++)
        if (strcmp(parent->verbs[i].name, name) == 0)
            return &parent->verbs[i];
    return NULL;
}

static struct way follow(const struct verb *program, int count, char *const *words)
{
    struct way way = { .verb = program };
    while (way.used < count) {
        const struct verb *next = find_verb(way.verb, words[way.used]);
        if (!next)
            break;
        size_t len = strlen(way.path);
        snprintf(way.path + len, sizeof(way.path) - len, "%s%s", len ? " " : "", next->name);
        way.verb = next;
        way.used++;
    }
    return way;
}

const struct verb *verb_find(const struct verb *program, int count, char *const *names)
{
    struct way way = follow(program, count, names);
    return way.used == count ? way.verb : NULL;
}

int verb_read_options(struct invocation *invocation, int argc, char **argv)
{
    const struct verb *verb = invocation->verb;
    struct option rows[VERB_OPTIONS_MAX + 2] = { 0 };
    char letters[2 * VERB_OPTIONS_MAX + 4] = "";
    snprintf(letters, sizeof(letters), "%s:h", verb->options_first ? "+" : "");
    size_t used = strlen(letters);
    for (size_t i = 0; i < verb->option_count; i++) {
        const struct option_row *row = &verb->options[i];
        rows[i] = (struct option){ row->name, row->argument ? required_argument : no_argument, NULL,
                                   FIRST_OPTION + (int)i };
        if (row->letter)
            letters[used++] = row->letter;
        if (row->letter && row->argument)
            letters[used++] = ':';
    }
    rows[verb->option_count] = (struct option){ "help", no_argument, NULL, HELP_OPTION };
    opterr = 0;
    optind = 1;
    for (;;) {
        int at = optind;
        int found = getopt_long(argc, argv, letters, rows, NULL);
        if (found == -1)
            break;
        if (found == HELP_OPTION || found == 'h')
            return -1;
        if (found == ':')
            return tell_usage(invocation->path, "%s needs a value", argv[at]);
        if (found == '?')
            return tell_usage(invocation->path, "there is no option %s", argv[at]);
        size_t index = (size_t)(found - FIRST_OPTION);
        for (size_t i = 0; found < FIRST_OPTION && i < verb->option_count; i++)
            if (verb->options[i].letter == found)
                index = i;
        if (invocation->given_count == VERB_GIVEN_MAX)
            return tell_usage(invocation->path, "there are more than %d options", VERB_GIVEN_MAX);
        invocation->values[index] = optarg ? optarg : "";
        invocation->given[invocation->given_count].option = index;
        invocation->given[invocation->given_count++].value = invocation->values[index];
    }
    invocation->dashes = optind > 1 && strcmp(argv[optind - 1], "--") == 0;
    invocation->operands = argv + optind;
    invocation->operand_count = argc - optind;
    return 0;
}

static int run_verb(struct invocation *invocation, int argc, char **argv)
{
    const struct verb *verb = invocation->verb;
    int r = verb_read_options(invocation, argc, argv);
    if (r == EXIT_USAGE)
        return r;
    if (r < 0) {
        verb_print_help(invocation->program, verb, invocation->path, stdout);
        return EXIT_OK;
    }
    if (invocation->operand_count < verb->operands_min)
        return tell_usage(invocation->path, "%s is missing", verb->operands);
    if (invocation->operand_count > verb->operands_max)
        return tell_usage(invocation->path, "`%s` is one word too many",
                          invocation->operands[verb->operands_max]);
    return verb->run(invocation);
}

int verb_main(const struct verb *program, int argc, char **argv)
{
    struct way way = follow(program, argc - 1, argv + 1);
    struct invocation invocation = { .program = program, .verb = way.verb, .path = way.path };
    const char *word = way.used + 1 < argc ? argv[way.used + 1] : NULL;
    int status;
    if (way.verb->run) {
        argv[way.used] = argv[0];
        status = run_verb(&invocation, argc - way.used, argv + way.used);
    } else if (word && (strcmp(word, "--help") == 0 || strcmp(word, "-h") == 0)) {
        verb_print_help(program, way.verb, way.path, stdout);
        status = EXIT_OK;
    } else if (word && way.verb == program && strcmp(word, "--version") == 0) {
        status = verb_version.run(&invocation);
    } else if (word) {
        status = tell_usage(way.path, "there is no verb `%s`", word);
    } else {
        verb_print_help(program, way.verb, way.path, stderr);
        status = EXIT_USAGE;
    }
    if (fflush(stdout) != 0 || ferror(stdout)) {
        fprintf(stderr, "agent-machine: standard output cannot be written\n");
        return status ? status : EXIT_NEGATIVE;
    }
    return status;
}

int verb_limits(const struct invocation *invocation, size_t first, struct json_limits *ret,
                struct err *err)
{
    struct json_limits limits = json_limits_default;
    size_t *const fields[LIMIT_OPTION_COUNT] = { &limits.size_bytes,   &limits.depth,
                                                 &limits.array_items,  &limits.members,
                                                 &limits.string_bytes, &limits.number_digits };
    for (size_t i = 0; i < LIMIT_OPTION_COUNT; i++) {
        const char *value = invocation->values[first + i];
        char *end;
        if (!value)
            continue;
        errno = 0;
        unsigned long long number = strtoull(value, &end, 10);
        if (errno || *end || end == value || value[0] == '-' || !number || number > SIZE_MAX / 2)
            return err_set(err, ERR_USAGE, "read the options", "--%s takes a number from 1",
                           invocation->verb->options[first + i].name);
        *fields[i] = (size_t)number;
    }
    if (limits.depth > JSON_DEPTH_MAX)
        return err_set(err, ERR_USAGE, "read the options", "--max-depth goes up to %d",
                       JSON_DEPTH_MAX);
    *ret = limits;
    return 0;
}
