#!/usr/bin/env python3
"""Makes the system call filters of src/machine/linux/seccomp.table, when the program is built.

    seccomp.py TABLE OUTPUT.c

Theory of operation. A filter is a function from the number of a call to an answer, and most of its
512 numbers fall into a few dozen ranges with one answer each. The search for the range becomes a
tree of comparisons; a range that has lone exceptions may instead be a chain of them. Which of the
two, and where a tree divides, is chosen by the least cost: what the kernel does when it loads a
filter (it walks the program once for every number there is, and compiles every instruction) is
most of what a filter costs at all, for a call that is always allowed is never filtered again.

Jumps reach 255 instructions and only ahead; the answers stand at the end, once each. Whatever is
made is then interpreted here, for every number and for every argument that a check could tell
apart, and compared with the table: a filter that says something else than its table is not built.
"""

import errno
import itertools
import re
import sys

ARCHITECTURES = [
    # the compiler's macro, the kernel's AUDIT_ARCH
    ('__x86_64__', 0xc000003e),
    ('__aarch64__', 0xc00000b7),
]
KINDS = ['default', 'no-sockets', 'process']
NUMBERS = 512  # one more than the largest number that a row may have
TOP = 1 << 32
UNKNOWN = 'ENOSYS'

# Costs, in steps of the kernel's walk: an instruction compiled is worth this many.
INSTRUCTION_COST = 100

LOAD, AND, EQUAL, AT_LEAST, RETURN = 0x20, 0x54, 0x15, 0x35, 0x06
JUMP_MAX = 255
OFFSET_NUMBER, OFFSET_ARCHITECTURE, OFFSET_ARGUMENTS = 0, 4, 16


class Fault(Exception):
    pass


# ---- the table ---------------------------------------------------------------------------------


def read_table(path):
    """Rows (name, numbers by architecture, answers by kind) and checks by name."""
    rows, checks, check = [], {}, None
    for line_number, line in enumerate(open(path, encoding='ascii'), 1):
        text = line.split('#')[0].rstrip()
        if not text:
            check = None
            continue
        try:
            if text.startswith('check '):
                check = checks.setdefault(text.split()[1], [])
            elif text[0] == ' ':
                check.append(read_line(text))
            else:
                rows.append(read_row(text.split()))
        except (AttributeError, IndexError, ValueError) as error:
            raise Fault(f'{path}:{line_number}: cannot be read: {error}')
    require_sense(rows, checks)
    return rows, checks


def read_row(words):
    name, *numbers = words[:3]
    answers = words[3:]
    while len(answers) < len(KINDS):
        answers.append(answers[-1])
    return name, [None if n == '-' else int(n) for n in numbers], answers


def read_line(text):
    """One line of a check: conditions (argument, mask, values), and the answer."""
    conditions = [
        (int(argument), int(mask or '0xffffffff', 0), [int(v, 0) for v in values.split(',')])
        for argument, mask, values in re.findall(r'arg([0-5])(?:&(\w+))? == (\S+)', text)
    ]
    return conditions, text.split()[-1]


def require_sense(rows, checks):
    for architecture in range(len(ARCHITECTURES)):
        numbers = [row[1][architecture] for row in rows if row[1][architecture] is not None]
        if len(set(numbers)) < len(numbers) or max(numbers) >= NUMBERS:
            raise Fault('a number stands twice, or is too large')
    for _, _, answers in rows:
        for answer in answers:
            if answer not in checks:
                returned(answer)
    for name, lines in checks.items():
        if lines[-1][0] or any(not conditions for conditions, _ in lines[:-1]):
            raise Fault(f'check {name}: the last line, and no other, has no conditions')


def returned(answer):
    """The kernel's value of an answer: SECCOMP_RET_ALLOW, or SECCOMP_RET_ERRNO with the number."""
    return 0x7fff0000 if answer == 'allow' else 0x00050000 | getattr(errno, answer)


# ---- the tree ----------------------------------------------------------------------------------


def ranges_of(rows, architecture, kind):
    """[(first number, answer)] in order, neighbours differing."""
    answers = {row[1][architecture]: row[2][kind] for row in rows}
    ranges = []
    for number in range(NUMBERS + 1):
        answer = answers.get(number, UNKNOWN)
        if not ranges or ranges[-1][1] != answer:
            ranges.append((number, answer))
    return ranges


def plan_tree(ranges):
    """The cheapest way to find a number's range: ('leaf', answer), ('split', at, below, above) or
    ('chain', answer, [(number, answer)…])."""
    count = len(ranges)
    starts = [first for first, _ in ranges] + [NUMBERS]
    best = {}
    for length in range(1, count + 1):
        for i in range(count - length + 1):
            j = i + length - 1
            weight = starts[j + 1] - starts[i]
            if i == j:
                best[i, j] = 0, ('leaf', ranges[i][1])
                continue
            cost, m = min((best[i, m][0] + best[m + 1, j][0], m) for m in range(i, j))
            plan = 'split', starts[m + 1], (i, m), (m + 1, j)
            best[i, j] = cost + INSTRUCTION_COST + weight, plan
            chain = plan_chain(ranges[i:j + 1], starts[i:j + 2])
            if chain:
                links = len(chain[2])
                cost = links * (INSTRUCTION_COST + weight)
                best[i, j] = min(best[i, j], (cost, chain), key=lambda entry: entry[0])
    return resolve_plan(best, 0, count - 1)


def plan_chain(ranges, starts):
    lone = [starts[k + 1] - starts[k] == 1 and starts[k + 1] < NUMBERS for k in range(len(ranges))]
    rest = {answer for (_, answer), is_lone in zip(ranges, lone) if not is_lone}
    if len(rest) != 1:
        return None
    answer = rest.pop()
    return 'chain', answer, [r for r in ranges if r[1] != answer]


def resolve_plan(best, i, j):
    plan = best[i, j][1]
    if plan[0] != 'split':
        return plan
    return 'split', plan[1], resolve_plan(best, *plan[2]), resolve_plan(best, *plan[3])


# ---- code --------------------------------------------------------------------------------------


class Code:
    """Instructions with labels for targets; None is the next instruction."""

    def __init__(self):
        self.instructions = []
        self.places = {}
        self.names = itertools.count()

    def label(self):
        return next(self.names)

    def put(self, label):
        self.places[label] = len(self.instructions)

    def add(self, code, operand, if_true=None, if_false=None):
        self.instructions.append((code, operand, if_true, if_false))

    def resolve(self):
        return [(code, operand, self.reach(at, yes), self.reach(at, no))
                for at, (code, operand, yes, no) in enumerate(self.instructions)]

    def reach(self, at, label):
        distance = 0 if label is None else self.places[label] - at - 1
        if not 0 <= distance <= JUMP_MAX:
            raise Fault('a jump is too far: the table has outgrown one tree')
        return distance


def compile_filter(audit_arch, ranges, checks):
    code = Code()
    code.add(LOAD, OFFSET_ARCHITECTURE)
    code.add(EQUAL, audit_arch, None, UNKNOWN)
    code.add(LOAD, OFFSET_NUMBER)
    add_tree(code, plan_tree(ranges))
    for name in dict.fromkeys(answer for _, answer in ranges if answer in checks):
        code.put(name)
        add_check(code, checks[name])
    for answer in dict.fromkeys(label for instruction in code.instructions
                                for label in instruction[2:] if label not in code.places):
        if answer is not None:
            code.put(answer)
            code.add(RETURN, returned(answer))
    return code.resolve()


def add_tree(code, plan):
    if plan[0] == 'split':
        _, at, below, above = plan
        above_label = above[1] if above[0] == 'leaf' else code.label()
        below_label = below[1] if below[0] == 'leaf' else None
        code.add(AT_LEAST, at, above_label, below_label)
        if below_label is None:
            add_tree(code, below)
        if above[0] != 'leaf':
            code.put(above_label)
            add_tree(code, above)
    else:
        _, answer, exceptions = plan
        for k, (number, exception) in enumerate(exceptions):
            is_last = k == len(exceptions) - 1
            code.add(EQUAL, number, exception, answer if is_last else None)


def add_check(code, lines):
    for conditions, answer in lines:
        following = code.label()
        for k, (argument, mask, values) in enumerate(conditions):
            holds = answer if k == len(conditions) - 1 else code.label()
            code.add(LOAD, OFFSET_ARGUMENTS + 8 * argument)
            if mask != 0xffffffff:
                code.add(AND, mask)
            for value in values[:-1]:
                code.add(EQUAL, value, holds)
            code.add(EQUAL, values[-1], holds, following)
            if holds != answer:
                code.put(holds)
        if not conditions:
            code.add(RETURN, returned(answer))
        code.put(following)


# ---- the proof ---------------------------------------------------------------------------------


def require_true(program, audit_arch, ranges, checks):
    """Interprets the filter and compares it with the table."""
    def expect(number, architecture, arguments, answer):
        got = interpret(program, number, architecture, arguments)
        if got != returned(answer):
            raise Fault(f'call {number:#x} {arguments} answers {got:#x} instead of {answer}')

    answers = [next(a for first, a in reversed(ranges) if first <= n) for n in range(NUMBERS)]
    for number, answer in enumerate(answers):
        if answer not in checks:
            expect(number, audit_arch, [0] * 6, answer)
            continue
        for arguments in telling_arguments(checks[answer]):
            expect(number, audit_arch, arguments, judge(checks[answer], arguments))
    for number in [NUMBERS, 0x3fffffff, TOP - 1] + [0x40000000 + n for n in range(NUMBERS + 64)]:
        expect(number, audit_arch, [0] * 6, UNKNOWN)
    for number in range(NUMBERS):
        expect(number, 0x40000003, [0] * 6, UNKNOWN)


def telling_arguments(lines):
    """Arguments that differ in whatever the check compares; those it does not look at are all
    ones."""
    interesting = [{TOP - 1} for _ in range(6)]
    for argument, mask, values in (c for conditions, _ in lines for c in conditions):
        interesting[argument] |= {0, 1, mask, ~mask & 0xffffffff}
        for value in values:
            interesting[argument] |= {value, value + 1, value ^ 0x80000000, value | ~mask & 0xffffffff}
        if mask != 0xffffffff:
            interesting[argument] |= {1 << bit for bit in range(32)}
    return itertools.product(*(sorted(v & 0xffffffff for v in values) for values in interesting))


def judge(lines, arguments):
    for conditions, answer in lines:
        if all(arguments[argument] & mask in values for argument, mask, values in conditions):
            return answer
    raise Fault('a check without an end')


def interpret(program, number, architecture, arguments):
    at, value = 0, 0
    while True:
        code, operand, if_true, if_false = program[at]
        at += 1
        if code == RETURN:
            return operand
        if code == LOAD and operand == OFFSET_NUMBER:
            value = number
        elif code == LOAD and operand == OFFSET_ARCHITECTURE:
            value = architecture
        elif code == LOAD:
            value = arguments[(operand - OFFSET_ARGUMENTS) // 8]
        elif code == AND:
            value &= operand
        else:
            holds = value == operand if code == EQUAL else value >= operand
            at += if_true if holds else if_false


# ---- output ------------------------------------------------------------------------------------


def write_architecture(out, rows, checks, architecture):
    macro, audit_arch = ARCHITECTURES[architecture]
    out.append(f'#{"el" if architecture else ""}if defined({macro})')
    for name, numbers, _ in rows:
        if numbers[architecture] is not None:
            out.append(f'#ifdef __NR_{name}\n_Static_assert(__NR_{name} == {numbers[architecture]}, '
                       f'"seccomp.table: {name}");\n#endif')
    for kind, kind_name in enumerate(KINDS):
        ranges = ranges_of(rows, architecture, kind)
        program = compile_filter(audit_arch, ranges, checks)
        require_true(program, audit_arch, ranges, checks)
        out.append(f'static const struct sock_filter {array_name(kind_name)}[] = {{')
        out += [f'    {{ 0x{code:02x}, {yes}, {no}, 0x{operand:08x} }},'
                for code, operand, yes, no in program]
        out.append('};')


def array_name(kind_name):
    return kind_name.replace('-', '_') + '_filter'


def main():
    table, output = sys.argv[1:]
    rows, checks = read_table(table)
    out = ['/* Made by tools/seccomp.py of src/machine/linux/seccomp.table. */',
           '#include <asm/unistd.h>', '#include <linux/filter.h>', '',
           '#include "machine/linux/seccomp_filters.h"', '']
    for architecture in range(len(ARCHITECTURES)):
        write_architecture(out, rows, checks, architecture)
    out.append('#else\n#error "seccomp.table has no column for this architecture"\n#endif')
    out.append('const struct seccomp_filter seccomp_filters[SECCOMP_KIND_COUNT] = {')
    for kind_name in KINDS:
        array, enumerator = array_name(kind_name), kind_name.replace('-', '_').upper()
        out.append(f'    [SECCOMP_{enumerator}] = {{ {array}, sizeof({array}) / sizeof({array}[0]) }},')
    out.append('};')
    with open(output, 'w', encoding='ascii') as file:
        file.write('\n'.join(out) + '\n')


try:
    main()
except Fault as fault:
    sys.exit(f'seccomp.py: {fault}')
