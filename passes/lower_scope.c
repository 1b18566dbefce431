/*
 * lower_scope: where a statement goes.
 *
 * An open loop is a scope. A value lives in one; who reads it stands there or further inside. A
 * statement goes into the outermost scope that has the axes and the values it needs, but for what
 * changes while loops run: that stands where it was said.
 */
#include "lower.h"

#include <string.h>

static void set_home(struct lower *l, uint32_t value, int scope)
{
    if (value >= l->homes) {
        uint32_t room = 2 * value + 64;
        l->home = ir_enlarge(l->c->arena, l->home, l->homes, room, sizeof *l->home);
        l->homes = room;
    }
    l->home[value] = (uint8_t)scope;
}

void pass_lower_begin(struct lower *l)
{
    l->scopes = 1;
    l->scope[0] = (struct lower_scope){ .into = &l->k->body };
    set_home(l, 0, 0);
}

void pass_lower_open(struct lower *l, int axis)
{
    if (l->scopes == LOWER_SCOPES)
        ir_bug("kernel %s: loops nest deeper than %d", l->k->name, LOWER_SCOPES);
    struct lower_scope *s = &l->scope[l->scopes];
    *s = (struct lower_scope){ .axes = l->scopes ? s[-1].axes : 0 };
    s->into = &s->block;
    s->axes |= UINT64_C(1) << axis;
    l->scopes++;
}

void pass_lower_close(struct lower *l, int axis, int guards, const struct loop_guard *guard)
{
    struct lower_scope *s = &l->scope[--l->scopes];
    struct loop_statement loop = {
        .kind = LOOP_FOR, .axis = axis, .guards = guards, .guard = guard, .node = l->at
    };

    loop.loc = ir_at(l->g, l->at)->loc;
    loop.body = s->block;
    loop_add(l->k, s[-1].into, loop);
}

int pass_lower_scope_for(struct lower *l, uint64_t axes, int least)
{
    int s = least;

    while (s < l->scopes - 1 && (l->scope[s].axes & axes) != axes)
        s++;
    return s;
}

/* the innermost home of the values that an index expression reads */
static int home_of_index(struct lower *l, loop_ix ix)
{
    int home = 0;

    for (int i = 0; i < l->k->sum[ix].count; i++) {
        const struct loop_atom *a = &l->k->atom[l->k->sum[ix].term[i].atom];
        int h = 0;
        if (a->kind == LOOP_ATOM_VALUE)
            h = l->home[a->a];
        else if (a->kind == LOOP_ATOM_DIV)
            h = home_of_index(l, a->a);
        home = h > home ? h : home;
    }
    return home;
}

uint32_t pass_lower_emit(struct lower *l, struct loop_statement s)
{
    uint64_t axes = loop_axes_of(l->k, s.ix);
    int least = home_of_index(l, s.ix);

    for (int i = 0; i < 3; i++) {
        axes |= l->k->value[s.args[i]].depends;
        if (s.args[i] && l->home[s.args[i]] > least)
            least = l->home[s.args[i]];
    }
    for (int i = 0; i < s.guards; i++) {
        axes |= loop_axes_of(l->k, s.guard[i].ix) | loop_axes_of(l->k, s.guard[i].limit);
        int h = home_of_index(l, s.guard[i].ix);
        least = h > least ? h : least;
    }
    int scope = pass_lower_scope_for(l, axes, least);
    /* what changes while loops run is read and written where it stands in the text, and nowhere
     * further out */
    bool changing = s.kind == LOOP_LOAD && l->k->buffer[s.buffer].written;
    for (int i = 0; i < 3; i++)
        changing |= l->k->value[s.args[i]].variable;
    if (changing || s.kind == LOOP_VAR || s.kind == LOOP_SET || s.kind == LOOP_STORE ||
        s.kind == LOOP_FOLD)
        scope = l->scopes - 1;
    s.node = l->at;
    s.loc = ir_at(l->g, l->at)->loc;
    if (s.kind != LOOP_SET && s.kind != LOOP_STORE) {
        s.value = loop_value_new(l->k, s.dtype);
        l->k->value[s.value].depends = s.kind == LOOP_FOLD  ? axes & ~s.over
                                       : s.kind == LOOP_VAR ? axes | l->scope[l->scopes - 1].axes
                                                            : axes;
        l->k->value[s.value].variable = s.kind == LOOP_VAR;
        set_home(l, s.value, scope);
    }
    loop_add(l->k, l->scope[scope].into, s);
    return s.value;
}

uint32_t pass_lower_let(struct lower *l, enum ir_op op, enum ir_dtype dtype, uint32_t a, uint32_t b,
                        uint32_t c)
{
    return pass_lower_emit(
        l,
        (struct loop_statement){ .kind = LOOP_LET, .op = op, .dtype = dtype, .args = { a, b, c } });
}

uint32_t pass_lower_number(struct lower *l, enum ir_dtype dtype, double number)
{
    return pass_lower_emit(l, (struct loop_statement){
                                  .kind = LOOP_LET,
                                  .op = IR_const,
                                  .dtype = dtype,
                                  .number = number,
                                  .integer = ir_dtypes[dtype].kind == 'f' ? 0 : (int64_t)number });
}

uint32_t pass_lower_index(struct lower *l, enum ir_dtype dtype, loop_ix ix)
{
    uint32_t v = pass_lower_emit(
        l, (struct loop_statement){ .kind = LOOP_LET, .op = IR_POISON, .dtype = IR_I64, .ix = ix });

    return dtype == IR_I64 ? v : pass_lower_let(l, IR_cast, dtype, v, 0, 0);
}

uint32_t pass_lower_var(struct lower *l, enum ir_dtype dtype, uint32_t start)
{
    return pass_lower_emit(
        l, (struct loop_statement){ .kind = LOOP_VAR, .dtype = dtype, .args = { start } });
}

void pass_lower_set(struct lower *l, uint32_t variable, enum ir_op op, uint32_t a, uint32_t b,
                    int guards, const struct loop_guard *guard)
{
    struct loop_statement s = { .kind = LOOP_SET, .op = op, .dtype = l->k->value[variable].dtype };

    s.args[0] = variable;
    s.args[1] = a;
    s.args[2] = b;
    for (int i = 0; i < guards; i++)
        if (loop_guard_state(l->k, &guard[i]) != 1)
            loop_add_guard(l->k, &s, guard[i]);
    pass_lower_emit(l, s);
}

int pass_lower_axis(struct lower *l, const char *name, int64_t dim)
{
    int64_t most = ir_dim_max(l->g, dim);

    if (l->k->axes >= LOWER_AXES) {
        pass_lower_fail(l,
                        "kernel %.60s has more than %d loops; expected some of its values in a "
                        "kernel of their own",
                        l->k->name, LOWER_AXES);
        return l->k->axes - 1; /* of the right kind, for nothing comes of it any more */
    }
    return loop_axis_new(l->k, name, loop_dim_ix(l->k, dim), most > 0 ? most : 1);
}

/* ---- conditions of loads ---- */

struct lower_under pass_lower_under(struct lower *l, int guards, const struct loop_guard *guard)
{
    struct lower_under before = { l->guards, l->under };

    if (l->guards + guards > l->guard_room) {
        int room = 2 * (l->guards + guards) + 8;
        struct loop_guard *bigger = ir_alloc(l->c->arena, (size_t)room * sizeof *bigger);
        if (l->guards)
            memcpy(bigger, l->guard, (size_t)l->guards * sizeof *bigger);
        l->guard = bigger;
        l->guard_room = room;
    }
    if (guards)
        memcpy(l->guard + l->guards, guard, (size_t)guards * sizeof *guard);
    l->guards += guards;
    if (guards)
        l->under = ++l->unders;
    return before;
}

void pass_lower_restore(struct lower *l, struct lower_under before)
{
    l->guards = before.guards;
    l->under = before.under;
}
