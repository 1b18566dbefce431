/*
 * What stands in a generated library besides its tables and its programs. This is text, not code of
 * ours: library.c prints it block by block, with the library's name for NAME and NAMES (in
 * capitals). A line `/// WORDS` begins a block that is printed where all of its words hold.
 */

/// always

/* ---- where a state's numbers lie ----------------------------------------------------------------
 *
 * In memory a state has the order that the kernels read fastest; outside it is row-major.
 */

/* Which element of its memory an index is. */
static long place_of(const struct state *s, const long index[])
{
    long at = 0;

    for (int i = 0; i < s->parts; i++) {
        const long quotient = index[s->part[i].axis] / s->part[i].divisor;
        at += s->part[i].pitch * (s->part[i].extent ? quotient % s->part[i].extent : quotient);
    }
    return at;
}

/* The next index, the last axis first; after the last one the first. */
static void advance(const struct NAME_parameter *p, long index[])
{
    for (int axis = p->rank; axis-- > 0 && ++index[axis] == p->dim[axis];)
        index[axis] = 0;
}

static void copy_state(char *memory, int which, char *plain, int out)
{
    const struct state *s = &states[which];
    const size_t bytes = parameters[which].size;
    long index[8] = { 0 };

    for (size_t i = 0; i < parameters[which].elements; i++, plain += bytes) {
        char *stored = memory + s->offset + (size_t)place_of(s, index) * bytes;
        for (size_t byte = 0; byte < bytes; byte++)
            if (out)
                plain[byte] = stored[byte];
            else
                stored[byte] = plain[byte];
        advance(&parameters[which], index);
    }
}

/* A number as the type has it; whole ones wrap. */
static void put_number(const struct NAME_parameter *p, void *to, double number)
{
    if (p->type == NAME_F32)
        *(float *)to = (float)number;
    else if (p->type == NAME_F64)
        *(double *)to = number;
    else if (p->size == 1)
        *(uint8_t *)to = (uint8_t)(int64_t)number;
    else if (p->size == 2)
        *(uint16_t *)to = (uint16_t)(int64_t)number;
    else if (p->size == 4)
        *(uint32_t *)to = (uint32_t)(int64_t)number;
    else
        *(uint64_t *)to = (uint64_t)(int64_t)number;
}

/* The numbers that training begins with: the same for the same seed, on every machine. */
static void begin_state(char *memory, int which, uint64_t seed)
{
    const struct NAME_parameter *p = &parameters[which];
    const struct state *s = &states[which];
    long index[8] = { 0 };
    double two[2] = { 0, 0 };
    uint32_t key[2];

    initial_key(key, p->name, seed);
    for (size_t i = 0; i < p->elements; i++) {
        if (i % 2 == 0)
            initial_pair(two, s->begins, s->a, s->b, key, i / 2);
        put_number(p, memory + s->offset + (size_t)place_of(s, index) * p->size, two[i % 2]);
        advance(p, index);
    }
}

static int usable(const void *memory)
{
    return memory && (uintptr_t)memory % NAMES_ALIGNMENT == 0;
}

/* ---- what the header declares -------------------------------------------------------------------
 */

#define OFFERED __attribute__((visibility("default")))

OFFERED int NAME_init(void *memory, uint64_t seed)
{
    if (!usable(memory))
        return -1;
    __builtin_memset(memory, 0, NAMES_ARENA_BYTES);
    for (int i = 0; i < NAMES_PARAMETERS; i++)
        begin_state(memory, i, seed);
    /// given
    for (int i = 0; i < NAMES_PARAMETERS; i++)
        if (given(i))
            copy_state(memory, i, (char *)(uintptr_t)given(i), 0);
    /// always
    return 0;
}

OFFERED const struct NAME_parameter *NAME_parameters(void)
{
    return parameters;
}

OFFERED int NAME_get(const void *memory, int which, void *numbers)
{
    if (!usable(memory) || !numbers || which < 0 || which >= NAMES_PARAMETERS)
        return -1;
    copy_state((char *)(uintptr_t)memory, which, numbers, 1);
    return 0;
}

OFFERED int NAME_set(void *memory, int which, const void *numbers)
{
    if (!usable(memory) || !numbers || which < 0 || which >= NAMES_PARAMETERS)
        return -1;
    copy_state(memory, which, (char *)(uintptr_t)numbers, 0);
    return 0;
}
