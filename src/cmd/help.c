/*
 * help: what the table of verbs says, as help, as a man page and as the
 * completions of three shells.
 */
#include "base/buf.h"
#include "cmd/tell.h"
#include "cmd/verb.h"

#define COLUMNS     80
#define INDENT      2
#define TEXT_COLUMN 24

/* --- help ---------------------------------------------------------------------------------- */

/* Prints text from a column on, wrapped at the page's width. The cursor stands at `at`. */
static void print_wrapped(FILE *out, const char *text, int at, int column)
{
    while (*text) {
        size_t len = strcspn(text, " \n");
        if (at > column && at + 1 + (int)len > COLUMNS) {
            fputc('\n', out);
            at = 0;
        }
        if (at < column)
            fprintf(out, "%*s", column - at, "");
        else if (at > column)
            fputc(' ', out);
        at = (at <= column ? column : at + 1) + (int)len;
        fprintf(out, "%.*s", (int)len, text);
        text += len;
        if (strncmp(text, "\n\n", 2) == 0) {
            fprintf(out, "\n\n");
            at = 0;
        }
        text += strspn(text, " \n");
    }
    fputc('\n', out);
}

static void option_words(const struct option_row *row, char *ret, size_t size)
{
    char letter[8] = "    ";
    if (row->letter)
        snprintf(letter, sizeof(letter), "-%c, ", row->letter);
    snprintf(ret, size, "%s--%s%s%s", letter, row->name, row->argument ? " " : "",
             row->argument ? row->argument : "");
}

static void print_options(const struct verb *verb, FILE *out)
{
    static const struct option_row help = { "help", 'h', NULL, "show this text" };
    fprintf(out, "\nOptions:\n");
    for (size_t i = 0; i <= verb->option_count; i++) {
        const struct option_row *row = i < verb->option_count ? &verb->options[i] : &help;
        char words[96];
        option_words(row, words, sizeof(words));
        int at = fprintf(out, "%*s%s", INDENT, "", words);
        if (at >= TEXT_COLUMN - 1) {
            fputc('\n', out);
            at = 0;
        }
        print_wrapped(out, row->help, at, TEXT_COLUMN);
    }
}

static void print_verbs(const struct verb *verb, FILE *out)
{
    fprintf(out, "\nVerbs:\n");
    for (size_t i = 0; i < verb->verb_count; i++) {
        int at = fprintf(out, "%*s%s", INDENT, "", verb->verbs[i].name);
        print_wrapped(out, verb->verbs[i].summary, at, TEXT_COLUMN - 8);
    }
}

void verb_print_help(const struct verb *program, const struct verb *verb, const char *path,
                     FILE *out)
{
    const char *operands = verb->verb_count ? "VERB …" : verb->operands;
    fprintf(out, "Usage: agent-machine%s%s%s%s%s\n\n", path[0] ? " " : "", path,
            verb->run ? " [OPTION…]" : "", operands ? " " : "", operands ? operands : "");
    print_wrapped(out, verb->description, 0, 0);
    if (verb->verb_count)
        print_verbs(verb, out);
    if (verb->run)
        print_options(verb, out);
    if (verb == program)
        fprintf(out, "\n`agent-machine help VERB` says more about each.\n");
}

/* --- the man page -------------------------------------------------------------------------- */

static void roff_text(struct buf *page, const char *text)
{
    bool line_start = true;
    for (; *text; text++) {
        if (strncmp(text, "\n\n", 2) == 0) {
            buf_add_text(page, "\n.PP\n");
            text++;
            line_start = true;
            continue;
        }
        if (line_start && (*text == '.' || *text == '\''))
            buf_add_text(page, "\\&");
        if (*text == '\\')
            buf_add_text(page, "\\e");
        else if (*text == '-')
            buf_add_text(page, "\\-");
        else
            buf_add_char(page, *text);
        line_start = *text == '\n';
    }
    buf_add_char(page, '\n');
}

static void roff_verb(struct buf *page, const struct verb *verb, const char *path)
{
    buf_addf(page, ".SS \"%s%s%s\"\n", path, verb->operands ? " " : "",
             verb->operands ? verb->operands : "");
    roff_text(page, verb->description);
    for (size_t i = 0; i < verb->option_count; i++) {
        char words[96];
        option_words(&verb->options[i], words, sizeof(words));
        buf_addf(page, ".TP\n.B ");
        roff_text(page, words + strspn(words, " "));
        roff_text(page, verb->options[i].help);
    }
}

static void roff_verbs(struct buf *page, const struct verb *verb, const char *path)
{
    for (size_t i = 0; i < verb->verb_count; i++) {
        char below[128];
        snprintf(below, sizeof(below), "%s%s%s", path, path[0] ? " " : "", verb->verbs[i].name);
        if (verb->verbs[i].run)
            roff_verb(page, &verb->verbs[i], below);
        else
            roff_verbs(page, &verb->verbs[i], below);
    }
}

static void make_man(const struct verb *program, struct buf *page)
{
    buf_addf(page, ".TH AGENT-MACHINE 1 \"\" \"agent-machine %s\" \"User commands\"\n", AM_VERSION);
    buf_addf(page, ".SH NAME\nagent\\-machine \\- ");
    roff_text(page, program->summary);
    buf_add_text(page, ".SH SYNOPSIS\n.B agent\\-machine\n.I VERB\n[\\fIOPTION\\fR…] "
                       "[\\fIOPERAND\\fR…]\n.SH DESCRIPTION\n");
    roff_text(page, program->description);
    buf_add_text(page, ".SH VERBS\n");
    roff_verbs(page, program, "");
    buf_add_text(page,
                 ".SH \"EXIT STATUS\"\n.TP\n.B 0\nyes, or done\n.TP\n.B 1\nno, or it failed\n"
                 ".TP\n.B 2\nthe command line is wrong\n.TP\n.B 65\na document is invalid\n"
                 ".SH ENVIRONMENT\n.TP\n.B NO_COLOR\nif set and not empty, nothing is coloured\n");
}

/* --- completions --------------------------------------------------------------------------- */

/* Calls `each` for every verb that runs, with its path. */
static void each_verb(const struct verb *verb, const char *path, struct buf *out,
                      void (*each)(struct buf *, const struct verb *, const char *path))
{
    each(out, verb, path);
    for (size_t i = 0; i < verb->verb_count; i++) {
        char below[128];
        snprintf(below, sizeof(below), "%s%s%s", path, path[0] ? " " : "", verb->verbs[i].name);
        each_verb(&verb->verbs[i], below, out, each);
    }
}

static void bash_case(struct buf *out, const struct verb *verb, const char *path)
{
    buf_addf(out, "    '%s')\n        words='", path);
    for (size_t i = 0; i < verb->verb_count; i++)
        buf_addf(out, "%s ", verb->verbs[i].name);
    for (size_t i = 0; i < verb->option_count; i++)
        buf_addf(out, "--%s ", verb->options[i].name);
    buf_add_text(out, "--help'\n");
    if (verb->operand_kind == OPERAND_FILE)
        buf_add_text(out, "        files=-f\n");
    if (verb->operand_kind == OPERAND_FOLDER)
        buf_add_text(out, "        files=-d\n");
    if (verb->operand_kind == OPERAND_TYPE)
        buf_add_text(out, "        words+=\" $(agent-machine contract list 2>/dev/null | "
                          "cut -d' ' -f1)\"\n");
    buf_add_text(out, "        ;;\n");
}

/* The words that lead to a verb, as one. */
static void bash_path(struct buf *out, const struct verb *verb, const char *path)
{
    (void)verb;
    for (const char *c = path; *c; c++)
        buf_add_char(out, *c == ' ' ? '_' : *c);
    buf_add_text(out, path[0] ? " " : "");
}

static void make_bash(const struct verb *program, struct buf *out)
{
    buf_add_text(out, "# bash completion for agent-machine\n"
                      "_agent_machine() {\n"
                      "    local current=${COMP_WORDS[COMP_CWORD]} path= words= files= i word\n"
                      "    for ((i = 1; i < COMP_CWORD; i++)); do\n"
                      "        word=${COMP_WORDS[i]}\n"
                      "        case \" $_agent_machine_paths \" in\n"
                      "        *\" ${path:+${path// /_}_}$word \"*) path=${path:+$path }$word ;;\n"
                      "        esac\n"
                      "    done\n"
                      "    case $path in\n");
    each_verb(program, "", out, bash_case);
    buf_add_text(out, "    esac\n"
                      "    [[ $files && $current != -* ]] && compopt -o filenames 2>/dev/null\n"
                      "    COMPREPLY=($(compgen -W \"$words\" -- \"$current\")"
                      " ${files:+$(compgen $files -- \"$current\")})\n"
                      "}\n"
                      "_agent_machine_paths='");
    each_verb(program, "", out, bash_path);
    buf_add_text(out, "'\ncomplete -F _agent_machine agent-machine\n");
}

/* Text inside single quotes of a shell, with what zsh's specifications give a meaning taken out. */
static void add_quoted(struct buf *out, const char *text, const char *escaped)
{
    for (; *text; text++) {
        if (*text == '\'')
            buf_add_text(out, "'\\''");
        else if (strchr(escaped, *text))
            buf_addf(out, "\\%c", *text);
        else
            buf_add_char(out, *text);
    }
}

static void zsh_case(struct buf *out, const struct verb *verb, const char *path)
{
    static const char *const actions[] = {
        [OPERAND_NOTHING] = NULL,
        [OPERAND_FILE] = "'*:file:_files'",
        [OPERAND_FOLDER] = "'*:folder:_files -/'",
        [OPERAND_TYPE] = "'*:type:($(agent-machine contract list 2>/dev/null | cut -d\" \" -f1))'",
        [OPERAND_VERB] = NULL,
    };
    if (verb->verb_count) {
        buf_addf(out, "    '%s') _values verb", path);
        for (size_t i = 0; i < verb->verb_count; i++) {
            buf_addf(out, " '%s[", verb->verbs[i].name);
            add_quoted(out, verb->verbs[i].summary, "[]\\");
            buf_add_text(out, "]'");
        }
        buf_add_text(out, " ;;\n");
        return;
    }
    buf_addf(out, "    '%s') _arguments", path);
    for (size_t i = 0; i < verb->option_count; i++) {
        buf_addf(out, " '--%s%s[", verb->options[i].name, verb->options[i].argument ? "=" : "");
        add_quoted(out, verb->options[i].help, "[]:\\");
        buf_addf(out, "]%s%s%s'", verb->options[i].argument ? ":" : "",
                 verb->options[i].argument ? verb->options[i].argument : "",
                 verb->options[i].argument ? ":_files" : "");
    }
    if (actions[verb->operand_kind])
        buf_addf(out, " %s", actions[verb->operand_kind]);
    buf_add_text(out, " ;;\n");
}

static void zsh_path(struct buf *out, const struct verb *verb, const char *path)
{
    (void)verb;
    if (path[0])
        buf_addf(out, "'%s' ", path);
}

static void make_zsh(const struct verb *program, struct buf *out)
{
    buf_add_text(out, "#compdef agent-machine\n"
                      "local path_=''\n"
                      "local -a paths_\n"
                      "paths_=(");
    each_verb(program, "", out, zsh_path);
    buf_add_text(out, ")\n"
                      "while (( CURRENT > 2 )) && "
                      "(( ${paths_[(Ie)${path_:+$path_ }${words[2]}]} )); do\n"
                      "    path_=${path_:+$path_ }${words[2]}\n"
                      "    words=(\"${words[1]}\" \"${(@)words[3,-1]}\")\n"
                      "    (( CURRENT-- ))\n"
                      "done\n"
                      "case $path_ in\n");
    each_verb(program, "", out, zsh_case);
    buf_add_text(out, "esac\n");
}

static void fish_lines(struct buf *out, const struct verb *verb, const char *path)
{
    for (size_t i = 0; i < verb->verb_count; i++) {
        buf_addf(out, "complete -c agent-machine -n '__agent_machine_at \"%s\"' -f -a %s -d '",
                 path, verb->verbs[i].name);
        add_quoted(out, verb->verbs[i].summary, "");
        buf_add_text(out, "'\n");
    }
    for (size_t i = 0; i < verb->option_count; i++) {
        buf_addf(out, "complete -c agent-machine -n '__agent_machine_at \"%s\"' -l %s%s -d '", path,
                 verb->options[i].name, verb->options[i].argument ? " -r" : "");
        add_quoted(out, verb->options[i].help, "");
        buf_add_text(out, "'\n");
    }
    if (verb->operand_kind == OPERAND_TYPE)
        buf_addf(out,
                 "complete -c agent-machine -n '__agent_machine_at \"%s\"' -f -a "
                 "'(agent-machine contract list 2>/dev/null | string split -f1 \" \")'\n",
                 path);
}

static void make_fish(const struct verb *program, struct buf *out)
{
    buf_add_text(out, "function __agent_machine_at\n"
                      "    set -l words (commandline -opc)[2..-1]\n"
                      "    set -l path\n"
                      "    for word in $words\n"
                      "        string match -q -- '-*' $word; or set -a path $word\n"
                      "    end\n"
                      "    set -l wanted (string split -n ' ' -- $argv[1])\n"
                      "    test (count $wanted) -eq 0; and test (count $path) -eq 0; and return 0\n"
                      "    test (count $wanted) -gt 0; or return 1\n"
                      "    test \"$path[1..\"(count $wanted)\"]\" = \"$wanted\" 2>/dev/null\n"
                      "end\n");
    each_verb(program, "", out, fish_lines);
}

/* --- the verb ------------------------------------------------------------------------------ */

enum { OPTION_MAN, OPTION_COMPLETION };

static const struct option_row options[] = {
    [OPTION_MAN] = { "man", 0, NULL, "print the man page, in roff" },
    [OPTION_COMPLETION] = { "completion", 0, "SHELL",
                            "print the completion for bash, zsh or fish" },
};

static const struct {
    const char *name;
    void (*make)(const struct verb *program, struct buf *out);
} shells[] = {
    { "bash", make_bash },
    { "zsh", make_zsh },
    { "fish", make_fish },
};

static int print_made(const struct invocation *invocation,
                      void (*make)(const struct verb *program, struct buf *out))
{
    struct buf out = BUF_INIT;
    make(invocation->program, &out);
    fwrite(out.data, 1, out.len, stdout);
    int status = out.error ? EXIT_NEGATIVE : EXIT_OK;
    buf_release(&out);
    return status;
}

static int run_help(const struct invocation *invocation)
{
    const char *shell = invocation->values[OPTION_COMPLETION];
    if (invocation->values[OPTION_MAN])
        return print_made(invocation, make_man);
    for (size_t i = 0; shell && i < ARRAY_LEN(shells); i++)
        if (strcmp(shell, shells[i].name) == 0)
            return print_made(invocation, shells[i].make);
    if (shell)
        return tell_usage(invocation->path, "completions are made for bash, zsh and fish");
    const struct verb *verb =
        verb_find(invocation->program, invocation->operand_count, invocation->operands);
    struct buf path = BUF_INIT;
    for (int i = 0; i < invocation->operand_count; i++)
        buf_addf(&path, "%s%s", i ? " " : "", invocation->operands[i]);
    int status = EXIT_OK;
    if (verb)
        verb_print_help(invocation->program, verb, path.data, stdout);
    else
        status = tell_usage("", "there is no verb `%s`", path.data);
    buf_release(&path);
    return status;
}

const struct verb verb_help = {
    .name = "help",
    .operands = "[VERB…]",
    .operand_kind = OPERAND_VERB,
    .operands_max = 4,
    .summary = "Say what a verb does",
    .description = "Says what the program or one of its verbs does and which options it takes. "
                   "The man page and the shells' completions come from the same tables.",
    .options = options,
    .option_count = ARRAY_LEN(options),
    .run = run_help,
};

static int run_version(const struct invocation *invocation)
{
    (void)invocation;
    printf("agent-machine %s\n", AM_VERSION);
    return EXIT_OK;
}

const struct verb verb_version = {
    .name = "version",
    .summary = "Print the program's version",
    .description = "Prints the program's version.",
    .run = run_version,
};
